"""Backup, restore, and the swap at the start: whole or not at all, whatever comes in and whenever it is killed."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from headrace.errors import Conflict, HeadraceError, Invalid, Malformed, TooLarge
from headrace.operations import restore as restoring
from headrace.operations.backup import MANIFEST, TEMPORARY, Backup
from headrace.operations.restore import READY, REPLACED, STAGING, Restore, swap_in
from tests.unit.operations.fakes import ADMIN, Audit, Clock, FileSnapshot

FILES = {"tasks.db": b"tasks", "queue.db": b"q" * 700_000, "events.duckdb": b"events", "control.db": b""}


class World:
    def __init__(self, directory: Path) -> None:
        self.directory, self.order, self.audit, self.free = directory, list[str](), Audit(), 1 << 40
        snapshots = [FileSnapshot(name, content, self.order) for name, content in FILES.items()]
        self.backup = Backup(snapshots, directory, Clock(), self.audit, "0.1.0")
        self.restore = Restore(
            directory, frozenset(FILES), Clock(), self.audit, free_bytes=lambda: self.free, restart=lambda: None
        )

    async def made(self) -> bytes:
        return b"".join([chunk async for chunk in self.backup.stream(ADMIN)])

    async def staged(self, tar: bytes, step: int = 1000) -> restoring.Staged:
        return await self.restore.stage(ADMIN, _chunks(tar, step))


async def _chunks(data: bytes, step: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), step):
        yield data[begin : begin + step]


def _tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_backup_is_a_tar_that_any_tool_reads_with_a_manifest_at_its_end(world: World) -> None:
    with tarfile.open(fileobj=io.BytesIO(await world.made())) as tar:
        names = tar.getnames()
        read = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert names[-1] == MANIFEST
    assert {name: read[name] for name in FILES} == FILES
    assert json.loads(read[MANIFEST])["files"]["events.duckdb"]["bytes"] == 6


async def test_the_snapshots_are_taken_in_the_order_given(world: World) -> None:
    await world.made()
    assert world.order == ["tasks.db", "queue.db", "events.duckdb", "control.db"]


async def test_a_backup_leaves_nothing_behind_even_when_the_client_hangs_up(world: World) -> None:
    stream = world.backup.stream(ADMIN)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    for _ in range(100):
        if not list(world.directory.glob(TEMPORARY + "*")):
            break
        await asyncio.sleep(0.01)
    assert list(world.directory.glob(TEMPORARY + "*")) == []
    await world.made()  # and the next one runs


async def test_only_one_backup_runs_at_a_time(world: World) -> None:
    first = world.backup.stream(ADMIN)
    await anext(first)
    with pytest.raises(Conflict):
        await anext(world.backup.stream(ADMIN))
    await first.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", [1, 511, 512, 513, 1 << 20])
async def test_what_was_backed_up_is_restored_however_the_bytes_come_in(world: World, step: int) -> None:
    if step == 1:
        small = [FileSnapshot(name, content[:2000]) for name, content in FILES.items()]
        world.backup = Backup(small, world.directory, Clock(), world.audit, "0")
    staged = await world.staged(await world.made(), step)
    assert staged.files == 4
    assert sorted(path.name for path in (world.directory / READY).iterdir()) == sorted(FILES)
    assert not (world.directory / STAGING).exists()


async def test_a_backup_from_before_tasks_is_restored_without_any(world: World) -> None:
    older = [FileSnapshot(name, content) for name, content in FILES.items() if name != "tasks.db"]
    world.backup = Backup(older, world.directory, Clock(), world.audit, "0")
    (world.directory / "tasks.db").write_bytes(b"of now")
    assert (await world.staged(await world.made())).files == 3
    assert swap_in(world.directory)
    assert (world.directory / "tasks.db").read_bytes() == b"", "which the start fills"
    assert (world.directory / REPLACED / "tasks.db").read_bytes() == b"of now"


async def test_a_backup_that_was_unpacked_and_packed_again_with_other_tools_is_taken(world: World) -> None:
    with tarfile.open(fileobj=io.BytesIO(await world.made())) as tar:
        members = [(_info("./" + one.name), tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    for info, _ in members:
        info.mtime = 1_700_000_000.5  # type: ignore[assignment]  # what tarfile.add puts into an extended header
    again = _tar((_info("./", tarfile.DIRTYPE), b""), *members, form=tarfile.PAX_FORMAT)
    assert (await world.staged(again)).files == 4


HOSTILE: list[tuple[str, Callable[[bytes], bytes], type[HeadraceError]]] = [
    ("empty", lambda good: b"", Malformed),
    ("no tar", lambda good: b"hello" * 1000, Malformed),
    ("cut in a file", lambda good: good[:300_000], Malformed),
    ("without its end", lambda good: good[:-1024], Malformed),
    ("without a manifest", lambda good: _tar(*((_info(name), content) for name, content in FILES.items())), Invalid),
    ("one bit flipped", lambda good: good[:5000] + bytes([good[5000] ^ 1]) + good[5001:], Invalid),
    ("a path upward", lambda good: _tar((_info("../queue.db"), b"x")), Invalid),
    ("an absolute path", lambda good: _tar((_info("/etc/passwd"), b"x")), Invalid),
    ("a folder", lambda good: _tar((_info("queue.db", tarfile.DIRTYPE), b"")), Malformed),
    ("a symbolic link", lambda good: _tar((_info("queue.db", tarfile.SYMTYPE, "/etc/passwd"), b"")), Malformed),
    ("a hard link", lambda good: _tar((_info("queue.db", tarfile.LNKTYPE, "control.db"), b"")), Malformed),
    ("a device", lambda good: _tar((_info("queue.db", tarfile.CHRTYPE), b"")), Malformed),
    ("a name that is not ours", lambda good: _tar((_info("admin.key"), b"x")), Invalid),
    ("the same file twice", lambda good: _tar((_info("queue.db"), b"x"), (_info("queue.db"), b"y")), Invalid),
    ("a long name", lambda good: _tar((_info("q" * 5000), b"x")), Malformed),
    ("a renaming header", lambda good: _tar((_info("ü" * 200), b"x"), form=tarfile.PAX_FORMAT), Malformed),
]


@pytest.mark.parametrize(("spoil", "error"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
async def test_a_hostile_tar_is_refused_and_leaves_nothing(
    world: World, spoil: Callable[[bytes], bytes], error: type[HeadraceError]
) -> None:
    with pytest.raises(error):
        await world.staged(spoil(await world.made()))
    assert not (world.directory / READY).exists()
    assert not (world.directory.parent / "queue.db").exists()


async def test_a_file_that_the_disk_cannot_hold_is_refused_before_it_is_written(world: World) -> None:
    tar = await world.made()
    world.free = 64 * 1024 * 1024 + 1000
    with pytest.raises(TooLarge):
        await world.staged(tar)


async def test_only_one_restore_runs_at_a_time(world: World) -> None:
    tar = await world.made()
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.sleep(0.05)
        yield tar

    running = asyncio.create_task(world.restore.stage(ADMIN, slow()))
    await begun.wait()
    with pytest.raises(Conflict):
        await world.staged(tar)
    await running


# --- The swap -----------------------------------------------------------------------------------------------------


def _before(directory: Path) -> None:
    """A data directory in use, with a log beside each file, and a staged restore."""
    for name in ("queue.db", "queue.db-wal", "events.duckdb", "events.duckdb.wal", "admin.key"):
        (directory / name).write_text(f"old {name}")
    (directory / READY).mkdir()
    for name in ("queue.db", "events.duckdb"):
        (directory / READY / name).write_text(f"new {name}")


def _content(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


AFTER = {"queue.db": "new queue.db", "events.duckdb": "new events.duckdb", "admin.key": "old admin.key"}


def test_the_swap_takes_the_logs_of_the_old_files_away_and_keeps_what_it_replaced(tmp_path: Path) -> None:
    _before(tmp_path)
    assert swap_in(tmp_path)
    assert _content(tmp_path) == AFTER
    assert _content(tmp_path / REPLACED)["queue.db-wal"] == "old queue.db-wal"
    assert not (tmp_path / READY).exists()


def test_without_a_restore_the_swap_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_text("old")
    (tmp_path / STAGING).mkdir()
    assert not swap_in(tmp_path)
    assert _content(tmp_path) == {"queue.db": "old"}
    assert not (tmp_path / STAGING).exists()


def test_the_swap_can_be_killed_at_any_step_and_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = 0
    while True:
        directory = tmp_path / str(step)
        directory.mkdir()
        _before(directory)
        left = step

        def perhaps(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **named: object) -> object:
                nonlocal left
                if left == 0:
                    raise InterruptedError("killed")
                left -= 1
                return real(*args, **named)

            return call

        with monkeypatch.context() as patch:
            for owner, name in ((Path, "rename"), (Path, "touch"), (Path, "mkdir"), (shutil, "rmtree")):
                patch.setattr(owner, name, perhaps(getattr(owner, name)))
            try:
                swap_in(directory)
                break  # as many steps as there are: this one was not killed
            except InterruptedError:
                pass
        swap_in(directory)
        assert _content(directory) == AFTER, f"killed at step {step}"
        assert _content(directory / REPLACED)["queue.db"] == "old queue.db", f"killed at step {step}"
        step += 1
    assert step > 6
