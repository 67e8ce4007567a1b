"""Searches that users keep. They go with their owner and with their bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.bucket import Unset
from headrace.model.saved_search import ListedSearch, SavedSearch


class SavedSearches(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add(self, search: SavedSearch, most: int) -> None:
        """Keep it. Raises NotFound for an owner or a bucket that is not there, Conflict `too-many-searches` when the
        owner has `most` in this bucket already, and Conflict `name-taken` when one of them has this name."""

    async def find(self, bucket_id: int, id: str) -> SavedSearch | None:
        """The one with this id, if it is of this bucket."""

    async def list(self, bucket_id: int, user_id: str) -> Sequence[ListedSearch]:
        """Those of this user in this bucket, then the shared ones of others; both by name."""

    async def update(
        self, bucket_id: int, id: str, owner_id: str, name: str | Unset, shared: bool | Unset
    ) -> SavedSearch:
        """Change what is given. Raises NotFound unless this owner has it in this bucket, and Conflict `name-taken`."""

    async def delete(self, bucket_id: int, id: str, owner_id: str) -> None:
        """Raises NotFound unless this owner has it in this bucket."""
