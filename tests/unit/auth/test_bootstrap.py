"""The first key, through crashes and moves, with a real file."""

from __future__ import annotations

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.adapters.system.key_file import SystemKeyFile
from headrace.auth.authenticate import Authenticator
from headrace.auth.bootstrap import ensure_admin_key
from headrace.auth.keys import new_key
from headrace.errors import Unavailable, Unusable
from headrace.model.principal import Role
from tests.unit.control import NOW, HandClock, HeldAccounts

CLOCK = HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.key"


async def test_the_first_start_makes_a_key_that_works_for_its_owner_alone(path: Path) -> None:
    accounts = HeldAccounts()
    text = await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    assert path.read_text() == text + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    principal = await Authenticator(accounts, CLOCK).authenticate(f"Bearer {text}")
    assert principal.role is Role.ADMIN
    assert list(path.parent.iterdir()) == [path]


async def test_the_first_start_is_audited_without_the_secret(path: Path) -> None:
    accounts = HeldAccounts()
    text = await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    (record,) = accounts.audited
    assert (record.action, record.target_id, record.time) == ("key.created", text.split("_")[1], NOW)
    assert text.split("_")[2] not in repr(record)


async def test_the_next_start_finds_the_same_key_and_records_nothing(path: Path) -> None:
    accounts = HeldAccounts()
    first = await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    assert await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK) == first
    assert len(accounts.keys) == len(accounts.audited) == 1


async def test_a_crash_between_the_file_and_the_row_is_made_good_by_the_next_start(path: Path) -> None:
    accounts = HeldAccounts()
    accounts.down = True
    with pytest.raises(Unavailable):
        await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    left = path.read_text().strip()
    accounts.down = False
    assert await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK) == left
    assert len(accounts.audited) == 1


async def test_a_second_machine_on_the_same_data_makes_its_own_key_and_says_so(tmp_path: Path) -> None:
    accounts = HeldAccounts()
    first = await ensure_admin_key(accounts, SystemKeyFile(tmp_path / "a.key"), CLOCK)
    second = await ensure_admin_key(accounts, SystemKeyFile(tmp_path / "b.key"), CLOCK)
    assert first != second
    assert [record.target_id for record in accounts.audited] == [first.split("_")[1], second.split("_")[1]]
    assert len(accounts.keys) == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"hr_short", b"\xff\xfe", new_key().encode() * 2])
async def test_a_file_that_holds_no_key_stops_the_start_and_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    accounts = HeldAccounts()
    with pytest.raises(Unusable, match=r"admin\.key"):
        await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    assert path.read_bytes() == content
    assert accounts.keys == {}


async def test_a_file_whose_secret_is_not_the_known_one_stops_the_start(path: Path) -> None:
    accounts = HeldAccounts()
    text = await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)
    path.write_text(text[:-32] + new_key()[-32:])
    with pytest.raises(Unusable, match=r"admin\.key"):
        await ensure_admin_key(accounts, SystemKeyFile(path), CLOCK)


async def test_processes_that_start_at_once_share_one_key(path: Path) -> None:
    accounts = HeldAccounts()
    with ThreadPoolExecutor(8) as pool:
        loop = asyncio.get_running_loop()
        texts = await asyncio.gather(
            *(loop.run_in_executor(pool, start, path, accounts) for _ in range(8)),
        )
    assert len(set(texts)) == 1


def start(path: Path, accounts: HeldAccounts) -> str:
    return asyncio.run(ensure_admin_key(accounts, SystemKeyFile(path), CLOCK))


async def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        await ensure_admin_key(HeldAccounts(), SystemKeyFile(tmp_path / "missing" / "admin.key"), CLOCK)
