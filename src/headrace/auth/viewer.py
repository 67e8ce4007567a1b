"""Viewer tokens: an application shows its customers their own trail with them (DESIGN §8).

Whoever manages a bucket makes them. One reads that bucket under one filter, for a day at most, and dies with its
maker's right to manage the bucket. What it may read is decided here and in `permission.view`, never by a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from headrace.auth.token_claims import LONGEST_SECONDS, ViewerClaims
from headrace.errors import Invalid, ItemError, Malformed, Unauthenticated
from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import SECOND, format_time
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket
from headrace.model.permission import may_manage, require
from headrace.model.principal import VIEWER, BucketView, Permission, Principal, Role
from headrace.model.query import EVERYTHING, EventFilter
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock

MOST_FILTER_BYTES = 2 * 1024  # a token goes with every request, and proxies take 4 to 8 KiB of a header

Pair = tuple[str, str]
ParseFilter = Callable[[Iterable[Pair], int], EventFilter]
"""query/filters: the filter that (parameter, value) pairs make up at a time (µs, for ages). Raises Malformed."""


class Signer(Protocol):
    """What auth/tokens does for viewer tokens."""

    async def issue_viewer(self, claims: ViewerClaims, lifetime: int) -> str:
        """A token good for `lifetime` seconds."""


class ViewerTokens:
    def __init__(self, signer: Signer, parse_filter: ParseFilter, audit: AuditOutbox, clock: Clock) -> None:
        self._signer = signer
        self._parse = parse_filter
        self._audit = audit
        self._clock = clock

    async def mint(
        self,
        principal: Principal,
        bucket: Bucket,
        filter: Mapping[str, str | Sequence[str]],
        expires_in: int,
        address: str,
    ) -> tuple[str, int]:
        """A token that reads `bucket` under `filter` (parameter → value or values), good for `expires_in` seconds; and
        when it expires (µs).

        An age in the filter is one from each request, not from now. Raises NotFound, Forbidden and Invalid.
        """
        require(principal, bucket, Permission.MANAGE)
        if not 1 <= expires_in <= LONGEST_SECONDS:
            raise _invalid("expires_in", "out-of-range", f"from 1 second to {LONGEST_SECONDS // 3600} hours")
        pairs = self._checked(filter)
        now = self._clock.now()
        expires_at = -(-(now + expires_in * SECOND) // SECOND) * SECOND  # a token says it in whole seconds
        claims = ViewerClaims(format_id(uuid7(now)), bucket.id, pairs, principal.kind, principal.id, expires_at)
        token = await self._signer.issue_viewer(claims, expires_in)
        await self._audit.add(_made(principal, bucket, claims, now, address))
        return token, expires_at

    def principal_of(self, claims: ViewerClaims, maker: Principal) -> Principal:
        """Who holds the token, for one request. `maker` is its maker as of now. Raises Unauthenticated once the maker
        may no longer manage the bucket."""
        if (maker.kind, maker.id) != (claims.maker_kind, claims.maker_id) or not may_manage(maker, claims.bucket_id):
            raise _dead()
        try:
            within = self._parse(claims.pairs, self._clock.now())
        except Malformed:
            raise _dead() from None  # made by another version; the cause would quote the filter
        return Principal(
            id=claims.id,
            kind=VIEWER,
            name="viewer token",
            role=Role.USER,
            rate_limit=maker.rate_limit,
            view=BucketView(claims.bucket_id, within),
        )

    def _checked(self, filter: Mapping[str, str | Sequence[str]]) -> tuple[Pair, ...]:
        """As pairs. What restricts nothing is refused: who wrote it meant something, and got the whole bucket."""
        pairs = tuple(pair for name, values in filter.items() for pair in _pairs(name, values))
        faults = [fault for name, values in filter.items() for fault in self._faults(name, _pairs(name, values))]
        faults = faults or list(self._faults_of_all(pairs))
        if faults:
            raise Invalid(f"{faults[0].field}: {faults[0].detail}.", items=faults)
        return pairs

    def _faults(self, name: str, pairs: Sequence[Pair]) -> Iterator[ItemError]:
        try:
            if self._parse(pairs, self._clock.now()) == EVERYTHING:
                yield _fault(name, "restricts-nothing", "it lets every event through: leave it out if that is meant")
        except Malformed as exc:
            yield from (_fault(name, item.code, item.detail) for item in exc.items)

    def _faults_of_all(self, pairs: Sequence[Pair]) -> Iterator[ItemError]:
        size = len(json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MOST_FILTER_BYTES:
            yield ItemError(
                "too-long", f"{size} bytes as JSON, where {MOST_FILTER_BYTES:,} are the most", field="filter"
            )
        try:
            self._parse(pairs, self._clock.now())
        except Malformed as exc:
            yield from (ItemError(item.code, item.detail, field="filter") for item in exc.items)


def _pairs(name: str, values: str | Sequence[str]) -> list[Pair]:
    return [(name, value) for value in ([values] if isinstance(values, str) else values)]


def _fault(name: str, code: str, detail: str) -> ItemError:
    return ItemError(code, detail, field=f"filter.{name[:100]}")


def _invalid(field: str, code: str, detail: str) -> Invalid:
    return Invalid(f"{field}: {detail}.", items=[ItemError(code, detail, field=field)])


def _dead() -> Unauthenticated:
    return Unauthenticated("This viewer token is no longer good: ask the application that gave it for a new one.")


def _made(principal: Principal, bucket: Bucket, claims: ViewerClaims, now: int, address: str) -> AuditRecord:
    asked: dict[str, list[str]] = {}
    for name, value in claims.pairs:
        asked.setdefault(name, []).append(value)
    return AuditRecord(
        id=uuid7(now),
        time=now,
        action="viewer_token.created",
        actor_id=principal.id,
        actor_type=principal.kind,
        target_id=bucket.name,
        target_type="bucket",
        message=f"A viewer token for bucket {bucket.name}",
        attributes={
            "token_id": claims.id,
            "filter": asked,
            "expires_at": format_time(claims.expires_at),
            "address": address,
        },
    )
