"""A search that a user keeps: the query string of Explore, under a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """`id` is a UUIDv7 in its usual text form, `created_at` is µs since 1970. `query` is a query string without its
    question mark. A `shared` one is seen by all who may read the bucket, and changed by its owner alone."""

    id: str
    owner_id: str
    bucket_id: int
    name: str
    query: str
    shared: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class ListedSearch:
    """A saved search, and the username of whoever saved it."""

    search: SavedSearch
    owner: str
