"""What only the embedded task table can show: its file, its faults, its plans."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from headrace.adapters.sqlite import _task_finding, _task_reads, _task_store
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.errors import NewerFormat, OutcomeUnknown, Unavailable, Unusable
from headrace.model.task import Ending, Outcome, QueueChanges, Status, Task, TaskFilter, Wanted
from tests.contract.task_tables import ADA, BOB, NOW, SECOND, new, numbers, task_id
from tests.support.faulty_vfs import FaultyVfs, faulty_vfs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def disk() -> Iterator[FaultyVfs]:
    with faulty_vfs() as vfs:
        yield vfs


@pytest.fixture
async def tasks(path: Path, disk: FaultyVfs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteTasks]:
    """A table on the faulty disk that tries a broken file again at once."""
    monkeypatch.setattr(_task_store, "_RETRY_SECONDS", 0.0)
    opened = await SqliteTasks.open(path, vfs="faulty")
    yield opened
    await opened.close()


async def claim(tasks: SqliteTasks, limit: int = 10) -> list[Task]:
    return list(await tasks.claim(Wanted("here", limit, 60), NOW))


async def content(path: Path) -> list[int]:
    """Ids of all that the file holds, the oldest first."""
    tasks = await SqliteTasks.open(path)
    try:
        return [task.id for task in reversed(await tasks.find(TaskFilter(), limit=100_000))]
    finally:
        await tasks.close()


async def counted(tasks: SqliteTasks) -> dict[str, int]:
    return {one.status.value: one.count for one in await tasks.counts()}


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_a_failed_fsync_has_an_unknown_outcome_and_the_table_goes_on(tasks: SqliteTasks, disk: FaultyVfs) -> None:
    await tasks.add([new(1)], NOW)
    disk.sync_error = "tasks.db-wal"
    with pytest.raises(OutcomeUnknown):
        await tasks.add([new(2)], NOW)
    disk.sync_error = None
    await tasks.add([new(2), new(3)], NOW)
    assert sorted(task.id for task in await claim(tasks)) == numbers(1, 2, 3)
    assert await counted(tasks) == {"running": 3}


async def test_after_a_failed_fsync_nothing_is_added_before_the_wal_is_in_the_file(
    tasks: SqliteTasks, disk: FaultyVfs, path: Path
) -> None:
    await tasks.add([new(1)], NOW)
    disk.sync_error = "tasks.db-wal"
    with pytest.raises(OutcomeUnknown):
        await tasks.add([new(2)], NOW)
    with pytest.raises(Unavailable):
        await tasks.add([new(3)], NOW)
    disk.sync_error = None
    await tasks.add([new(4)], NOW)
    assert path.with_name("tasks.db-wal").stat().st_size < 300_000  # begun anew
    found = [task.id for task in await tasks.find(TaskFilter(), limit=10)]
    assert [one for one in found if one != task_id(2)] == numbers(4, 1)


async def test_a_call_that_fails_leaves_its_neighbours_alone(tasks: SqliteTasks) -> None:
    sent = [[new(1)], [new(2), new(3, args=None)], [new(4)]]
    answers = await asyncio.gather(*(tasks.add(one, NOW) for one in sent), return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False, True, False]
    assert [task.id for task in await tasks.find(TaskFilter(), limit=10)] == numbers(4, 1)
    assert await counted(tasks) == {"queued": 2}


@pytest.mark.parametrize("nth", range(0, 40, 3))
async def test_a_disk_that_is_full_at_the_nth_write_stores_nothing_and_reads_go_on(
    tasks: SqliteTasks, disk: FaultyVfs, path: Path, nth: int
) -> None:
    await tasks.add([new(number) for number in range(1, 11)], NOW)
    disk.full, disk.writes_left = "tasks.db-wal", nth
    refused: dict[int, str] = {}
    for number in range(11, 31):
        try:
            await tasks.add([new(number)], NOW)
        except Unavailable as exc:
            refused[number] = exc.code
    assert set(refused.values()) == {"disk-full"}
    stored = [number for number in range(1, 31) if number not in refused]
    assert sorted(task.id for task in await tasks.find(TaskFilter(), limit=100)) == numbers(*stored)
    with pytest.raises(Unavailable):
        await claim(tasks)
    disk.full = None
    assert len(await claim(tasks, 100)) == len(stored)
    assert await counted(tasks) == {"running": len(stored)}
    await tasks.close()
    assert await content(path) == numbers(*stored)


@pytest.mark.parametrize("nth", range(0, 40, 3))
async def test_a_write_error_loses_nothing_that_was_acknowledged(
    tasks: SqliteTasks, disk: FaultyVfs, path: Path, nth: int
) -> None:
    disk.write_error, disk.writes_left = "tasks.db-wal", nth
    stored = []
    for number in range(1, 31):
        if disk.failed:
            disk.write_error = None
        try:
            await tasks.add([new(number)], NOW)
        except Unavailable:
            continue
        stored.append(task_id(number))
    assert len(stored) >= 28
    await tasks.close()
    assert [one for one in await content(path) if one in stored] == stored


async def test_a_checkpoint_whose_fsync_fails_loses_nothing(
    tasks: SqliteTasks, disk: FaultyVfs, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_task_store, "_WAL_PAGES", 50)
    await tasks.add([new(1)], NOW)
    disk.sync_error = "tasks.db"
    stored = [task_id(1)]
    for number in range(2, 40):
        if disk.failed:
            disk.sync_error = None
        try:
            await tasks.add([new(number)], NOW)
        except Unavailable:
            continue
        stored.append(task_id(number))
    assert disk.failed
    assert len(stored) >= 37
    await tasks.close()
    assert [one for one in await content(path) if one in stored] == stored


async def test_reads_are_refused_in_words_when_the_table_is_closed(path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.close()
    await tasks.close()
    with pytest.raises(Unavailable, match="closed"):
        await tasks.get(1)
    with pytest.raises(Unavailable, match="closed"):
        await tasks.add([new(1)], NOW)
    await tasks.wait(60)


# --- the file --------------------------------------------------------------------------------------------------------


async def test_everything_is_as_it_was_after_a_restart(path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.change_queue("mail", QueueChanges(concurrency=2, rate_limit=3))
    sent = [new(number, (ADA, BOB)[number % 2], queue="mail", concurrency_key="k") for number in range(6)]
    await tasks.add(sent, NOW)
    before = await claim(tasks)
    queues = await tasks.queues()
    await tasks.close()
    tasks = await SqliteTasks.open(path)
    assert len(before) == 2
    assert await tasks.queues() == queues
    assert await claim(tasks) == []
    await tasks.finish([Outcome(task.id, task.lease, Ending.SUCCEEDED) for task in before], NOW)
    again = await claim(tasks)
    assert len(again) == 2
    assert min(task.lease for task in again) > max(task.lease for task in before)
    await tasks.close()


async def test_a_lease_number_is_not_given_twice_though_its_task_is_gone(path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.add([new(1)], NOW)
    (old,) = await claim(tasks)
    await tasks.finish([Outcome(old.id, old.lease, Ending.SUCCEEDED)], NOW)
    await tasks.delete(old.id)
    await tasks.close()
    tasks = await SqliteTasks.open(path)
    await tasks.add([new(1)], NOW)
    (again,) = await claim(tasks)
    await tasks.close()
    assert again.lease > old.lease


async def test_a_newer_format_is_refused(path: Path) -> None:
    await content(path)
    with apsw.Connection(str(path)) as connection:
        connection.pragma("user_version", 2)
    connection.close()
    with pytest.raises(NewerFormat, match="format 2"):
        await SqliteTasks.open(path)


async def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Unusable, match="another program"):
        await SqliteTasks.open(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, whatever it says " * 1000)
    with pytest.raises(Unusable, match="no task table of Headrace"):
        await SqliteTasks.open(path)


async def test_a_backup_made_under_load_is_one_file_with_all_that_was_acknowledged_before(
    path: Path, tmp_path: Path
) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.add([new(number, args=b'{"a":"%s"}' % (b"x" * 5000)) for number in range(1, 2001)], NOW)
    folder = tmp_path / "backup"
    folder.mkdir()
    backup = asyncio.create_task(tasks.backup(str(folder)))
    for number in range(2001, 2101):
        await tasks.add([new(number)], NOW)
    await backup
    await tasks.close()
    assert [one.name for one in folder.iterdir()] == ["tasks.db"]
    copied = await content(folder / "tasks.db")
    assert copied[:2000] == numbers(*range(1, 2001))


async def test_a_backup_that_cannot_be_written_says_so(path: Path, tmp_path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    with pytest.raises(Unavailable, match="copied"):
        await tasks.backup(str(tmp_path / "nowhere"))
    assert await tasks.add([new(1)], NOW)
    await tasks.close()


async def test_the_wal_is_used_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task_store, "_WAL_PAGES", 100)
    tasks = await SqliteTasks.open(path)
    for number in range(300):
        await tasks.add([new(number)], NOW)
    assert path.with_name("tasks.db-wal").stat().st_size < 2 * 1024 * 1024
    await tasks.close()


async def test_nothing_is_left_of_tasks_that_were_purged(path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.add([new(number, f"o{number}", args=b'{"word":"needle"}') for number in range(50)], NOW)
    while claimed := await claim(tasks, 100):
        await tasks.finish([Outcome(one.id, one.lease, Ending.FAILED, error="thread") for one in claimed], NOW)
    while await tasks.purge(NOW + SECOND):
        pass
    await tasks.close()
    connection = apsw.Connection(str(path))
    left = [connection.execute(f"SELECT count(*) FROM {name}").get for name in ("tasks", "lanes", "words_docsize")]
    connection.close()
    assert left == [0, 0, 0]


async def test_the_words_of_an_error_are_gone_when_the_task_succeeds(path: Path) -> None:
    tasks = await SqliteTasks.open(path)
    await tasks.add([new(1)], NOW)
    for ending in (Ending.RETRY, Ending.SUCCEEDED):
        (task,) = await claim(tasks)
        await tasks.finish([Outcome(task.id, task.lease, ending, result=b'"fine"', error="mistake")], NOW)
    await tasks.close()
    connection = apsw.Connection(str(path))
    found = [connection.execute("SELECT count(*) FROM words (?)", (word,)).get for word in ("mis", "fin")]
    connection.close()
    assert found == [0, 1]


# --- plans -----------------------------------------------------------------------------------------------------------


def plans(path: Path, *sql: str) -> list[str]:
    """What SQLite does for each statement, a line a step."""
    connection = apsw.Connection(str(path))
    steps: list[str] = []
    for one in sql:
        found = connection.execute(f"EXPLAIN QUERY PLAN {one}", (None,) * _places(one)).fetchall()
        steps += [str(row[3]) for row in found]
    connection.close()
    return steps


def _places(sql: str) -> int:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    return max(numbered) if numbered else sql.count("?")


async def test_every_list_and_look_goes_by_an_index(path: Path) -> None:
    await content(path)
    statements = [
        value
        for module in (_task_finding, _task_reads)
        for name, value in vars(module).items()
        if re.fullmatch(r"_[A-Z_]+", name) and isinstance(value, str) and value.startswith("SELECT")
    ]
    steps = plans(path, *statements)
    assert len(statements) >= 5
    assert [step for step in steps if re.match(r"SCAN (tasks|t)\b", step) and "USING" not in step] == []
    assert [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step] == []


async def test_changes_go_by_an_index(path: Path) -> None:
    from headrace.adapters.sqlite import _task_adding, _task_book, _task_claiming, _task_editing, _task_ending

    await content(path)
    statements = [
        value if value.lstrip().startswith(("SELECT", "UPDATE", "INSERT")) else _task_book._STATE + value
        for module in (_task_adding, _task_book, _task_claiming, _task_editing, _task_ending)
        for name, value in vars(module).items()
        if re.fullmatch(r"_[A-Z_]+", name) and isinstance(value, str) and re.search(r"tasks\b", value)
        and not value.startswith(("SELECT lane", "INSERT OR")) and name != "_STATE"
    ]  # fmt: skip
    steps = plans(path, *statements)
    assert len(statements) >= 10
    assert [step for step in steps if re.match(r"SCAN tasks\b", step) and "USING" not in step] == []
    assert [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step] == []


# --- SIGKILL ---------------------------------------------------------------------------------------------------------

_LOAD = """
import asyncio, os, sys
from pathlib import Path
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.model.task import Ending, Outcome, Wanted
from tests.contract.task_tables import NOW, new, task_id

