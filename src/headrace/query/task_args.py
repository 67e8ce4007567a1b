"""What the tasks that read events have in common: their args, and who may have them read a bucket."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from headrace.errors import Forbidden, ItemError, Malformed
from headrace.kit.json_text import UNDECODABLE
from headrace.model.permission import unknown_bucket, view
from headrace.model.principal import Principal
from headrace.model.query import EventFilter
from headrace.model.view import View
from headrace.ports.buckets import Buckets
from headrace.query.filters import parse_filter

Filter: TypeAlias = dict[str, str | list[str]]
"""Parameter of a read → its value or values."""
PrincipalOf: TypeAlias = Callable[[str], Awaitable[Principal | None]]
"""(owner of a task) → what that user or key is worth now; None: disabled, revoked, expired or gone."""

MOST_PARAMETERS = 100
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_PLACE = re.compile(r" - at `\$\.?(.*)`\Z")

T = TypeVar("T")


class BucketArgs(msgspec.Struct, frozen=True):
    """All that is needed to know whether somebody may."""

    bucket: str


def flaws(raw: bytes, kind: type[T], check: Callable[[T], Sequence[ItemError]]) -> Sequence[ItemError]:
    """What is wrong with args: what is no `kind`, or else what `check` finds."""
    try:
        return check(msgspec.json.decode(raw, type=kind))
    except UNDECODABLE as exc:
        return [_undecodable(exc)]


def read(args: Mapping[str, Any], kind: type[T]) -> T:
    """Args that were checked when they came. Raises Malformed if they are no good any more."""
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as exc:
        flaw = _undecodable(exc)
        raise Malformed(f"The args are not good: {flaw.detail}.", items=[flaw]) from exc


def filter_of(asked: Filter, now: int) -> EventFilter:
    """Raises Malformed, with an item for each parameter that is not good; ages are before `now`."""
    if len(asked) > MOST_PARAMETERS:
        raise _many()
    pairs = [(name, value) for name, values in asked.items() for value in _values(values)]
    return parse_filter(pairs, now)


def filter_flaws(asked: Filter, now: int) -> Sequence[ItemError]:
    """The same as errors of args."""
    try:
        filter_of(asked, now)
    except Malformed as exc:
        return [ItemError(item.code, item.detail, field=f"args.filter.{item.field}") for item in exc.items]
    return ()


class TaskViews:
    """What may be read of a bucket, as of now and never as it was remembered. All raise NotFound and Forbidden as
    `permission.view` does, and Unavailable."""

    def __init__(self, buckets: Buckets, principal_of: PrincipalOf) -> None:
        self._buckets = buckets
        self._principal_of = principal_of

    async def permit(self, principal: Principal, raw: bytes) -> None:
        """Whether the caller may submit a task with these args."""
        await self.of(principal, msgspec.json.decode(raw, type=BucketArgs).bucket)

    async def of(self, principal: Principal, name: str) -> View:
        """The caller's view of the bucket of this name."""
        bucket = await self._buckets.find(name)
        if bucket is None:
            raise unknown_bucket(name)
        return view(principal, bucket)

    async def of_owner(self, owner: str, name: str) -> View:
        """The same for whoever made a task, perhaps long ago. Raises Forbidden for those who are gone as well."""
        principal = await self._principal_of(owner)
        if principal is None:
            raise Forbidden("Whoever made this task may not read any more: the user or the key is disabled or gone.")
        return await self.of(principal, name)


def _values(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


def _many() -> Malformed:
    detail = f"at most {MOST_PARAMETERS} filters"
    return Malformed(f"Too much: {detail}.", items=[ItemError("bad-filter", detail, field="")])


def _undecodable(exc: BaseException) -> ItemError:
    """In the terms of whoever sent it."""
    text = str(exc)
    place = _PLACE.search(text)
    path = f"args.{place[1]}" if place and place[1] else "args"
    if unknown := _UNKNOWN.search(text):
        name = unknown[1][:100]
        return ItemError("unknown-field", f"unknown field `{name}`", field=f"{path}.{name}")
    if missing := re.search(r"missing required field `(.*?)`", text):
        return ItemError("missing-field", f"`{missing[1]}` is missing", field=f"{path}.{missing[1]}")
    code = "invalid-field" if isinstance(exc, msgspec.ValidationError) else "invalid-json"
    return ItemError(code, _PLACE.sub("", text)[:300], field=path)
