"""Who gets in, what it costs, and what a refusal says."""

from __future__ import annotations

import asyncio

import pytest

from headrace.errors import OverQuota, Unavailable
from headrace.kit.times import DAY, SECOND
from headrace.metering.gate import GateOptions
from headrace.model.bucket import Quota
from headrace.model.principal import VIEWER, Principal, Role
from tests.unit.control import NOW
from tests.unit.metering.fakes import Rig, bucket, key, user

DAY_LEFT = (DAY - NOW % DAY) // SECOND


async def refused(rig: Rig, *asked: object) -> OverQuota:
    with pytest.raises(OverQuota) as caught:
        await rig.send(*asked)  # type: ignore[arg-type]
    return caught.value


async def test_without_limits_everyone_gets_in_and_the_limiter_is_not_asked() -> None:
    rig = Rig()
    assert await rig.sent(500, key(), bucket()) == 500
    assert rig.limiter.leases == 0


@pytest.mark.parametrize(
    ("principal", "where", "options", "policy"),
    [
        (key(rate_limit=5), bucket(), GateOptions(key=50), "key"),
        (key(), bucket(), GateOptions(key=5), "key"),
        (user(owner_quota=Quota(5)), bucket(), GateOptions(key=1, user=50), "user"),
        (key(owner_quota=Quota(5)), bucket(), GateOptions(), "user"),
        (user(), bucket(), GateOptions(user=5), "user"),
        (key(), bucket(events=5), GateOptions(), "bucket"),
        (key(rate_limit=9, owner_quota=Quota(5)), bucket(events=7), GateOptions(), "user"),
        (Principal("v", VIEWER, "v", Role.USER), None, GateOptions(key=5), "key"),
    ],
)
async def test_the_narrowest_limit_that_applies_holds(
    principal: Principal, where: object, options: GateOptions, policy: str
) -> None:
    rig = Rig(options)
    assert await rig.sent(50, principal, where) == 5  # type: ignore[arg-type]
    error = await refused(rig, principal, where)
    assert (error.policy, error.quota, error.window, error.remaining) == (policy, 5, 1, 0)
    assert error.retry_after == error.reset == pytest.approx(0.2)


async def test_a_refusal_by_one_limit_takes_nothing_of_the_others() -> None:
    rig = Rig()
    narrow, wide = bucket(1, events=1), bucket(2)
    assert await rig.sent(50, key(rate_limit=10), narrow) == 1
    assert await rig.sent(50, key(rate_limit=10), wide) == 9


async def test_who_waits_as_long_as_told_gets_in() -> None:
    rig = Rig()
    await rig.sent(10, key(rate_limit=3), bucket())
    for _ in range(20):
        error = await refused(rig, key(rate_limit=3), bucket())
        rig.clock.seconds += error.retry_after
        await rig.send(key(rate_limit=3), bucket())


async def test_over_a_long_time_exactly_the_limit_gets_in() -> None:
    rig = Rig()
    principal, where = key(rate_limit=100), bucket()
    got_in = 0
    for _ in range(1_000):
        got_in += await rig.sent(7, principal, where)
        rig.clock.seconds += 0.01
    assert got_in in range(1_090, 1_101)  # 10 s, and the full bucket at the beginning


async def test_a_batch_gets_in_once_and_its_events_are_waited_for() -> None:
    rig = Rig()
    principal, where = key(rate_limit=100), bucket()
    await rig.send(principal, where, 1_000)
    assert (await refused(rig, principal, where)).retry_after == pytest.approx(9.01)
    rig.clock.seconds += 9
    await refused(rig, principal, where)
    rig.clock.seconds += 0.02
    await rig.send(principal, where)


async def test_a_flood_at_one_moment_pays_before_it_is_charged() -> None:
    rig = Rig()
    got_in = await rig.sent(1_000, key(rate_limit=20), bucket(), events=50)
    assert 1 <= got_in <= 20
    error = await refused(rig, key(rate_limit=20), bucket())
    assert error.retry_after == pytest.approx((got_in * 50 - 20 + 1) / 20)


async def test_a_request_that_fails_costs_one() -> None:
    rig = Rig()
    for _ in range(10):
        await rig.send(key(rate_limit=10), bucket(), 0)
    await refused(rig, key(rate_limit=10), bucket())