def note(out, what, id):
    os.write(out, b"%s %d\\n" % (what, id))
    os.fdatasync(out)

async def add(tasks, out, number):
    await tasks.add([new(number, f"o{number % 3}", concurrency_key=str(number % 5))], NOW)
    note(out, b"added", task_id(number))

async def run(tasks, out):
    while True:
        claimed = await tasks.claim(Wanted("here", 4, 60), NOW)
        for task in claimed:
            note(out, b"claimed", task.id)
        await tasks.finish([Outcome(one.id, one.lease, Ending.SUCCEEDED, result=b"1") for one in claimed], NOW)
        for task in claimed:
            note(out, b"finished", task.id)

async def main(path, log, number):
    tasks = await SqliteTasks.open(Path(path))
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    await tasks.free("here", NOW)
    running = asyncio.create_task(run(tasks, out))
    while True:
        await asyncio.gather(*(add(tasks, out, number + one) for one in range(7)))
        number += 7

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def load_until_killed(path: Path, log: Path, first: int) -> None:
    """Adds and runs tasks from this number on; SIGKILL after some 300 lines of the log."""
    root = Path(__file__).resolve().parents[2]
    load = subprocess.Popen(
        [sys.executable, "-c", _LOAD, str(path), str(log), str(first)], cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}/src:{root}"},
    )  # fmt: skip
    try:
        written = log.read_bytes().count(b"\n")
        until = time.monotonic() + 30
        while log.read_bytes().count(b"\n") < written + 300 and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        load.send_signal(signal.SIGKILL)
        load.wait()


async def test_sigkill_in_mid_load_loses_nothing_that_was_acknowledged(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    for round_ in range(3):
        load_until_killed(path, log, 100_000 * round_)
    notes = [(what, int(number)) for what, number in (line.split() for line in log.read_text().splitlines())]
    assert len(notes) >= 900
    tasks = await SqliteTasks.open(path)
    await tasks.free("here", NOW)
    held = {task.id: task.status for task in await tasks.find(TaskFilter(), limit=1_000_000)}
    assert {number for what, number in notes if what == "added"} - held.keys() == set()
    assert {held[number] for what, number in notes if what == "finished"} == {Status.SUCCEEDED}
    assert await counted(tasks) == Counter(status.value for status in held.values())
    while claimed := await claim(tasks, 100):
        await tasks.finish([Outcome(task.id, task.lease, Ending.SUCCEEDED) for task in claimed], NOW)
    assert await counted(tasks) == {"succeeded": len(held)}
    await tasks.close()
