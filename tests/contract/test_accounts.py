"""What every adapter of `ports/accounts` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.database import ControlDatabase
from headrace.model.principal import ApiKey, Role
from headrace.ports.accounts import Accounts
from tests.contract.records import record

KEY = ApiKey("abcdefghijklmnop", "deploy", bytes(range(224, 256)), Role.ADMIN, 1_700_000_000_000_000)


@pytest.fixture
def accounts(control: ControlDatabase) -> Accounts:
    return SqlAccounts(control)


async def audited(control: ControlDatabase) -> list[int]:
    return [written.id for written in await SqlAuditOutbox(control).pending(100)]


async def test_a_key_comes_back_as_it_was_stored(accounts: Accounts) -> None:
    expiring = replace(KEY, id="qrstuvwxyz234567", role=Role.USER, expires_at=5)
    await accounts.add_key(KEY, record(1))
    await accounts.add_key(expiring, record(2))
    assert await accounts.find_key(KEY.id) == KEY
    assert await accounts.find_key(expiring.id) == expiring


async def test_an_unknown_id_is_none(accounts: Accounts) -> None:
    await accounts.add_key(KEY, record(1))
    assert await accounts.find_key("abcdefghijklmno_") is None


async def test_the_same_id_again_changes_and_records_nothing(accounts: Accounts, control: ControlDatabase) -> None:
    await accounts.add_key(KEY, record(1))
    await accounts.add_key(replace(KEY, name="another", secret_sha256=bytes(32)), record(2))
    assert await accounts.find_key(KEY.id) == KEY
    assert await audited(control) == [1]


async def test_of_ten_who_add_a_key_at_once_none_fails_and_one_is_recorded(
    accounts: Accounts, control: ControlDatabase
) -> None:
    await asyncio.gather(*(accounts.add_key(KEY, record(number)) for number in range(1, 11)))
    assert len(await audited(control)) == 1
