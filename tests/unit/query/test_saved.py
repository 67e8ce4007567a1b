"""Saved searches: who may, what is kept, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from headrace.errors import Conflict, Forbidden, Invalid, Malformed, NotFound
from headrace.kit.ids import format_id
from headrace.model.bucket import UNSET, Bucket, Unset
from headrace.model.principal import API_KEY, USER, VIEWER, BucketView, Permission, Principal, Role
from headrace.model.query import EVERYTHING
from headrace.model.saved_search import ListedSearch, SavedSearch
from headrace.query.saved import MAX_QUERY_BYTES, SavedSearchDesk, check_query
from tests.unit.control import NOW, HandClock

BUCKET, OTHER = Bucket(7, "billing", "", None, 1), Bucket(8, "shipping", "", None, 1)
READ = {BUCKET.id: frozenset({Permission.READ})}
ADA = Principal(format_id(1), USER, "ada", Role.USER, READ)
BOB = Principal(format_id(2), USER, "bob", Role.USER, READ)


class HeldSearches:
    """Searches in a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, SavedSearch] = {}

    async def add(self, search: SavedSearch, most: int) -> None:
        if any(row.name == search.name for row in self.rows.values()):
            raise Conflict(search.name, code="name-taken")
        self.rows[search.id] = search

    async def find(self, bucket_id: int, id: str) -> SavedSearch | None:
        row = self.rows.get(id)
        return row if row is not None and row.bucket_id == bucket_id else None

    async def list(self, bucket_id: int, user_id: str) -> Sequence[ListedSearch]:
        rows = [row for row in self.rows.values() if row.bucket_id == bucket_id]
        return [ListedSearch(row, row.owner_id) for row in rows if row.shared or row.owner_id == user_id]

    async def update(
        self, bucket_id: int, id: str, owner_id: str, name: str | Unset, shared: bool | Unset
    ) -> SavedSearch:
        row = self._owned(bucket_id, id, owner_id)
        row = row if name is UNSET else replace(row, name=name)
        self.rows[id] = row if shared is UNSET else replace(row, shared=shared)
        return self.rows[id]

    async def delete(self, bucket_id: int, id: str, owner_id: str) -> None:
        del self.rows[self._owned(bucket_id, id, owner_id).id]

    def _owned(self, bucket_id: int, id: str, owner_id: str) -> SavedSearch:
        row = self.rows.get(id)
        if row is None or (row.bucket_id, row.owner_id) != (bucket_id, owner_id):
            raise NotFound(id)
        return row


@pytest.fixture
def desk() -> SavedSearchDesk:
    return SavedSearchDesk(HeldSearches(), HandClock())


async def test_what_was_saved_is_listed_and_found_for_its_owner_alone(desk: SavedSearchDesk) -> None:
    made = await desk.save(ADA, BUCKET, "  errors of today ", "?level=error&since=24h&cursor=abc&columns=time,message")
    assert (made.name, made.owner_id, made.created_at) == ("errors of today", ADA.id, NOW)
    assert made.query == "level=error&since=24h&columns=time%2Cmessage"
    assert [listed.search for listed in await desk.list(ADA, BUCKET)] == [made]
    assert await desk.get(ADA, BUCKET, made.id.upper()) == made
    assert await desk.list(BOB, BUCKET) == []
    with pytest.raises(NotFound):
        await desk.get(BOB, BUCKET, made.id)


async def test_a_shared_search_is_seen_by_all_readers_and_changed_by_its_owner_alone(desk: SavedSearchDesk) -> None:
    made = await desk.save(ADA, BUCKET, "errors", "level=error", shared=True)
    assert await desk.get(BOB, BUCKET, made.id) == made
    with pytest.raises(NotFound):
        await desk.change(BOB, BUCKET, made.id, name="mine now")
    with pytest.raises(NotFound):
        await desk.delete(BOB, BUCKET, made.id)
    await desk.change(ADA, BUCKET, made.id, shared=False)
    with pytest.raises(NotFound):
        await desk.get(BOB, BUCKET, made.id)


async def test_a_search_is_renamed_and_deleted(desk: SavedSearchDesk) -> None:
    made = await desk.save(ADA, BUCKET, "errors", "level=error")
    assert await desk.change(ADA, BUCKET, made.id, name="graver") == replace(made, name="graver")
    await desk.delete(ADA, BUCKET, made.id)
    assert await desk.list(ADA, BUCKET) == []
    with pytest.raises(NotFound):
        await desk.delete(ADA, BUCKET, made.id)


@pytest.mark.parametrize("id", ["", "x", "1" * 40, "../../admin"])
async def test_what_is_no_id_is_not_there(desk: SavedSearchDesk, id: str) -> None:
    with pytest.raises(NotFound):
        await desk.get(ADA, BUCKET, id)
    with pytest.raises(NotFound):
        await desk.delete(ADA, BUCKET, id)


@pytest.mark.parametrize(
    ("caller", "error"),
    [
        (Principal("nobody", USER, "nobody", Role.USER), NotFound),
        (Principal("writer", USER, "writer", Role.USER, {7: frozenset({Permission.WRITE})}), Forbidden),
        (Principal("key", API_KEY, "deploy", Role.ADMIN), Forbidden),
        (Principal("view", VIEWER, "view", Role.USER, view=BucketView(BUCKET.id, EVERYTHING)), Forbidden),
    ],
)
async def test_only_users_who_may_read_the_bucket_have_searches_there(
    desk: SavedSearchDesk, caller: Principal, error: type[Exception]
) -> None:
    for attempt in (
        desk.list(caller, BUCKET),
        desk.get(caller, BUCKET, format_id(5)),
        desk.save(caller, BUCKET, "errors", ""),
        desk.change(caller, BUCKET, format_id(5), name="x"),
        desk.delete(caller, BUCKET, format_id(5)),
    ):
        with pytest.raises(error):
            await attempt


async def test_an_admin_sees_shared_ones_and_not_what_is_private(desk: SavedSearchDesk) -> None:
    admin = Principal(format_id(9), USER, "root", Role.ADMIN)
    await desk.save(ADA, BUCKET, "private", "")
    shared = await desk.save(ADA, BUCKET, "shared", "", shared=True)
    assert [listed.search for listed in await desk.list(admin, BUCKET)] == [shared]
    assert await desk.list(admin, OTHER) == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "nul\0", "bell\x07", "half \ud800"])
async def test_a_name_that_is_no_line_of_text_is_refused(desk: SavedSearchDesk, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await desk.save(ADA, BUCKET, name, "")
    assert refusal.value.items[0].field == "name"


@pytest.mark.parametrize(
    "query",
    ["&".join(f"attr.{name}=" + name * 1000 for name in "abcde"),
     "&".join(f"q=a{number}" for number in range(501)), "q=%ff", "A-B=1", "javascript:alert(1)=x"],
)  # fmt: skip
def test_a_query_that_explore_could_not_open_is_refused(query: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_query(query, NOW)
    assert refusal.value.items[0].field == "query"


@pytest.mark.parametrize("query", ["level=loud", "since=yesterday", "attr.=x"])
def test_a_filter_that_is_not_good_is_refused(query: str) -> None:
    with pytest.raises(Malformed):
        check_query(query, NOW)


def test_a_query_keeps_ages_order_and_every_character() -> None:
    query = "since=15m&q=a%26b+%22c%22&attr.a.b=%C3%BC&level=error&level=critical"
    assert check_query(query, NOW) == query
    assert len(check_query("q=" + "x" * 1000, NOW)) < MAX_QUERY_BYTES
