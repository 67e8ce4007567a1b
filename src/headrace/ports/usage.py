"""How much each credential sent into each bucket, by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from headrace.model.account import Usage, UsageLine

UsageBy = Literal["bucket", "key", "user"]


class UsageLedger(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add(self, spent: Sequence[Usage]) -> None:
        """Add to what is counted already, in one transaction: each line once, or none of them."""

    async def day(self, day: int) -> Sequence[Usage]:
        """Everything counted on that day, by bucket and credential."""

    async def totals(
        self, by: UsageBy, since_day: int, until_day: int, *, owner_id: str | None, bucket_ids: Sequence[int] | None
    ) -> Sequence[UsageLine]:
        """Sums of the days in [since_day, until_day), newest day first, then by id. What a user's keys sent counts for
        the user too. Only what `owner_id` and the owner's keys sent, and only into `bucket_ids`, where they are given.
        """

    async def forget(self, before_day: int) -> None:
        """Delete the days before."""
