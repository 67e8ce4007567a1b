"""What every adapter of `ports/signing_keys` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.signing_keys import SqlSigningKeys
from headrace.errors import Conflict
from headrace.model.account import SigningKey
from headrace.ports.signing_keys import SigningKeys
from tests.contract.records import audited, record


@pytest.fixture
def signing_keys(control: ControlDatabase) -> SigningKeys:
    return SqlSigningKeys(control)


def key(number: int, created_at: int | None = None) -> SigningKey:
    return SigningKey(f"kid-{number}", bytes([number]) * 100, number * 100 if created_at is None else created_at)


async def test_a_key_comes_back_as_it_was_added(signing_keys: SigningKeys) -> None:
    longest = SigningKey("k" * 64, bytes(range(256)) * 16, 2**62)
    assert await signing_keys.list_signing_keys() == []
    await signing_keys.add_signing_key(longest, record(1), retire=False)
    assert await signing_keys.list_signing_keys() == [longest]


async def test_a_rotation_retires_all_others_and_the_newest_comes_first(
    signing_keys: SigningKeys, control: ControlDatabase
) -> None:
    for number in (1, 2, 3):
        await signing_keys.add_signing_key(key(number), record(number), retire=True)
    retired = [replace(key(2), retired_at=300), replace(key(1), retired_at=200)]
    assert await signing_keys.list_signing_keys() == [key(3), *retired]
    assert await audited(control) == [1, 2, 3]


async def test_a_start_adds_no_key_where_one_signs(signing_keys: SigningKeys, control: ControlDatabase) -> None:
    await signing_keys.add_signing_key(key(1), record(1), retire=False)
    await signing_keys.add_signing_key(key(2), record(2), retire=False)
    assert await signing_keys.list_signing_keys() == [key(1)]
    assert await audited(control) == [1]


async def test_a_start_adds_a_key_where_all_are_retired(signing_keys: SigningKeys) -> None:
    retired = replace(key(1), retired_at=150)
    await signing_keys.add_signing_key(retired, record(1), retire=True)
    await signing_keys.add_signing_key(key(2), record(2), retire=False)
    assert await signing_keys.list_signing_keys() == [key(2), retired]


async def test_of_ten_that_start_at_once_one_adds_its_own(signing_keys: SigningKeys, control: ControlDatabase) -> None:
    starts = (signing_keys.add_signing_key(key(number), record(number), retire=False) for number in range(1, 11))
    await asyncio.gather(*starts)
    assert len(await signing_keys.list_signing_keys()) == len(await audited(control)) == 1


async def test_of_ten_rotations_at_once_one_key_signs(signing_keys: SigningKeys) -> None:
    await asyncio.gather(
        *(signing_keys.add_signing_key(key(number), record(number), retire=True) for number in range(1, 11))
    )
    keys = await signing_keys.list_signing_keys()
    assert len(keys) == 10
    assert sum(each.retired_at is None for each in keys) == 1


async def test_what_was_retired_before_is_forgotten_and_what_signs_never(signing_keys: SigningKeys) -> None:
    for number in (1, 2, 3):
        await signing_keys.add_signing_key(key(number), record(number), retire=True)
    await signing_keys.forget_signing_keys(200)
    assert [each.id for each in await signing_keys.list_signing_keys()] == ["kid-3", "kid-2", "kid-1"]
    await signing_keys.forget_signing_keys(201)
    assert [each.id for each in await signing_keys.list_signing_keys()] == ["kid-3", "kid-2"]
    await signing_keys.forget_signing_keys(2**62)
    assert await signing_keys.list_signing_keys() == [key(3)]


async def test_a_rotation_and_its_record_are_written_both_or_neither(signing_keys: SigningKeys) -> None:
    await signing_keys.add_signing_key(key(1), record(1), retire=False)
    with pytest.raises(Conflict):
        await signing_keys.add_signing_key(key(2), record(1), retire=True)
    assert await signing_keys.list_signing_keys() == [key(1)]
