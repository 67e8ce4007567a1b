"""What was sent is counted once, on its day, and shown to those who may know."""

from __future__ import annotations

import asyncio

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Forbidden, OutcomeUnknown, Unavailable
from headrace.kit.times import DAY, SECOND
from headrace.metering.usage import KEPT_DAYS, Tally, UsageDesk, UsageMeter
from headrace.model.account import Usage
from headrace.model.principal import API_KEY, USER, VIEWER, Permission, Principal, Role
from tests.unit.control import NOW, HandClock
from tests.unit.metering.fakes import TODAY, HeldLedger, Rig, bucket, key, user

DAY_LEFT = (DAY - NOW % DAY) // SECOND
MANAGE = frozenset({Permission.MANAGE})
WRITE = frozenset({Permission.WRITE})


async def test_what_was_sent_is_written_once() -> None:
    rig = Rig()
    for size in (100, 200):
        await rig.send(key("k1"), bucket(1), 3, size)
    await rig.send(key("k2"), bucket(1), 1, 50)
    await rig.send(user("ada"), bucket(2), 1, 60)
    assert rig.ledger.lines == []
    for _ in range(3):
        assert await rig.meter.step() == 0
    assert rig.ledger.lines == [
        Usage(TODAY, 1, API_KEY, "k1", 6, 300),
        Usage(TODAY, 1, API_KEY, "k2", 1, 50),
        Usage(TODAY, 2, USER, "ada", 1, 60),
    ]


async def test_a_request_that_fails_is_no_usage() -> None:
    rig = Rig()
    await rig.send(key(), bucket(), 0)
    await rig.meter.step()
    assert rig.ledger.lines == []


async def test_what_could_not_be_written_is_written_later_with_what_came_since() -> None:
    rig = Rig()
    rig.ledger.down = True
    for _ in range(3):
        await rig.send(key(), bucket())
        with pytest.raises(Unavailable):
            await rig.meter.step()
    rig.ledger.down = False
    await rig.meter.step()
    await rig.meter.step()
    assert rig.ledger.counted() == {(0, 1, "k1"): (3, 300)}


async def test_what_may_be_written_is_not_written_again() -> None:
    rig = Rig()
    await rig.send(key(), bucket())
    rig.ledger.unsure = True
    with pytest.raises(OutcomeUnknown):
        await rig.meter.step()
    rig.ledger.unsure = False
    await rig.meter.close()
    assert rig.ledger.counted() == {(0, 1, "k1"): (1, 100)}


async def test_what_is_counted_while_it_is_written_is_not_lost() -> None:
    rig = Rig()
    await rig.send(key(), bucket())
    step = asyncio.create_task(rig.meter.step())
    for _ in range(10):
        await rig.send(key(), bucket())
    await step
    await rig.meter.close()
    assert rig.ledger.counted() == {(0, 1, "k1"): (11, 1_100)}


async def test_a_ticket_that_was_dropped_still_counts() -> None:
    rig = Rig()
    ticket = await rig.gate.enter(key(), bucket())
    rig.clock.seconds += 100
    await rig.send(key("k2"), bucket())  # tidies up
    ticket.charge(1, 100)
    await rig.meter.step()
    ticket.charge(1, 100)
    await rig.meter.close()
    assert rig.ledger.counted()[0, 1, "k1"] == (2, 200)


async def test_closing_writes_the_rest_and_tries_again() -> None:
    rig = Rig()
    await rig.send(key(), bucket())
    rig.ledger.down = True
    closing = asyncio.create_task(rig.meter.close())
    await asyncio.sleep(0)
    rig.ledger.down = False
    await closing
    assert rig.ledger.counted() == {(0, 1, "k1"): (1, 100)}


async def test_closing_gives_up_in_the_end() -> None:
    rig = Rig()
    await rig.send(key(), bucket())
    rig.ledger.down = True
    await rig.meter.close()
    assert rig.clock.seconds < 5


async def test_each_event_counts_on_its_day() -> None:
    rig = Rig()
    await rig.send(key(), bucket())
    rig.clock.seconds += DAY_LEFT + 1
    rig.meter.look_at_day()  # as the timer does
    await rig.send(key(), bucket(), 2, 200)
    await rig.meter.step()
    assert rig.ledger.counted() == {(0, 1, "k1"): (1, 100), (1, 1, "k1"): (2, 200)}