async def test_requests_without_a_bucket_cost_one_and_nothing_of_a_bucket() -> None:
    rig = Rig()
    assert await rig.sent(50, key(rate_limit=10, owner_quota=Quota(None, 1)), None, events=0) == 10


async def test_credentials_do_not_share_limits_but_those_of_one_owner_do() -> None:
    rig = Rig(GateOptions(key=5, user=8))
    assert await rig.sent(50, key("k1"), bucket()) == 5
    assert await rig.sent(50, key("k2"), bucket()) == 3
    assert await rig.sent(50, key("k3", owner="bob"), bucket()) == 5


async def test_an_object_that_was_looked_up_again_has_the_same_limit() -> None:
    rig = Rig()
    assert sum([await rig.sent(1, key(rate_limit=10), bucket()) for _ in range(50)]) == 10


async def test_a_limit_that_was_changed_holds_at_once() -> None:
    rig = Rig()
    assert await rig.sent(50, key(), bucket(events=10)) == 10
    rig.clock.seconds += 1
    assert await rig.sent(50, key(), bucket(events=2)) == 2
    rig.clock.seconds += 1
    assert await rig.sent(500, key(), bucket(events=200)) in range(2, 201)
    assert await rig.sent(500, key(), bucket()) == 500


async def test_tokens_are_leased_in_chunks() -> None:
    rig = Rig()
    principal, where = key(rate_limit=10_000), bucket()
    for _ in range(5_000):
        await rig.send(principal, where)
    assert rig.limiter.leases <= 6


async def test_a_flood_that_is_refused_does_not_ask_the_limiter_each_time() -> None:
    rig = Rig()
    await rig.sent(50, key(rate_limit=1), bucket())
    asked = rig.limiter.leases
    await rig.sent(500, key(rate_limit=1), bucket())
    assert rig.limiter.leases == asked <= 4


async def test_two_processes_share_one_limit() -> None:
    rig = Rig()
    got_in = await rig.sent(50, key(rate_limit=20), bucket())
    rig.restart()
    assert got_in + await rig.sent(50, key(rate_limit=20), bucket()) == 20


async def test_without_the_limiter_limits_go_on_locally_and_then_it_is_asked_again() -> None:
    rig = Rig()
    rig.limiter.down = True
    assert await rig.sent(50, key(rate_limit=10), bucket(), events=2) == 5
    await refused(rig, key(rate_limit=10), bucket())
    asked = rig.limiter.leases
    assert asked == 1
    rig.clock.seconds += 1.1
    rig.limiter.down = False
    assert await rig.sent(50, key(rate_limit=10), bucket()) == 10
    assert rig.limiter.leases > asked


async def test_who_hangs_up_while_a_lease_is_fetched_fails_no_other() -> None:
    rig = Rig()
    first, second = (asyncio.create_task(rig.send(key(rate_limit=10), bucket())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()


async def test_a_limiter_that_is_broken_loses_no_debt() -> None:
    rig = Rig()
    principal = key(rate_limit=10)
    await rig.send(principal, bucket(), 100)
    lease, rig.limiter.lease = rig.limiter.lease, None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError):
        await rig.send(principal, bucket())
    rig.limiter.lease = lease  # type: ignore[method-assign]
    assert (await refused(rig, principal, bucket())).retry_after == pytest.approx(9.1)


async def test_debts_outlive_the_sweep() -> None:
    rig = Rig()
    await rig.send(key(rate_limit=1), bucket(), 1_000)
    for number in range(70):
        rig.clock.seconds += 1
        await rig.send(key(f"other{number}"), bucket())
    assert (await refused(rig, key(rate_limit=1), bucket())).retry_after > 900


@pytest.mark.no_cover  # three times as fast without; the others cover the lines
async def test_what_nobody_uses_is_forgotten() -> None:
    rig = Rig(GateOptions(key=10, address=10))
    for number in range(20_000):
        rig.clock.seconds += 0.01
        await rig.send(key(f"k{number}", owner=None), None, 0)
        await rig.gate.enter_address(f"2001:db8:{number:x}::1")
    assert len(rig.gate._tickets) < 10_000
    assert len(rig.gate._allowances) < 20_000


# --- addresses ------------------------------------------------------------------------------------------------------


async def test_an_address_is_limited_whoever_it_is() -> None:
    rig = Rig(GateOptions(address=3))
    for _ in range(3):
        await rig.gate.enter_address("192.0.2.1")
    with pytest.raises(OverQuota) as caught:
        await rig.gate.enter_address("192.0.2.1")
    assert caught.value.policy == "address"
    await rig.gate.enter_address("192.0.2.2")


async def test_the_addresses_of_one_subscriber_of_ipv6_are_one() -> None:
    rig = Rig(GateOptions(address=3))
    for number in range(3):
        await rig.gate.enter_address(f"2001:db8::{number}")
    with pytest.raises(OverQuota):
        await rig.gate.enter_address("2001:db8::ffff")


# --- bytes a day ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "where", "policy"),
    [(key(), bucket(size=1_000), "bucket-day"), (key(owner_quota=Quota(None, 1_000)), bucket(), "user-day")],
)
async def test_bytes_of_a_day_are_used_up_until_midnight(principal: Principal, where: object, policy: str) -> None:
    rig = Rig(k1="ada")
    for _ in range(10):
        await rig.send(principal, where)  # type: ignore[arg-type]
    error = await refused(rig, principal, where)
    assert (error.code, error.policy, error.quota, error.window) == ("over-quota", policy, 1_000, 86_400)
    assert error.unit == "content-bytes"
    assert error.retry_after == pytest.approx(DAY_LEFT, abs=1)
    rig.clock.seconds += DAY_LEFT + 1
    await rig.send(principal, where)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [0, 1, 3])
