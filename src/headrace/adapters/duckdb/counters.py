"""How much each bucket holds: counted once, then only what came since. So 5 M events cost 16 ms once, not each time."""

from __future__ import annotations

import threading

from headrace.adapters.duckdb.readers import Session
from headrace.model.bucket import BucketStats

_EMPTY = BucketStats(0, None, None)
_COUNT = "SELECT bucket_id, count(*), epoch_us(min(time)), epoch_us(max(time)) FROM events"


class Counters:
    """Safe to use from several threads: reads ask, deletes take back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stats: dict[int, BucketStats] = {}
        self._stale: dict[int, int] = {}  # bucket → how often something was deleted from it
        self._seq = 0
        self._counting = threading.Lock()

    def reset(self) -> None:
        """Count everything anew at the next question."""
        with self._counting, self._lock:
            self._stats, self._stale, self._seq = {}, {}, 0

    def deleted(self, bucket_id: int) -> None:
        """Something was deleted from this bucket: it is counted anew at the next question."""
        with self._lock:
            self._stale[bucket_id] = self._stale.get(bucket_id, 0) + 1

    def stats(self, session: Session, bucket_id: int, last_seq: int, slack: int = 0) -> BucketStats:
        """The bucket up to position `last_seq`, or up to `slack` positions less."""
        if last_seq - self._seq > slack or bucket_id in self._stale:
            with self._counting:
                self._catch_up(session, last_seq)
                self._recount(session, bucket_id)
        return self._stats.get(bucket_id, _EMPTY)

    def _catch_up(self, session: Session, last_seq: int) -> None:
        if last_seq <= self._seq:
            return
        rows = session.rows(f"{_COUNT} WHERE seq > ? AND seq <= ? GROUP BY 1", [self._seq, last_seq])
        with self._lock:
            for bucket_id, count, oldest, newest in rows:
                self._stats[bucket_id] = _joined(self._stats.get(bucket_id, _EMPTY), BucketStats(count, oldest, newest))
            self._seq = last_seq

    def _recount(self, session: Session, bucket_id: int) -> None:
        """Also what a delete took while it was being counted: the number of deletes tells."""
        while (deletes := self._stale.get(bucket_id)) is not None:
            rows = session.rows(f"{_COUNT} WHERE bucket_id = ? AND seq <= ? GROUP BY 1", [bucket_id, self._seq])
            with self._lock:
                self._stats[bucket_id] = BucketStats(*rows[0][1:]) if rows else _EMPTY
                if self._stale.get(bucket_id) == deletes:
                    del self._stale[bucket_id]


def _joined(one: BucketStats, other: BucketStats) -> BucketStats:
    if one.oldest is None or one.newest is None or other.oldest is None or other.newest is None:
        return other if one.oldest is None else one
    return BucketStats(one.events + other.events, min(one.oldest, other.oldest), max(one.newest, other.newest))
