"""Which reads come often, by bucket, remembered beyond a restart and by all processes together. They go with their
bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

MOST_TEXT = 4_096  # characters of a query


class BusyQueries(Protocol):
    """A query is a text that says all of it. Its score is log2 of how often it came, where what comes half a life later
    counts one more: of two scores the higher one is the busier, whenever they were made. Raises Unavailable."""

    async def add(self, scores: Mapping[int, Mapping[str, float]], *, keep: int, floor: float) -> None:
        """Bucket id → query → score of what came since the last call, put to what is known. Of each bucket the `keep`
        busiest stay, and none below `floor`. A bucket that is not there any more is left out."""

    async def top(self, bucket_id: int, floor: float) -> Sequence[str]:
        """Those with at least this score, the busiest first."""