async def test_a_quota_counts_what_was_sent_once_however_often_it_is_written(steps: int) -> None:
    rig = Rig()
    for number in range(10):
        await rig.send(key(), bucket(size=1_000))
        for _ in range(steps if number % 3 == 0 else 0):
            await rig.meter.step()
    await refused(rig, key(), bucket(size=1_000))
    await rig.meter.step()
    await rig.send(key(), bucket(size=1_001))
    await refused(rig, key(), bucket(size=1_001))


async def test_a_quota_holds_across_a_restart() -> None:
    rig = Rig()
    for _ in range(10):
        await rig.send(key(), bucket(size=1_000))
    await rig.meter.close()
    rig.restart()
    await refused(rig, key(), bucket(size=1_000))


async def test_a_quota_counts_what_other_processes_sent() -> None:
    rig = Rig()
    await rig.send(key(), bucket(size=1_000), size=400)
    here, meter = rig.gate, rig.meter
    rig.restart()
    await rig.send(key(), bucket(size=1_000), size=600)
    await rig.meter.step()
    assert here.admit(key(), bucket(size=1_000)) is None
    await meter.step()
    with pytest.raises(OverQuota):
        await here.enter(key(), bucket(size=1_000))


async def test_a_quota_of_the_owner_counts_all_of_the_owners_keys() -> None:
    rig = Rig(k1="ada", k2="ada", k3="bob")
    quota = Quota(None, 1_000)
    await rig.send(key("k1", owner_quota=quota), bucket(1), size=500)
    await rig.send(key("k2", owner_quota=quota), bucket(2), size=500)
    await refused(rig, key("k1", owner_quota=quota), bucket(3))
    await refused(rig, user(owner_quota=quota), bucket(3))
    await rig.meter.step()
    await refused(rig, user(owner_quota=quota), bucket(3))
    await rig.send(key("k3", owner="bob", owner_quota=quota), bucket(1))


async def test_a_quota_that_was_set_in_the_middle_of_a_day_counts_the_whole_day() -> None:
    rig = Rig()
    await rig.send(key(), bucket(), size=5_000)
    await rig.meter.step()
    await refused(rig, key(), bucket(size=1_000))


async def test_while_the_ledger_is_down_a_quota_counts_what_is_sent_here() -> None:
    rig = Rig()
    rig.ledger.down = True
    for _ in range(10):
        await rig.send(key(), bucket(size=1_000))
    with pytest.raises(Unavailable):
        await rig.meter.step()
    await refused(rig, key(), bucket(size=1_000))


async def test_a_clock_that_was_moved_by_a_day_and_back_keeps_the_quota() -> None:
    rig = Rig()
    for _ in range(10):
        await rig.send(key(), bucket(size=1_000))
    await rig.meter.step()
    rig.clock.seconds += 86_400
    await rig.meter.step()
    await rig.send(key(), bucket(size=1_000))
    rig.clock.seconds -= 86_400
    await rig.meter.step()
    await refused(rig, key(), bucket(size=1_000))
    assert rig.ledger.counted() == {(0, 1, "k1"): (10, 1_000), (1, 1, "k1"): (1, 100)}
