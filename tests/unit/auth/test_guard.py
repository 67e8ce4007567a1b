"""The guard: exact under concurrency, blind to whether an account exists, and fair to who shares an address."""

from __future__ import annotations

import asyncio

import pytest

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.auth.guard import Guard
from headrace.errors import OverQuota, Unavailable
from headrace.ports.limiter import Limit
from tests.unit.auth.fakes_signin import HeldLimiter
from tests.unit.control import HandClock

ACCOUNT, ADDRESS = Limit("account", 10, 900), Limit("address", 100, 900)
HERE = "203.0.113.7"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def guard(clock: HandClock) -> Guard:
    return Guard(MemoryLimiter(clock), ACCOUNT, ADDRESS)


async def entered(guard: Guard, account: str | None, address: str = HERE, *, door: str = "login") -> bool:
    try:
        await guard.enter(door, account, address)
    except OverQuota:
        return False
    return True


async def test_ten_attempts_pass_and_the_eleventh_is_told_when_to_come_back(guard: Guard, clock: HandClock) -> None:
    for _ in range(10):
        assert await entered(guard, "ada")
        clock.seconds += 1
    with pytest.raises(OverQuota) as refused:
        await guard.enter("login", "ada", HERE)
    assert (refused.value.code, refused.value.retry_after) == ("too-many-attempts", 890)
    assert (refused.value.policy, refused.value.quota, refused.value.window) == ("account", 10, 900)
    clock.seconds += 890
    assert await entered(guard, "ada")


async def test_of_fifty_at_once_exactly_ten_pass(clock: HandClock) -> None:
    guard = Guard(HeldLimiter(clock), ACCOUNT, ADDRESS)
    passed = await asyncio.gather(*(entered(guard, "ada", f"203.0.113.{n}") for n in range(50)))
    assert sum(passed) == 10


async def test_an_address_may_fail_a_hundred_times_whatever_the_names(guard: Guard) -> None:
    passed = [await entered(guard, f"user-{n}") for n in range(150)]
    assert passed == [True] * 100 + [False] * 50
    assert await entered(guard, "user-149", "203.0.113.8")


async def test_success_forgives_the_account(guard: Guard) -> None:
    for _ in range(3):
        for _ in range(10):
            assert await entered(guard, "ada")
        await guard.succeeded("login", "ada", HERE)


async def test_an_office_behind_one_address_is_not_locked_out_by_its_sign_ins(guard: Guard) -> None:
    for n in range(300):
        assert await entered(guard, f"user-{n}")
        await guard.succeeded("login", f"user-{n}", HERE)


async def test_success_gives_back_one_attempt_of_the_address_and_no_more(guard: Guard) -> None:
    for n in range(99):
        assert await entered(guard, f"user-{n}")
    for _ in range(5):  # an account of the guesser's own in between
        assert await entered(guard, "mallory")
        await guard.succeeded("login", "mallory", HERE)
    assert await entered(guard, "user-99")
    assert not await entered(guard, "user-100")


async def test_knocking_at_a_closed_account_does_not_use_up_the_address(guard: Guard) -> None:
    for _ in range(200):
        await entered(guard, "ada")
    assert await entered(guard, "grace")


async def test_a_closed_address_cannot_lock_accounts(guard: Guard) -> None:
    for n in range(100):
        await entered(guard, f"user-{n}")
    for _ in range(20):
        assert not await entered(guard, "ada")
    for _ in range(10):
        assert await entered(guard, "ada", "203.0.113.8")


async def test_doors_are_counted_apart(guard: Guard) -> None:
    for _ in range(11):
        await entered(guard, "ada")
    assert await entered(guard, "ada", door="register")


async def test_addresses_of_one_64_count_as_one(guard: Guard) -> None:
    passed = [await entered(guard, f"user-{n}", f"2001:db8:0:1::{n:x}") for n in range(101)]
    assert passed == [True] * 100 + [False]
    assert await entered(guard, "other", "2001:db8:0:2::1")


async def test_ipv4_in_ipv6_is_the_same_address(guard: Guard) -> None:
    for n in range(100):
        await entered(guard, f"user-{n}", f"::ffff:{HERE}" if n % 2 else HERE)
    assert not await entered(guard, "other")


async def test_without_an_account_only_the_address_counts(guard: Guard) -> None:
    passed = [await entered(guard, None, door="verify") for _ in range(101)]
    assert passed == [True] * 100 + [False]


@pytest.mark.parametrize("name", ["a" * 1_000_000, "\ud800", "hunter2\0"])
async def test_keys_are_short_and_hold_nothing_of_the_name(clock: HandClock, name: str) -> None:
    limiter = HeldLimiter(clock)
    await Guard(limiter, ACCOUNT, ADDRESS).enter("login", name, HERE)
    assert all(len(key) < 80 and "hunter2" not in key for key in limiter.logs)


async def test_limits_go_on_in_this_process_while_the_limiter_is_away(clock: HandClock) -> None:
    shared = HeldLimiter(clock)
    guard = Guard(shared, ACCOUNT, ADDRESS, MemoryLimiter(clock))
    shared.down = True
    passed = await asyncio.gather(*(entered(guard, "ada") for _ in range(50)))
    assert sum(passed) == 10
    await guard.succeeded("login", "ada", HERE)
    assert await entered(guard, "ada")


async def test_without_a_second_limiter_nobody_passes_uncounted(clock: HandClock) -> None:
    shared = HeldLimiter(clock)
    guard = Guard(shared, ACCOUNT, ADDRESS)
    shared.down = True
    with pytest.raises(Unavailable):
        await guard.enter("login", "ada", HERE)


async def test_a_success_counts_even_if_the_limiter_cannot_be_told(clock: HandClock) -> None:
    shared = HeldLimiter(clock)
    guard = Guard(shared, ACCOUNT, ADDRESS)
    await guard.enter("login", "ada", HERE)
    shared.down = True
    await guard.succeeded("login", "ada", HERE)


async def test_what_we_could_not_do_counts_for_nothing(guard: Guard) -> None:
    for _ in range(300):
        with pytest.raises(Unavailable):
            async with guard.passing("login", "ada", HERE):
                raise Unavailable("the database is away")
    assert await entered(guard, "ada")


async def test_what_was_refused_inside_stays_counted(guard: Guard) -> None:
    for _ in range(10):
        with pytest.raises(ValueError, match="wrong"):
            async with guard.passing("login", "ada", HERE):
                raise ValueError("wrong")
    assert not await entered(guard, "ada")


async def test_forgiving_an_account_leaves_its_address_counted(guard: Guard) -> None:
    for _ in range(10):
        await entered(guard, "ada")
    await guard.forgive("login", "ada")
    passed = [await entered(guard, f"user-{n}") for n in range(91)]
    assert passed == [True] * 90 + [False]
