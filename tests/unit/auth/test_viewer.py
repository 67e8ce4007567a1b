"""Viewer tokens: who may make one, for what, and when it dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from headrace.auth.token_claims import ViewerClaims
from headrace.auth.viewer import MOST_FILTER_BYTES, ViewerTokens
from headrace.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from headrace.kit.times import DAY, HOUR, SECOND
from headrace.model.bucket import Bucket
from headrace.model.permission import allowed, may_see, require, view
from headrace.model.principal import API_KEY, USER, VIEWER, BucketView, Permission, Principal, Role
from headrace.model.query import EVERYTHING, ActionMatch, AttributeMatch, EventFilter
from headrace.query.filters import parse_filter
from tests.unit.auth.fakes_viewer import HeldOutbox, HeldSigner
from tests.unit.control import NOW, HandClock

BILLING = Bucket(7, "billing", "", None, 0)
OTHER = Bucket(8, "other", "", None, 0)
ADDRESS = "203.0.113.7"
ACME: dict[str, str | Sequence[str]] = {"attr.tenant": "acme"}


def maker(*permissions: Permission, role: Role = Role.USER, kind: str = USER, rate: int | None = None) -> Principal:
    return Principal("m", kind, "maker", role, {BILLING.id: frozenset(permissions)}, rate_limit=rate)


MANAGER = maker(Permission.MANAGE)
CLAIMS = ViewerClaims("t", BILLING.id, (("attr.tenant", "acme"), ("since", "7d")), USER, "m", NOW + HOUR)


class Desk:
    def __init__(self) -> None:
        self.signer, self.outbox, self.clock = HeldSigner(), HeldOutbox(), HandClock()
        self.tokens = ViewerTokens(self.signer, parse_filter, self.outbox, self.clock)

    async def mint(
        self, filter: dict[str, str | Sequence[str]], *, by: Principal = MANAGER, expires_in: int = 3_600
    ) -> tuple[str, int]:
        return await self.tokens.mint(by, BILLING, filter, expires_in, ADDRESS)


async def test_a_token_says_the_bucket_the_filter_and_who_made_it() -> None:
    desk = Desk()
    token, expires_at = await desk.mint({"attr.tenant": "acme", "action": ["invoice.*", "user.*"]})
    assert (token, expires_at) == ("token 1", NOW + HOUR)
    (claims, lifetime), *_ = desk.signer.signed
    pairs = (("attr.tenant", "acme"), ("action", "invoice.*"), ("action", "user.*"))
    assert (claims.bucket_id, claims.pairs, claims.expires_at, lifetime) == (BILLING.id, pairs, NOW + HOUR, 3_600)
    assert (claims.maker_kind, claims.maker_id) == (MANAGER.kind, MANAGER.id)


async def test_its_making_is_audited_with_the_filter_and_without_the_token() -> None:
    desk = Desk()
    await desk.mint({"action": ["a", "b"]})
    (record,) = desk.outbox.records
    assert (record.action, record.actor_id, record.actor_type) == ("viewer_token.created", MANAGER.id, MANAGER.kind)
    assert (record.target_type, record.target_id) == ("bucket", BILLING.name)
    assert record.attributes["filter"] == {"action": ["a", "b"]}
    assert record.attributes["address"] == ADDRESS
    assert "token 1" not in str(record)


async def test_no_token_is_given_away_that_is_not_audited() -> None:
    desk = Desk()
    desk.outbox.down = True
    with pytest.raises(Unavailable):
        await desk.mint(ACME)


@pytest.mark.parametrize(
    ("by", "error"),
    [
        (maker(Permission.READ, Permission.WRITE), Forbidden),
        (maker(), NotFound),
        (maker(role=Role.MANAGER), NotFound),
        (Principal("v", VIEWER, "v", Role.USER, view=BucketView(BILLING.id, EVERYTHING)), Forbidden),
        (Principal("v", VIEWER, "v", Role.USER, view=BucketView(OTHER.id, EVERYTHING)), NotFound),
    ],
)
async def test_only_who_manages_the_bucket_makes_one(by: Principal, error: type[Exception]) -> None:
    desk = Desk()
    with pytest.raises(error):
        await desk.mint(ACME, by=by)
    assert (desk.signer.signed, desk.outbox.records) == ([], [])


@pytest.mark.parametrize("by", [maker(role=Role.ADMIN), maker(Permission.MANAGE, kind=API_KEY)])
async def test_an_admin_and_a_key_that_manages_may(by: Principal) -> None:
    assert await Desk().mint(ACME, by=by)


@pytest.mark.parametrize("expires_in", [1, 86_400])
async def test_it_lasts_from_a_second_to_a_day(expires_in: int) -> None:
    assert (await Desk().mint(ACME, expires_in=expires_in))[1] == NOW + expires_in * SECOND


@pytest.mark.parametrize("expires_in", [-1, 0, 86_401])
async def test_no_other_lifetime_is_taken(expires_in: int) -> None:
    with pytest.raises(Invalid) as refusal:
        await Desk().mint(ACME, expires_in=expires_in)
    assert [item.field for item in refusal.value.items] == ["expires_in"]


async def test_an_explicit_empty_filter_is_the_whole_bucket() -> None:
    desk = Desk()
    await desk.mint({})
    assert desk.signer.signed[0][0].pairs == ()


@pytest.mark.parametrize(
    ("filter", "fields"),
    [
        ({"attr.tenant": []}, ["filter.attr.tenant"]),
        ({"service": "a", "attr.tenant": []}, ["filter.attr.tenant"]),
        ({"q": "  "}, ["filter.q"]),
        ({"q": ['""', ""]}, ["filter.q"]),
        ({"since": "1970-01-01T00:00:00Z"}, ["filter.since"]),
        ({"level": "loud", "outcome": "meh"}, ["filter.level", "filter.outcome"]),
        ({"tenant": "acme"}, ["filter.tenant"]),
        ({"attr.": "acme"}, ["filter.attr."]),
        ({"cursor": "x"}, ["filter.cursor"]),
        ({"attr.tenant": "a\0b"}, ["filter.attr.tenant"]),
        ({f"attr.a{n}": "v" for n in range(21)}, ["filter"]),
        ({"attr.a": "x" * 1_000, "attr.b": "x" * 1_000, "attr.c": "x" * 100}, ["filter"]),
        ({"attr.a": "\x01" * (MOST_FILTER_BYTES // 6)}, ["filter"]),
    ],
)
async def test_a_filter_that_is_not_good_or_restricts_nothing_is_refused(
    filter: dict[str, str | Sequence[str]], fields: list[str]
) -> None:
    desk = Desk()
    with pytest.raises(Invalid) as refusal:
        await desk.mint(filter)
    assert [item.field for item in refusal.value.items] == fields
    assert desk.signer.signed == []


def test_its_holder_reads_the_bucket_within_the_filter() -> None:
    holder = Desk().tokens.principal_of(CLAIMS, MANAGER)
    within = EventFilter(since=NOW - 7 * DAY, attributes=(AttributeMatch("tenant", ("acme",)),))
    seen = view(holder, BILLING)
    assert (seen.bucket, seen.within) == (BILLING, within)
    wanted = seen.narrow(EventFilter(attributes=(AttributeMatch("tenant", ("other",)),)))
    assert wanted == EventFilter(attributes=(AttributeMatch("tenant", ("other",)),), within=within)


def test_its_holder_may_do_nothing_else() -> None:
    holder = Desk().tokens.principal_of(CLAIMS, maker(*Permission, role=Role.ADMIN))
    assert (holder.kind, holder.role, dict(holder.grants), holder.owner_id) == (VIEWER, Role.USER, {}, None)
    assert not any(allowed(holder, bucket, permission) for bucket in (BILLING, OTHER) for permission in Permission)
    assert (may_see(holder, BILLING), may_see(holder, OTHER)) == (True, False)
    for permission in Permission:
        with pytest.raises(Forbidden):
            require(holder, BILLING, permission)
        with pytest.raises(NotFound):
            require(holder, OTHER, permission)
    with pytest.raises(NotFound):
        view(holder, OTHER)


def test_a_viewer_is_refused_whatever_role_and_grants_it_came_with() -> None:
    everything = {BILLING.id: frozenset(Permission)}
    for seen in (None, BucketView(BILLING.id, EVERYTHING)):
        holder = Principal("v", VIEWER, "v", Role.ADMIN, everything, view=seen)
        assert not any(allowed(holder, BILLING, permission) for permission in Permission)
    with pytest.raises(Forbidden):
        view(Principal("v", VIEWER, "v", Role.ADMIN, everything), BILLING)


def test_an_empty_filter_is_still_a_view() -> None:
    holder = Desk().tokens.principal_of(replace(CLAIMS, pairs=()), MANAGER)
    assert view(holder, BILLING).within == EVERYTHING


def test_an_age_counts_from_each_request() -> None:
    desk = Desk()
    first = desk.tokens.principal_of(CLAIMS, MANAGER)
    desk.clock.seconds += 60
    second = desk.tokens.principal_of(CLAIMS, MANAGER)
    assert first.view is not None
    assert second.view is not None
    assert second.view.within.since == (first.view.within.since or 0) + 60 * SECOND


@pytest.mark.parametrize(
    "now",
    [
        maker(Permission.READ, Permission.WRITE),
        maker(),
        replace(MANAGER, id="another"),
        replace(MANAGER, kind=API_KEY),
        replace(MANAGER, view=BucketView(BILLING.id, EVERYTHING)),
    ],
)
def test_it_dies_when_its_maker_may_no_longer_manage(now: Principal) -> None:
    with pytest.raises(Unauthenticated):
        Desk().tokens.principal_of(CLAIMS, now)


def test_a_filter_that_this_version_does_not_know_is_no_filter_to_leave_out() -> None:
    with pytest.raises(Unauthenticated) as refusal:
        Desk().tokens.principal_of(replace(CLAIMS, pairs=(("shoe_size", "secret-42"),)), MANAGER)
    assert "secret-42" not in str(refusal.value)


def test_its_holder_is_limited_as_its_maker() -> None:
    assert Desk().tokens.principal_of(CLAIMS, replace(MANAGER, rate_limit=5)).rate_limit == 5


def test_filters_within_filters_all_hold() -> None:
    inner, middle, outer = (EventFilter(actions=(ActionMatch(name),)) for name in "abc")
    both = outer.and_within(middle).and_within(inner)
    assert both == EventFilter(
        actions=outer.actions, within=EventFilter(actions=middle.actions, within=EventFilter(actions=inner.actions))
    )


def test_the_times_of_filters_within_filters_are_those_in_which_all_hold() -> None:
    inner = EventFilter(since=10, until=50)
    assert EventFilter(within=inner).times() == (10, 50)
    assert EventFilter(since=5, until=20, within=inner).times() == (10, 20)
    assert EventFilter(since=30, until=90, within=inner).times() == (30, 50)
    assert EventFilter(since=0, until=0, within=EventFilter()).times() == (0, 0)
