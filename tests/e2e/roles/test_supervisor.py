"""The parent of `--processes N`, with children that only say that they are there."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from headrace.cli.supervisor import Supervisor

READY = """
import os, sys, time
number, folder = sys.argv[-1].split(":", 3)[2:]
open(f"{{folder}}/ready-{{number}}", "w").write(str(os.getpid()))
open(f"{{sys.argv[1]}}/{{os.getpid()}}", "w").close()
{then}
time.sleep(600)
"""
DYING = READY.format(then="sys.exit(3)")
STUBBORN = READY.format(then="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
FAILING = "import sys; sys.exit(1)"


_before: set[int] = set()


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Callable[[str, int], Supervisor]]:
    _before.clear()
    _before.update(children())
    made: list[Supervisor] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def make(program: str, count: int) -> Supervisor:
        seen = tmp_path / "seen"
        seen.mkdir()
        command = [sys.executable, "-c", program, str(seen)]
        made.append(Supervisor(command, count, listening, tmp_path))
        return made[-1]

    yield make
    for supervisor in made:
        await supervisor.end()
    assert not children()


def children() -> set[int]:
    """Of this process, since the test began: other tests may have left servers that are still of use."""
    alive = {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}
    return alive - _before


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):
        while not what():  # noqa: ASYNC110 - of other processes nobody tells us
            await asyncio.sleep(0.05)


async def test_it_starts_as_many_as_it_is_told(supervised: Callable[[str, int], Supervisor]) -> None:
    assert await supervised(READY.format(then=""), 3).start()
    assert len(children()) == 3


async def test_it_gives_up_when_the_first_does_not_come_up(supervised: Callable[[str, int], Supervisor]) -> None:
    assert not await supervised(FAILING, 3).start()
    assert not children()


async def test_one_that_dies_is_replaced(supervised: Callable[[str, int], Supervisor]) -> None:
    assert await supervised(READY.format(then=""), 2).start()
    before = children()
    os.kill(min(before), signal.SIGKILL)
    await until(lambda: len(children()) == 2 and children() != before)


async def test_those_that_die_at_once_are_replaced_less_and_less_often(
    supervised: Callable[[str, int], Supervisor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = supervised(DYING, 1)
    await supervisor.start()
    monkeypatch.setattr("headrace.cli.supervisor._LIVED_SECONDS", 3_600.0)  # a slow machine takes long to start one
    await until(lambda: supervisor._deaths >= 3)
    assert 3 <= len(list((tmp_path / "seen").iterdir())) <= 4


async def test_sighup_replaces_all_and_there_are_never_fewer(supervised: Callable[[str, int], Supervisor]) -> None:
    supervisor = supervised(READY.format(then=""), 2)
    assert await supervisor.start()
    keeping = asyncio.create_task(supervisor.keep())
    before, fewest = children(), 2
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(100):
        while before & children() or len(children()) != 2:
            fewest = min(fewest, len(children()))
            await asyncio.sleep(0.01)
    assert fewest == 2
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(keeping, 10)


async def test_one_that_dies_while_another_is_replaced_is_replaced_too(
    supervised: Callable[[str, int], Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = supervised(READY.format(then=""), 2)
    assert await supervisor.start()
    dying = supervisor._running[1].process
    is_ready = supervisor._is_ready

    async def ready_when_the_other_is_dead(new: object) -> bool:
        dying.kill()
        await asyncio.sleep(0.5)  # its watch has looked by then, and there were enough
        return await is_ready(new)  # type: ignore[arg-type]

    monkeypatch.setattr(supervisor, "_is_ready", ready_when_the_other_is_dead)
    await supervisor._replace_all()
    assert len(children()) == 2


async def test_it_goes_on_trying_when_the_system_starts_no_process(
    supervised: Callable[[str, int], Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = supervised(READY.format(then=""), 2)
    assert await supervisor.start()
    command, supervisor._command = supervisor._command, ["/no/such/program"]
    supervisor._running[0].process.kill()
    await until(lambda: supervisor._deaths >= 3)
    assert len(children()) == 1
    supervisor._command = command
    await until(lambda: len(children()) == 2)


async def test_however_often_one_dies_the_pause_stays_short(supervised: Callable[[str, int], Supervisor]) -> None:
    supervisor = supervised(READY.format(then=""), 1)
    supervisor._deaths = 5_000
    assert supervisor._delay == 5.0
    await supervisor.end()


async def test_one_that_does_not_stop_is_killed(
    supervised: Callable[[str, int], Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cli.supervisor._STOP_SECONDS", 0.3)
    supervisor = supervised(STUBBORN, 1)
    assert await supervisor.start()
    await asyncio.sleep(0.5)  # it says that it is ready before it stops its ears
    await supervisor.end()
    assert not children()
