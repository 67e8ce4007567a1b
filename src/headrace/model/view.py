"""What one caller may read of one bucket. Every read of events takes a View, so that no door can forget its filter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.model.bucket import Bucket
from headrace.model.query import EventFilter


@dataclass(frozen=True, slots=True)
class View:
    """Only `permission.view` makes one for a caller. Without `within` the whole bucket may be read."""

    bucket: Bucket
    within: EventFilter | None = None
    read_after: int = 0
    """A position that whatever answers must have reached: the caller's own write, say."""

    def narrow(self, filter: EventFilter) -> EventFilter:
        """What of `filter` may be seen: all of `filter` holds, and all of `within` does too."""
        wanted = filter if self.within is None else filter.and_within(self.within)
        return replace(wanted, read_after=self.read_after) if self.read_after else wanted
