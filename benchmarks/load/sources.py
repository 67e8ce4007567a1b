"""Requests made of ready-made events: only the time is put in while sending, since real events carry one."""

from __future__ import annotations

import re
from time import gmtime, perf_counter, strftime, time

from benchmarks.load.job import LINES_PER_REQUEST, Job
from benchmarks.traffic import OPENING

_STAMP_SIZE = len("2026-11-20T12:00:00.123456Z")
_STAMP_SECONDS = 0.001  # how long a time serves for single events
ACCEPTED = re.compile(rb'"accepted":\s*(\d+)')
_RETRY_SECONDS = 0.1


class Times:
    """RFC 3339 from µs since 1970; events come in order of time, so a second's text is made once."""

    def __init__(self) -> None:
        self._seconds: dict[int, bytes] = {}

    def stamp(self, micros: int) -> bytes:
        second, rest = divmod(micros, 1_000_000)
        text = self._seconds.get(second)
        if text is None:
            if len(self._seconds) > 10_000:
                self._seconds.clear()
            text = self._seconds[second] = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second)).encode()
        return text + b"%06dZ" % rest


def request_head(job: Job, content_type: str, length: int) -> bytes:
    return (
        f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nUser-Agent: headrace-bench\r\nAccept: */*\r\n"
        f"Authorization: Bearer {job.key}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


class SingleSource:
    """One event a request. What is refused is not sent again."""

    def __init__(self, job: Job, tails: list[bytes]) -> None:
        tails = [tail.rstrip() for tail in tails]
        sizes = {len(tail) for tail in tails}
        heads = {
            size: request_head(job, "application/json", len(OPENING) + _STAMP_SIZE + size) + OPENING for size in sizes
        }
        self._parts = [(heads[len(tail)], tail) for tail in tails]
        self._position = 0
        self._left = job.events if job.events is not None else -1
        self._rate = job.rate
        self._began = perf_counter()
        self._sent = 0
        self._times = Times()
        self._stamp, self._stamped = b"", 0.0
        self.statuses: dict[int, int] = {}
        self.accepted = 0

    def next(self) -> bytes | None:
        if self._left == 0:
            return None
        if self._rate is not None:
            if self._sent > (perf_counter() - self._began) * self._rate:
                return None
            self._sent += 1
        self._left -= 1
        now = time()
        if now - self._stamped > _STAMP_SECONDS:
            self._stamp, self._stamped = self._times.stamp(int(now * 1_000_000)), now
        head, tail = self._parts[self._position]
        self._position = (self._position + 1) % len(self._parts)
        return head + self._stamp + tail

    def answered(self, status: int, _body: bytes, _request: bytes, /) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.accepted += 200 <= status < 300

    def finished(self) -> bool:
        return self._left == 0


class LinesSource:
    """NDJSON of LINES_PER_REQUEST events a request. What is answered with 503 is sent again."""

    def __init__(self, job: Job, tails: list[bytes], delays: list[int]) -> None:
        self._job = job
        self._tails = tails
        self._delays = delays
        self._times = Times()
        self._began = perf_counter()
        self._sent = 0
        self._most = job.events if job.events is not None else 1 << 62
        self._again: list[bytes] = []
        self._resume = 0.0
        self.statuses: dict[int, int] = {}
        self.accepted = 0

    def next(self) -> bytes | None:
        now = perf_counter()
        if now < self._resume:
            return None
        if self._again:
            return self._again.pop()
        if self._sent >= self._most or (self._job.rate and self._sent > (now - self._began) * self._job.rate):
            return None
        body = self._body(min(LINES_PER_REQUEST, self._most - self._sent))
        return request_head(self._job, "application/x-ndjson", len(body)) + body

    def answered(self, status: int, body: bytes, request: bytes, /) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 503:
            self._again.append(request)
            self._resume = perf_counter() + _RETRY_SECONDS
        elif found := ACCEPTED.search(body[:64]):
            self.accepted += int(found[1])

    def finished(self) -> bool:
        return self._sent >= self._most and not self._again

    def _body(self, count: int) -> bytes:
        first = self._sent % len(self._tails)
        tails = self._tails[first : first + count]
        count = len(tails)
        parts = [OPENING] * (3 * count)
        parts[1::3] = self._stamps(count, first)
        parts[2::3] = tails
        self._sent += count
        return b"".join(parts)

    def _stamps(self, count: int, first: int) -> list[bytes]:
        job, stamp = self._job, self._times.stamp
        delays = self._delays[first : first + count]
        if job.first_time is None:
            now = int(time() * 1_000_000)
            return [stamp(now - delay) for delay in delays]
        base, step = job.first_time + self._sent * job.time_step, job.time_step
        return [stamp(int(base + turn * step) - delay) for turn, delay in enumerate(delays)]
