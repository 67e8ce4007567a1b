"""What every adapter of `ports/saved_searches` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.saved_searches import SqlSavedSearches
from headrace.errors import Conflict, NotFound
from headrace.model.bucket import UNSET
from headrace.model.saved_search import ListedSearch, SavedSearch
from headrace.ports.saved_searches import SavedSearches
from tests.contract.records import record, user, user_id

ADA, BOB = user(1), user(2)
MOST = 5


@pytest.fixture
def searches(control: ControlDatabase) -> SavedSearches:
    return SqlSavedSearches(control)


@pytest.fixture
async def there(control: ControlDatabase) -> int:
    """A bucket, while Ada and Bob are there."""
    for number, owner in enumerate((ADA, BOB), 501):
        await SqlAccounts(control).add_user(owner, record(number))
    return (await SqlBuckets(control).create("billing", "", None, 5, None)).id


def search(number: int, bucket_id: int, **fields: object) -> SavedSearch:
    made = SavedSearch(user_id(900 + number), ADA.id, bucket_id, f"search {number}", "level=error", False, 7)
    return replace(made, **fields)  # type: ignore[arg-type]


async def test_a_search_comes_back_as_it_was_saved(searches: SavedSearches, there: int) -> None:
    full = search(1, there, name="ü" * 100, query="q=" + "%C3%BC" * 682, shared=True, created_at=2**62)
    await searches.add(full, MOST)
    assert await searches.find(there, full.id) == full
    assert await searches.list(there, ADA.id) == [ListedSearch(full, ADA.username)]


async def test_an_id_is_found_in_its_own_bucket_alone(searches: SavedSearches, there: int) -> None:
    await searches.add(search(1, there), MOST)
    assert await searches.find(there + 1, search(1, there).id) is None
    assert await searches.find(there, "unknown") is None


async def test_a_list_has_ones_own_by_name_and_then_those_that_others_share(
    searches: SavedSearches, there: int, control: ControlDatabase
) -> None:
    elsewhere = (await SqlBuckets(control).create("shipping", "", None, 5, None)).id
    made = [
        search(1, there, name="Zebra"),
        search(2, there, name="apple", shared=True),
        search(3, there, name="a private one", owner_id=BOB.id),
        search(4, there, name="a shared one", owner_id=BOB.id, shared=True),
        search(5, elsewhere, shared=True),
    ]
    for each in made:
        await searches.add(each, MOST)
    named = [(found.search.name, found.owner) for found in await searches.list(there, ADA.id)]
    assert named == [("apple", ADA.username), ("Zebra", ADA.username), ("a shared one", BOB.username)]
    assert [found.search for found in await searches.list(there, BOB.id)] == [made[2], made[3], made[1]]


async def test_names_are_in_the_same_order_on_every_engine(searches: SavedSearches, there: int) -> None:
    names = ["A.c", "a b", "a-b", "ab", "B", "zz", "Äb"]
    for number, name in enumerate(reversed(names)):
        await searches.add(search(number, there, name=name), 10)
    listed = [found.search.name for found in await searches.list(there, ADA.id)]
    assert listed == ["a b", "a-b", "A.c", "ab", "B", "zz", "Äb"]


async def test_a_name_is_taken_once_for_each_owner_and_bucket(
    searches: SavedSearches, there: int, control: ControlDatabase
) -> None:
    elsewhere = (await SqlBuckets(control).create("shipping", "", None, 5, None)).id
    await searches.add(search(1, there, name="errors"), MOST)
    await searches.add(search(2, there, name="errors", owner_id=BOB.id), MOST)
    await searches.add(search(3, elsewhere, name="errors"), MOST)
    with pytest.raises(Conflict) as taken:
        await searches.add(search(4, there, name="errors"), MOST)
    assert taken.value.code == "name-taken"
    assert await searches.find(there, search(4, there).id) is None


async def test_there_is_a_most_for_each_owner_and_bucket_however_many_come_at_once(
    searches: SavedSearches, there: int
) -> None:
    made = [search(number, there) for number in range(MOST + 3)]
    results = await asyncio.gather(*(searches.add(each, MOST) for each in made), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Conflict)]
    assert [error.code for error in refused] == ["too-many-searches"] * 3
    assert len(await searches.list(there, ADA.id)) == MOST
    await searches.add(search(50, there, owner_id=BOB.id), MOST)


async def test_a_search_of_nobody_or_in_no_bucket_is_not_saved(searches: SavedSearches, there: int) -> None:
    for bad in (search(1, there, owner_id=user_id(99)), search(2, there + 99)):
        with pytest.raises(NotFound):
            await searches.add(bad, MOST)
        assert await searches.find(bad.bucket_id, bad.id) is None


async def test_a_change_is_of_what_it_names(searches: SavedSearches, there: int) -> None:
    one = search(1, there)
    await searches.add(one, MOST)
    assert await searches.update(there, one.id, ADA.id, "renamed", UNSET) == replace(one, name="renamed")
    assert await searches.update(there, one.id, ADA.id, UNSET, True) == replace(one, name="renamed", shared=True)
    assert await searches.find(there, one.id) == replace(one, name="renamed", shared=True)


async def test_a_taken_name_changes_nothing(searches: SavedSearches, there: int) -> None:
    one, two = search(1, there), search(2, there)
    for each in (one, two):
        await searches.add(each, MOST)
    with pytest.raises(Conflict) as taken:
        await searches.update(there, two.id, ADA.id, one.name, True)
    assert taken.value.code == "name-taken"
    assert await searches.find(there, two.id) == two


async def test_only_its_owner_changes_or_deletes_a_search(searches: SavedSearches, there: int) -> None:
    one = search(1, there, shared=True)
    await searches.add(one, MOST)
    for bucket_id, which, owner in ((there, one.id, BOB.id), (there + 1, one.id, ADA.id), (there, "unknown", ADA.id)):
        with pytest.raises(NotFound):
            await searches.update(bucket_id, which, owner, "taken over", UNSET)
        with pytest.raises(NotFound):
            await searches.delete(bucket_id, which, owner)
    assert await searches.find(there, one.id) == one


async def test_a_deleted_search_is_gone_once(searches: SavedSearches, there: int) -> None:
    one, two = search(1, there), search(2, there)
    for each in (one, two):
        await searches.add(each, MOST)
    results = await asyncio.gather(
        *(searches.delete(there, one.id, ADA.id) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(result, NotFound) for result in results) == 3
    assert [found.search for found in await searches.list(there, ADA.id)] == [two]


async def test_searches_go_with_their_owner_and_with_their_bucket(
    searches: SavedSearches, there: int, control: ControlDatabase
) -> None:
    of_ada, of_bob = search(1, there, shared=True), search(2, there, owner_id=BOB.id, shared=True)
    for each in (of_ada, of_bob):
        await searches.add(each, MOST)
    await SqlAccounts(control).delete_user(ADA.id, record(1))
    assert [found.search for found in await searches.list(there, BOB.id)] == [of_bob]
    await SqlBuckets(control).delete("billing", record(2))
    assert await searches.find(there, of_bob.id) is None
