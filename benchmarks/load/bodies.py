"""The same bytes in every request: tasks, whose ids and times are the server's."""

from __future__ import annotations

from benchmarks.load.job import LINES_PER_REQUEST, Job
from benchmarks.load.sources import ACCEPTED, request_head


class BodySource:
    """One body a request, or LINES_PER_REQUEST of them as NDJSON. What is refused is not sent again."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._each = 1 if job.kind == "body" else LINES_PER_REQUEST
        self._left = job.events if job.events is not None else 1 << 62
        self._request = self._make(self._each)
        self.statuses: dict[int, int] = {}
        self.accepted = 0

    def next(self) -> bytes | None:
        if self._left <= 0:
            return None
        count = min(self._each, self._left)
        self._left -= count
        return self._request if count == self._each else self._make(count)

    def answered(self, status: int, body: bytes, _request: bytes, /) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self._each == 1:
            self.accepted += 200 <= status < 300
        elif found := ACCEPTED.search(body[:64]):
            self.accepted += int(found[1])

    def finished(self) -> bool:
        return self._left <= 0

    def _make(self, count: int) -> bytes:
        if self._job.kind == "body":
            body, content_type = self._job.body.encode(), "application/json"
        else:
            body, content_type = (self._job.body.encode() + b"\n") * count, "application/x-ndjson"
        return request_head(self._job, content_type, len(body)) + body
