"""What one caller may read of one bucket. Every read of events takes a View, so that no door can forget its filter."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.model.bucket import Bucket
from headrace.model.query import EventFilter


@dataclass(frozen=True, slots=True)
class View:
    """Only `permission.view` makes one for a caller. Without `within` the whole bucket may be read."""

    bucket: Bucket
    within: EventFilter | None = None

    def narrow(self, filter: EventFilter) -> EventFilter:
        """What of `filter` may be seen: all of `filter` holds, and all of `within` does too."""
        return filter if self.within is None else filter.and_within(self.within)
