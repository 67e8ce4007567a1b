"""The kill test, short enough for every run of the checks; `./dev chaos` goes on for as long as one likes."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.faults import Fault, Kill, Stop, choose
from tests.chaos.http import Connection
from tests.chaos.ledger import Ledger
from tests.chaos.plants import BUGS
from tests.chaos.run import Report, conclude, run, start
from tests.chaos.traffic import Traffic
from tests.support.server import Server

pytestmark = pytest.mark.chaos

Choice = Callable[[random.Random], Fault]


def kill_at(*points: str) -> Choice:
    """One point after the other, again and again."""
    order = iter(points * 100)
    return lambda _: Kill(point=next(order))


def kill_after(seconds: float) -> Choice:
    return lambda _: Kill(seconds=seconds)


def new_seed() -> int:
    """Printed by every report, so that `--seed` repeats it."""
    return random.SystemRandom().randrange(2**32)


def clean(report: Report) -> bool:
    print(report)
    return not report.violations


SERIES = {
    "nothing-1": (3, ""),
    "nothing-2": (3, ""),
    "nothing-3": (3, ""),
    "power-cut": (4, ""),
    "fsync-fails": (3, "takes no more blocks"),
    "write-fails": (3, "takes no more blocks"),
    "everything-twice": (3, ""),
    "clock-jumps": (3, ""),
}
"""25 kills: how many with which fault planted besides, and what the server's log then says. None is a long test: those
without a fault are three, so that processes share them."""


@pytest.mark.parametrize("plant", SERIES)
async def test_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path, plant: str) -> None:
    cycles, sign = SERIES[plant]
    module, env = ("tests.chaos.planted", {"HEADRACE_PLANT": plant}) if "nothing" not in plant else ("headrace", {})
    env["HEADRACE_RETENTION_INTERVAL"] = "0.5"
    report = await run(
        tmp_path,
        cycles=cycles,
        seed=new_seed(),
        module=module,
        env=env,
        fault=lambda chance: choose(chance, stop_seconds=(1, 1.5)),
    )
    assert report.history.acknowledged > 100
    assert clean(report)
    assert sign in (tmp_path / "data.log").read_text()  # the planted fault did strike


CATCHES: dict[str, tuple[int, Choice]] = {
    "synchronous-off": (1, kill_after(0.3)),
    "ack-before-commit": (1, kill_after(0.2)),
    "queue-ack-before-store": (1, kill_after(0.4)),
    "no-dedup": (1, kill_at("queue.after_commit:60")),
    "no-block-dedup": (1, kill_at("drain.after_write:8")),
}
"""How many faults of which kind usually show each bug."""


@pytest.mark.parametrize("bug", BUGS)
async def test_the_checker_finds_a_planted_bug(tmp_path: Path, bug: str) -> None:
    cycles, fault = CATCHES[bug]
    env = {"HEADRACE_PLANT": bug}
    for attempt in range(4):  # a bug that needs a certain moment need not show at the first kill
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = await run(folder, cycles=cycles, seed=new_seed(), module="tests.chaos.planted", env=env, fault=fault)
        print(report)
        if report.violations:
            return
    pytest.fail(f"{bug} was not found")


async def test_a_stopped_process_goes_on_where_it_was(tmp_path: Path) -> None:
    assert clean(await run(tmp_path, cycles=1, seed=new_seed(), fault=lambda _: Stop(1.5)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """48 MiB, mounted where the data will be."""
    folder = tmp_path / "data"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_full_disk_refuses_goes_on_reading_and_resumes_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    server = Server(small_disk, env={"HEADRACE_MIN_FREE_BYTES": "0"})
    ledger = Ledger(tmp_path / "ledger.jsonl")
    try:
        await start(server)
        traffic = Traffic(server.port, server.key, ledger, new_seed(), pause=0.005)
        traffic.start()
        await until(lambda: traffic.acknowledged > 200)
        for _ in range(200):  # the drain needs a moment
            if await readable(server):
                break
            await asyncio.sleep(0.05)
        ballast = small_disk / "ballast"
        await asyncio.to_thread(fill, ballast)
        await until(lambda: traffic.refused > 50)
        assert await readable(server)
        ballast.unlink()
        acknowledged = traffic.acknowledged
        await until(lambda: traffic.acknowledged > acknowledged + 200)
        report = await conclude(server, traffic, ledger, 0)
        assert report.history.statuses["503"] > 50
        assert clean(report)
    finally:
        server.close()
        ledger.close()


def fill(ballast: Path) -> None:
    """Take all the room there is, for long enough that nothing which was being written gets by."""
    with ballast.open("wb", buffering=0) as file:
        quiet = time.monotonic() + 0.5
        while time.monotonic() < quiet:
            try:
                file.write(bytes(4096))
                quiet = time.monotonic() + 0.5
            except OSError:
                time.sleep(0.01)


async def readable(server: Server) -> bool:
    connection = Connection(server.port, server.key)
    answer = await connection.ask("GET", "/v1/buckets/default/events?limit=10")
    connection.close()
    assert answer.status == 200, answer.body
    return len(answer.json()["events"]) == 10


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)
