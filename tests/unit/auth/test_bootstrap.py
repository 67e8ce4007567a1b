"""The first key, through crashes and moves, with a real file."""

from __future__ import annotations

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.adapters.system.key_file import SystemKeyFile
from headrace.auth.bootstrap import ensure_admin_key
from headrace.auth.keys import matches, new_key
from headrace.errors import Unavailable, Unusable
from headrace.model.principal import Role
from tests.unit.control import NOW, HandClock, HeldKeys

CLOCK = HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.key"


async def test_the_first_start_makes_a_key_that_works_for_its_owner_alone(path: Path) -> None:
    keys = HeldKeys()
    text = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    assert path.read_text() == text + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (key,) = keys.keys.values()
    assert (key.role, key.owner_id, key.expires_at) == (Role.ADMIN, None, None)
    assert matches(text.split("_")[2], key.secret_sha256)
    assert list(path.parent.iterdir()) == [path]


async def test_the_first_start_is_audited_without_the_secret(path: Path) -> None:
    keys = HeldKeys()
    text = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    (record,) = keys.audited
    assert (record.action, record.target_id, record.time) == ("key.created", text.split("_")[1], NOW)
    assert text.split("_")[2] not in repr(record)


async def test_the_next_start_finds_the_same_key_and_records_nothing(path: Path) -> None:
    keys = HeldKeys()
    first = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    assert await ensure_admin_key(keys, SystemKeyFile(path), CLOCK) == first
    assert len(keys.keys) == len(keys.audited) == 1


async def test_a_crash_between_the_file_and_the_row_is_made_good_by_the_next_start(path: Path) -> None:
    keys = HeldKeys()
    keys.down = True
    with pytest.raises(Unavailable):
        await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    left = path.read_text().strip()
    keys.down = False
    assert await ensure_admin_key(keys, SystemKeyFile(path), CLOCK) == left
    assert len(keys.audited) == 1


async def test_a_second_machine_on_the_same_data_makes_its_own_key_and_says_so(tmp_path: Path) -> None:
    keys = HeldKeys()
    first = await ensure_admin_key(keys, SystemKeyFile(tmp_path / "a.key"), CLOCK)
    second = await ensure_admin_key(keys, SystemKeyFile(tmp_path / "b.key"), CLOCK)
    assert first != second
    assert [record.target_id for record in keys.audited] == [first.split("_")[1], second.split("_")[1]]
    assert len(keys.keys) == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"hr_short", b"\xff\xfe", new_key().encode() * 2])
async def test_a_file_that_holds_no_key_stops_the_start_and_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    keys = HeldKeys()
    with pytest.raises(Unusable, match=r"admin\.key"):
        await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    assert path.read_bytes() == content
    assert keys.keys == {}


async def test_a_file_whose_secret_is_not_the_known_one_stops_the_start(path: Path) -> None:
    keys = HeldKeys()
    text = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    path.write_text(text[:-32] + new_key()[-32:])
    with pytest.raises(Unusable, match=r"admin\.key"):
        await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)


async def test_a_revoked_key_stays_dead_and_the_start_goes_on_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = HeldKeys()
    text = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    (created,) = keys.audited
    await keys.revoke_key(text.split("_")[1], replace(created, id=1, time=77))
    assert await ensure_admin_key(keys, SystemKeyFile(path), CLOCK) == text
    (key,) = keys.keys.values()
    assert key.revoked_at == 77
    assert len(keys.audited) == 2
    (warning,) = caplog.records
    assert "admin.key" in warning.getMessage()
    assert text.split("_")[2] not in warning.getMessage()


async def test_without_its_file_a_revoked_key_gives_way_to_a_new_one(path: Path) -> None:
    keys = HeldKeys()
    old = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    await keys.revoke_key(old.split("_")[1], replace(keys.audited[0], id=1))
    path.unlink()
    new = await ensure_admin_key(keys, SystemKeyFile(path), CLOCK)
    assert new != old
    assert keys.keys[new.split("_")[1]].revoked_at is None


async def test_processes_that_start_at_once_share_one_key(path: Path) -> None:
    keys = HeldKeys()
    with ThreadPoolExecutor(8) as pool:
        loop = asyncio.get_running_loop()
        texts = await asyncio.gather(
            *(loop.run_in_executor(pool, start, path, keys) for _ in range(8)),
        )
    assert len(set(texts)) == 1


def start(path: Path, keys: HeldKeys) -> str:
    return asyncio.run(ensure_admin_key(keys, SystemKeyFile(path), CLOCK))


async def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        await ensure_admin_key(HeldKeys(), SystemKeyFile(tmp_path / "missing" / "admin.key"), CLOCK)
