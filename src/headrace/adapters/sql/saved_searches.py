"""Saved searches in a relational database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.database import ControlDatabase, rowcount
from headrace.adapters.sql.models import BucketRow, SavedSearchRow, UserRow
from headrace.adapters.sql.users import locked_user
from headrace.errors import Conflict, NotFound
from headrace.model.bucket import UNSET, Unset
from headrace.model.saved_search import ListedSearch, SavedSearch


class SqlSavedSearches:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add(self, search: SavedSearch, most: int) -> None:
        with _name_taken(search.name):
            async with self._database.changing() as session:
                await locked_user(session, search.owner_id)  # so that two at once do not both find room for one more
                if await session.get(BucketRow, search.bucket_id, with_for_update={"read": True}) is None:
                    raise NotFound("The bucket is not there any more.", code="unknown-bucket")
                if await _count(session, search) >= most:
                    raise Conflict(
                        f"You have {most} saved searches in this bucket, which is the most: delete one first.",
                        code="too-many-searches",
                    )
                session.add(_row(search))

    async def find(self, bucket_id: int, id: str) -> SavedSearch | None:
        async with self._database.reading() as session:
            row = await session.scalar(_one(bucket_id, id))
        return _search(row) if row is not None else None

    async def list(self, bucket_id: int, user_id: str) -> Sequence[ListedSearch]:
        statement = (
            select(SavedSearchRow, UserRow.username)
            .join(UserRow, UserRow.id == SavedSearchRow.owner_id)
            .where(
                SavedSearchRow.bucket_id == bucket_id,
                or_(SavedSearchRow.owner_id == user_id, SavedSearchRow.shared.is_(True)),
            )
        )
        async with self._database.reading() as session:
            found = [ListedSearch(_search(row), owner) for row, owner in await session.execute(statement)]
        return sorted(found, key=lambda listed: _place(listed.search, user_id))

    async def update(
        self, bucket_id: int, id: str, owner_id: str, name: str | Unset, shared: bool | Unset
    ) -> SavedSearch:
        with _name_taken(None if name is UNSET else name):
            async with self._database.changing() as session:
                row = await session.scalar(_one(bucket_id, id).with_for_update())
                if row is None or row.owner_id != owner_id:
                    raise _unknown(id)
                if name is not UNSET:
                    row.name = name
                if shared is not UNSET:
                    row.shared = shared
            return _search(row)

    async def delete(self, bucket_id: int, id: str, owner_id: str) -> None:
        async with self._database.changing() as session:
            done = await session.execute(
                delete(SavedSearchRow).where(
                    SavedSearchRow.id == id,
                    SavedSearchRow.bucket_id == bucket_id,
                    SavedSearchRow.owner_id == owner_id,
                )
            )
            if not rowcount(done):
                raise _unknown(id)


@contextmanager
def _name_taken(name: str | Unset | None) -> Iterator[None]:
    """The name is the only thing that can be taken: ids are new."""
    try:
        yield
    except Conflict as exc:
        if exc.code != Conflict.code:
            raise
        raise Conflict(f"You have a saved search {name!r} in this bucket already.", code="name-taken") from exc


def _place(search: SavedSearch, user_id: str) -> tuple[bool, str, str]:
    """One's own first, by name; here, since each engine sorts names in its own way."""
    return search.owner_id != user_id, search.name.lower(), search.id


async def _count(session: AsyncSession, search: SavedSearch) -> int:
    mine = (SavedSearchRow.owner_id == search.owner_id, SavedSearchRow.bucket_id == search.bucket_id)
    return await session.scalar(select(func.count()).select_from(SavedSearchRow).where(*mine)) or 0


def _one(bucket_id: int, id: str) -> Select[SavedSearchRow]:
    return select(SavedSearchRow).where(SavedSearchRow.id == id, SavedSearchRow.bucket_id == bucket_id)


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no saved search {id[:64]!r} of yours.", code="unknown-search")


def _row(search: SavedSearch) -> SavedSearchRow:
    return SavedSearchRow(
        id=search.id,
        owner_id=search.owner_id,
        bucket_id=search.bucket_id,
        name=search.name,
        query=search.query,
        shared=search.shared,
        created_at=search.created_at,
    )


def _search(row: SavedSearchRow) -> SavedSearch:
    return SavedSearch(row.id, row.owner_id, row.bucket_id, row.name, row.query, row.shared, row.created_at)
