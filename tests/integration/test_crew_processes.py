"""Child processes of a crew as a system sees them: they end with their parent, cost nothing while idle, find the
project's modules, and stand what a handler does to a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.waiting import becomes

SERVER = """
import asyncio, os, sys, time
from headrace.adapters.processes.crew import Crewing, ProcessCrew
from headrace.model.task import Status, Task

def task(number, kind, args=b"{}"):
    return Task(number, kind, "o", 0, Status.RUNNING, args, "default", 5, 1, 5, lease=number)

async def opened(modules=(), processes=1, concurrency=4):
    crew = ProcessCrew(Crewing(modules, processes, concurrency))
    crew.start()
    while crew.room() < processes * concurrency:
        await asyncio.sleep(0.01)
    return crew

async def ended(crew, *tasks):
    crew.run(tasks)
    found = {}
    while len(found) < len(tasks):
        for report in await crew.reports():
            if type(report).__name__ == "Ended":
                found[report.task.id] = report
    return [found[task.id] for task in tasks]
"""


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    text = SERVER + textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", text], cwd=folder, stdout=subprocess.PIPE, text=True)


def line(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline().strip()


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


WAITING = """
async def main():
    crew = await opened(("shop",))
    crew.run([task(1, "{kind}")])
    await asyncio.sleep(0.3)
    print(*crew.pids(), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
SHOP = """
import asyncio, time
from headrace.handlers import task

@task("idle")
async def idle(): await asyncio.sleep(60)

@task("busy")
def busy():
    while True: pass

@task("blocked")
async def blocked(): time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["idle", "busy", "blocked"])
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    server = start(WAITING.format(kind=kind), tmp_path)
    pid = int(line(server))
    assert lives(pid)
    server.kill()
    server.wait()
    becomes(lambda: not lives(pid), within=10)


def test_modules_are_found_in_the_current_directory_and_it_shadows_nothing_without_them(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from headrace.handlers import task\n@task('where')\ndef where(): return __file__\n"
    )
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the wrong one')\n")
    script = """
        async def main():
            crew = await opened(("shop",))
            [one] = await ended(crew, task(1, "where"))
            print(one.result.decode(), flush=True)
            await crew.close(1)
            bare = await opened()
            print(sorted(bare.types), flush=True)
            await bare.close(1)
        asyncio.run(main())
    """
    text = "import sys; sys.path.pop(0)\n" + SERVER + textwrap.dedent(script)  # as a console script does not see it
    command = [sys.executable, "-c", text]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.splitlines() == [f'"{tmp_path}/shop.py"', "['add', 'http.request']"], found.stderr


def test_the_handlers_of_the_guide_do_what_it_says(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "howto" / "write-handlers.md"
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tasks.py").write_text(guide.read_text().partition("```python\n")[2].partition("```")[0])
    script = """
        async def main():
            crew = await opened(("shop.tasks",))
            ends = await ended(
                crew, task(1, "shop.send", b'{"order_id":7}'), task(2, "shop.send", b'{"order_id":0}'),
                task(3, "shop.send", b'{"order_id":7,"note":"closed"}'), task(4, "shop.count", b'{"numbers":[1,2,3]}'),
            )
            for each in ends:
                print(each.ending, (each.result or b"").decode(), each.error, each.retry_after, sep="|", flush=True)
            await crew.close(1)
        asyncio.run(main())
    """
    server = start(script, tmp_path)
    try:
        assert [line(server) for _ in range(4)] == [
            'succeeded|{"order":7,"sent":true}|None|None', "failed||there is no order 0|None",
            "retry||the shop is closed|600.0", "succeeded|6|None|None",
        ]
    finally:
        server.kill()
        server.wait()


def test_a_crew_with_nothing_to_do_costs_nothing(tmp_path: Path) -> None:
    script = """
        async def main():
            crew = await opened()
            await ended(crew, task(1, "add", b'{"a":1,"b":2}'))
            await asyncio.sleep(1)
            print(*crew.pids(), flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    server = start(script, tmp_path)
    try:
        child = int(line(server))
        time.sleep(0.5)  # it has said so, and lies down
        before = cpu_seconds(child) + cpu_seconds(server.pid)
        waits = [_switches(pid) for pid in (child, server.pid)]
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(3)
        assert cpu_seconds(child) + cpu_seconds(server.pid) - before <= 0.02
        assert [_switches(pid) for pid in (child, server.pid)] == waits, "something woke up"
    finally:
        server.kill()
        server.wait()


def _switches(pid: int) -> str:
    [found] = [row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("voluntary")]
    return found


def test_signals_that_reach_the_whole_group_are_left_to_the_parent(tmp_path: Path) -> None:
    """Ctrl-C at a terminal, and the stop of a service, reach every process of it at once."""
    (tmp_path / "shop.py").write_text(SHOP)
    server = start(WAITING.format(kind="idle"), tmp_path)
    try:
        pid = int(line(server))
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.5)
        assert lives(pid)
    finally:
        server.kill()
        server.wait()


def test_a_process_that_a_handler_forks_does_not_hide_the_death_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import os, time\nfrom headrace.handlers import task\n@task('forks')\ndef forks():\n"
        "    if os.fork() == 0:\n        time.sleep(8)\n        os._exit(0)\n    os.kill(os.getpid(), 9)\n"
    )
    script = """
        async def main():
            crew = await opened(("shop",))
            began = time.monotonic()
            [one] = await ended(crew, task(1, "forks"))
            print(one.error, time.monotonic() - began < 6, flush=True)
            await crew.close(1)
        asyncio.run(main())
    """
    server = start(script, tmp_path)
    try:
        assert line(server) == "the process that ran it was killed by SIGKILL True"
    finally:
        server.kill()
        server.wait()
