"""Saved searches: what a user keeps of Explore under a name, for oneself or for all who may read the bucket.

A search grants nothing: whoever opens one sees what they may read anyway.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from headrace.errors import Forbidden, Invalid, ItemError, NotFound
from headrace.kit.ids import format_id, parse_id, uuid7
from headrace.model.bucket import UNSET, Bucket, Unset
from headrace.model.permission import view
from headrace.model.principal import USER, Principal
from headrace.model.saved_search import ListedSearch, SavedSearch
from headrace.ports.clock import Clock
from headrace.ports.saved_searches import SavedSearches
from headrace.query.filters import is_filter_param, parse_filter

MOST_SEARCHES = 100  # of one user in one bucket: a list that people look through
MAX_QUERY_BYTES = 4096
MAX_NAME = 100
_MOST_PARAMETERS = 500
_PLACES = frozenset(("cursor", "offset", "csrf"))  # where somebody was in the list, not what they looked for
_PARAMETER = re.compile(r"[a-z][a-z_]{0,31}", re.ASCII)


class SavedSearchDesk:
    """All raise NotFound for a bucket that the caller may not see, Forbidden for one that they may not read and for
    callers that are no users, and Unavailable when the control data cannot be reached."""

    def __init__(self, searches: SavedSearches, clock: Clock) -> None:
        self._searches = searches
        self._clock = clock

    async def list(self, principal: Principal, bucket: Bucket) -> Sequence[ListedSearch]:
        """The caller's own, by name, and then those that others share."""
        return await self._searches.list(bucket.id, _reader(principal, bucket))

    async def get(self, principal: Principal, bucket: Bucket, id: str) -> SavedSearch:
        """One's own or a shared one. Raises NotFound for all others."""
        reader = _reader(principal, bucket)
        search = await self._searches.find(bucket.id, _id(id))
        if search is None or not (search.shared or search.owner_id == reader):
            raise _unknown(id)
        return search

    async def save(
        self, principal: Principal, bucket: Bucket, name: str, query: str, *, shared: bool = False
    ) -> SavedSearch:
        """Keep `query`, a query string of Explore. Raises Invalid, Malformed for a filter that is not good, and
        Conflict `name-taken` or `too-many-searches`."""
        now = self._clock.now()
        owner = _reader(principal, bucket)
        name, query = check_name(name), check_query(query, now)
        search = SavedSearch(format_id(uuid7(now)), owner, bucket.id, name, query, shared, now)
        await self._searches.add(search, MOST_SEARCHES)
        return search

    async def change(
        self,
        principal: Principal,
        bucket: Bucket,
        id: str,
        *,
        name: str | Unset = UNSET,
        shared: bool | Unset = UNSET,
    ) -> SavedSearch:
        """Another name, or other readers, for one's own. Raises NotFound, Invalid and Conflict `name-taken`."""
        owner = _reader(principal, bucket)
        if name is not UNSET:
            name = check_name(name)
        return await self._searches.update(bucket.id, _id(id), owner, name, shared)

    async def delete(self, principal: Principal, bucket: Bucket, id: str) -> None:
        """One's own. Raises NotFound."""
        await self._searches.delete(bucket.id, _id(id), _reader(principal, bucket))


def check_name(text: str) -> str:
    """What people call it, without spaces around it. Raises Invalid."""
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise _invalid("name", f"must have 1 to {MAX_NAME} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise _invalid("name", "must be text on one line, without control characters")
    return name


def check_query(text: str, now: int) -> str:
    """The query string as Explore reads it, without the place in the list. Raises Invalid and Malformed."""
    try:
        pairs = parse_qsl(text.removeprefix("?"), errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError as exc:
        raise _invalid("query", "must be a query string in UTF-8") from exc
    pairs = [pair for pair in pairs if pair[0] not in _PLACES]
    for name, _ in pairs:
        if not (is_filter_param(name) or _PARAMETER.fullmatch(name)):
            raise _invalid("query", f"has a parameter {name[:64]!r}, which Explore does not know")
    parse_filter([pair for pair in pairs if is_filter_param(pair[0])], now)
    query = urlencode(pairs)
    if len(query) > MAX_QUERY_BYTES:
        raise _invalid("query", f"must have at most {MAX_QUERY_BYTES:,} bytes")
    return query


def _reader(principal: Principal, bucket: Bucket) -> str:
    """The id of the user who asks."""
    view(principal, bucket)
    if principal.kind != USER:
        raise Forbidden("Only users have saved searches: sign in first.")
    return principal.id


def _id(text: str) -> str:
    try:
        return format_id(parse_id(text))
    except ValueError:
        raise _unknown(text) from None


def _unknown(id: str) -> NotFound:
    return NotFound(
        f"There is no saved search {id[:64]!r} that you may see: it may have been deleted, or be private.",
        code="unknown-search",
    )


def _invalid(field: str, what: str) -> Invalid:
    return Invalid(f"{field} {what}.", items=[ItemError("invalid-value", f"{field} {what}", field=field)])
