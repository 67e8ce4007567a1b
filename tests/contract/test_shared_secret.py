"""What every adapter of `ports/shared_secret` promises."""

from __future__ import annotations

import asyncio

import pytest

from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.shared_secret import SqlSharedSecret
from headrace.ports.shared_secret import SharedSecret


@pytest.fixture
def shared(control: ControlDatabase) -> SharedSecret:
    return SqlSharedSecret(control)


async def test_there_is_none_at_first(shared: SharedSecret) -> None:
    assert await shared.find() is None


async def test_what_is_kept_is_found_by_all_and_after_a_restart(
    shared: SharedSecret, control: ControlDatabase, control_url: str
) -> None:
    assert await shared.keep("the first") == "the first"
    assert await shared.find() == "the first"
    await control.close()
    again = await ControlDatabase.open(control_url)
    assert await SqlSharedSecret(again).find() == "the first"
    await again.close()


async def test_the_first_stays(shared: SharedSecret) -> None:
    await shared.keep("the first")
    assert await shared.keep("another") == "the first"
    assert await shared.find() == "the first"


async def test_of_ten_kept_at_once_all_learn_of_one(shared: SharedSecret) -> None:
    kept = await asyncio.gather(*(shared.keep(f"secret {number}") for number in range(10)))
    assert set(kept) == {await shared.find()}


def test_it_says_where_it_is(shared: SharedSecret) -> None:
    assert "database" in shared.place
