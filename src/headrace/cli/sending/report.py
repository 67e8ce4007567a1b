"""What became of everything that was sent. Shared by the threads of a delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from headrace.cli.answers import Accepted
from headrace.cli.sending.batch import Batch, Refused

_MOST_KEPT = 1_000  # rejections remembered in words; the count goes on


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start; `sent_bytes` are the bytes of accepted batches, unpacked."""

    accepted: int = 0
    rejected: int = 0
    batches: int = 0
    sent_bytes: int = 0


class Report:
    """Counts, and the reasons of what was rejected with its place in the source."""

    def __init__(self, rejects: BinaryIO | None = None) -> None:
        """`rejects` receives the rejected lines as they were, to be mended and sent again."""
        self._lock = threading.Lock()
        self._rejects = rejects
        self._reasons: list[Refused] = []
        self._totals = Totals()
        self._unnamed = 0
        self.last_progress = time.monotonic()

    @property
    def totals(self) -> Totals:
        """A consistent copy."""
        return self._totals

    @property
    def reasons(self) -> Sequence[Refused]:
        """The first thousand rejections, by source and line."""
        return sorted(self._reasons, key=lambda reason: (reason.source, reason.line))

    @property
    def unnamed(self) -> int:
        """Rejections of which the server did not say which they were: it spells out 100 of a batch."""
        return self._unnamed

    def took(self, batch: Batch, answer: Accepted) -> None:
        """The server answered for a batch."""
        refusals = [
            Refused(batch.source, line, error.code, error.detail, data)
            for error in answer.errors
            if error.index is not None
            for line, data in (batch.origin.of(error.index),)
        ]
        with self._lock:
            old = self._totals
            self._totals = Totals(
                old.accepted + answer.accepted,
                old.rejected + answer.rejected,
                old.batches + 1,
                old.sent_bytes + len(batch.body),
            )
            self._unnamed += max(answer.rejected - len(refusals), 0)
            self._keep(refusals)
            self.last_progress = time.monotonic()

    def refused(self, refusal: Refused) -> None:
        """We ourselves could not send an item."""
        with self._lock:
            old = self._totals
            self._totals = Totals(old.accepted, old.rejected + 1, old.batches, old.sent_bytes)
            self._keep([refusal])

    def _keep(self, refusals: Sequence[Refused]) -> None:
        if len(self._reasons) < _MOST_KEPT:
            self._reasons += refusals[: _MOST_KEPT - len(self._reasons)]
        if self._rejects:
            for refusal in refusals:
                self._rejects.write(refusal.data.rstrip(b"\r\n") + b"\n")