async def test_the_day_turns_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, clock = HeldLedger(), MemoryClock(now=(TODAY + 1) * DAY - SECOND // 50)
    meter = UsageMeter(ledger, clock)
    await meter.step()
    tally = Tally(meter, 1, API_KEY, "k1")
    tally.count(1, 100)
    clock.jump(1)
    async with asyncio.timeout(5):
        while meter.day == TODAY:  # noqa: ASYNC110 - a timer of the loop turns it
            await asyncio.sleep(0.005)
    tally.count(1, 100)
    await meter.close()
    assert ledger.counted() == {(0, 1, "k1"): (1, 100), (1, 1, "k1"): (1, 100)}


async def test_old_days_are_forgotten_once_a_day() -> None:
    rig = Rig()
    for _ in range(3):
        await rig.meter.step()
    rig.clock.seconds += 86_400
    await rig.meter.step()
    assert rig.ledger.forgotten == [TODAY - KEPT_DAYS, TODAY + 1 - KEPT_DAYS]


# --- who may see it ---------------------------------------------------------------------------------------------------


def desk_with(*lines: tuple[int, int, str, str]) -> tuple[UsageDesk, UsageMeter]:
    """(days ago, bucket, kind, who): one event of 10 bytes each. ka and kc are ada's keys, and kb is bob's."""
    ledger, clock = HeldLedger(ka="ada", kc="ada", kb="bob"), HandClock()
    ledger.lines = [Usage(TODAY - ago, where, kind, who, 1, 10) for ago, where, kind, who in lines]
    meter = UsageMeter(ledger, clock)
    return UsageDesk(ledger, meter, clock), meter


SENT = [(0, 1, USER, "ada"), (0, 1, API_KEY, "ka"), (0, 1, API_KEY, "kb"), (0, 2, API_KEY, "ka"), (0, 2, API_KEY, "kb")]
ADA = user("ada", grants={1: MANAGE, 2: WRITE})


async def seen(principal: Principal, by: str, *lines: tuple[int, int, str, str]) -> dict[str, int]:
    desk, _ = desk_with(*(lines or SENT))
    return {line.id: line.events for line in await desk.report(principal, by, None, None)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("principal", "by", "expected"),
    [
        (user("root", role=Role.ADMIN), "bucket", {"1": 3, "2": 2}),
        (user("root", role=Role.ADMIN), "key", {"ka": 2, "kb": 2}),
        (user("root", role=Role.ADMIN), "user", {"ada": 3, "bob": 2}),
        (ADA, "bucket", {"1": 3, "2": 1}),
        (ADA, "key", {"ka": 2, "kb": 1}),
        (ADA, "user", {"ada": 3, "bob": 1}),
        (user("bob", grants={1: WRITE}), "bucket", {"1": 1}),
        (user("bob", grants={1: WRITE}), "key", {"kb": 2}),
        (user("bob", role=Role.MANAGER), "user", {"bob": 2}),
        (user("eve"), "bucket", {}),
        (key("ka", owner="ada", grants={1: WRITE}), "key", {"ka": 2}),
        (key("ka", owner="ada", grants={1: WRITE}), "user", {}),
        (key("ka", owner="ada", grants={1: WRITE}), "bucket", {}),
        (key("ka", owner="ada", grants={2: MANAGE}), "bucket", {"2": 2}),
    ],
)
async def test_everyone_sees_their_own_and_what_they_manage(
    principal: Principal, by: str, expected: dict[str, int]
) -> None:
    assert await seen(principal, by) == expected


async def test_a_key_sees_nothing_of_the_other_keys_of_its_owner() -> None:
    sent = [(0, 1, API_KEY, "ka"), (0, 1, API_KEY, "kc"), (0, 1, USER, "ada")]
    assert await seen(key("ka", owner="ada", grants={1: WRITE}), "key", *sent) == {"ka": 1}


async def test_a_viewer_token_sees_no_usage() -> None:
    with pytest.raises(Forbidden):
        await seen(Principal("v", VIEWER, "v", Role.USER, grants={1: MANAGE}), "bucket")


async def test_the_days_that_the_span_touches_are_shown_newest_first() -> None:
    desk, _ = desk_with(*((ago, 1, USER, "ada") for ago in (0, 1, 2, 3, 29, 30)))
    admin = user("root", role=Role.ADMIN)

    async def days(since: int | None, until: int | None) -> list[int]:
        return [TODAY - line.day for line in await desk.report(admin, "bucket", since, until)]

    assert await days(None, None) == [0, 1, 2, 3, 29]
    assert await days(NOW - 2 * DAY, NOW - DAY) == [1, 2]
    assert await days((TODAY - 2) * DAY, (TODAY - 1) * DAY) == [2]
    assert await days(None, NOW - DAY) == [1, 2, 3, 29]
    assert await days(NOW, NOW - 3 * DAY) == []


async def test_who_has_just_sent_something_finds_it() -> None:
    desk, meter = desk_with()
    Tally(meter, 1, USER, "ada").count(5, 50)
    [line] = await desk.report(ADA, "bucket", None, None)
    assert (line.events, line.bytes) == (5, 50)
