"""A day of invented traffic, for benchmarks and tests: the same for the same seed, on every machine.

50,000 people (a few of whom do most) use 20 services that differ in what they do and how often they fail; there are
quiet hours, bursts, incidents in which one service fails, stragglers minutes or hours late, nested attributes, text in
several scripts, and traces across services. About 375 bytes an event, 10 µs to make one.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from headrace.kit.times import DAY, HOUR, MINUTE, SECOND, format_time

ACTORS = 50_000
_LOG_ACTORS = math.log(ACTORS + 1)
_STEPS = 24 * 60  # the day's curve has a point for each minute

_NAMES = (
    "Ada", "Ольга", "José", "李雷", "Zoë", "محمد", "Søren", "Anaïs", "김민준", "Chloé", "Jürgen", "さくら", "Ngọc",
    "Łukasz",
)  # fmt: skip
_CITIES = ("Berlin", "São Paulo", "東京", "Kraków", "Montréal", "Zürich", "القاهرة", "Αθήνα", "Oslo", "Nairobi")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; like Mac OS X)", "curl/8.14.1", "okhttp/5.1.0")
_ERRORS = (
    "connection to {} timed out after 30000 ms", "deadlock detected on table {}", "upstream {} answered 502",
    "invalid signature in token of {}", "disk quota of {} exceeded", "unexpected EOF while reading from {}",
)  # fmt: skip
_METHODS = ("GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE")
_PATHS = ("products", "orders", "carts", "users", "invoices", "sessions", "search", "files")
_CURRENCIES = ("EUR", "USD", "BRL", "JPY")
_COUPONS = ("null", '"SPRING"', '"WELCOME-10"', "false")
_SYSTEMS = ("ios", "android", "linux", "windows")
_SCREENS = ("390,844", "1920,1080", "2560,1440", "412,915")
_BOOLEANS = ("false", "true")
_HOSTS = ("db-primary", "cache-3", "payments-gw", "search-7", "mail-relay", "object-store")


@dataclass(frozen=True, slots=True)
class _Service:
    """`share` of the traffic in per mille; `errors` of 1,000 events fail; what is done to which kind of thing."""

    name: str
    share: int
    errors: int
    actions: tuple[tuple[str, str], ...]
    target: str


def _service(name: str, share: int, errors: int, target: str, *actions: str) -> _Service:
    return _Service(name, share, errors, tuple((action, _sentence(action)) for action in actions), target)


def _sentence(action: str) -> str:
    thing, _, verb = action.partition(".")
    return f"{thing.replace('_', ' ').capitalize()} {verb.replace('_', ' ')}"


_SERVICES = (
    _service("web-gateway", 230, 12, "route", "request.served", "request.redirected", "request.rejected"),
    _service("auth-api", 120, 45, "session", "user.login", "user.logout", "token.refreshed", "password.changed"),
    _service("catalog-api", 100, 6, "product", "product.viewed", "product.searched", "product.updated"),
    _service("cart-api", 80, 9, "cart", "item.added", "item.removed", "cart.abandoned"),
    _service("billing-api", 55, 14, "invoice", "invoice.paid", "invoice.created", "invoice.voided", "refund.issued"),
    _service("orders-api", 60, 11, "order", "order.placed", "order.cancelled", "order.shipped"),
    _service("inventory", 45, 8, "sku", "stock.reserved", "stock.released", "stock.counted"),
    _service("shipping", 35, 17, "parcel", "parcel.labelled", "parcel.scanned", "parcel.delivered"),
    _service("search-api", 70, 5, "index", "query.answered", "index.refreshed"),
    _service("recommender", 40, 4, "model", "list.computed", "model.reloaded"),
    _service("notifications", 35, 21, "message", "mail.sent", "mail.bounced", "push.sent"),
    _service("media", 30, 10, "file", "file.uploaded", "file.resized", "file.deleted"),
    _service("reports", 10, 30, "report", "report.requested", "report.finished"),
    _service("scheduler", 20, 7, "job", "job.started", "job.finished", "job.skipped"),
    _service("payments-worker", 20, 25, "payment", "payment.captured", "payment.declined"),
    _service("fraud-check", 15, 13, "payment", "score.computed", "case.opened"),
    _service("partner-sync", 12, 60, "feed", "feed.fetched", "feed.rejected"),
    _service("admin-console", 5, 3, "user", "user.disabled", "role.granted", "role.revoked", "bucket.exported"),
    _service("support-desk", 8, 2, "ticket", "ticket.opened", "ticket.closed", "note.added"),
    _service("backup", 10, 15, "volume", "backup.started", "backup.verified"),
)


def generate(
    count: int, seed: int = 1, start: int = 1_763_596_800 * SECOND, *, span: int = DAY, numbered: bool = False
) -> Iterator[bytes]:
    """`count` events as JSON objects, one line each (with its newline), in the order in which they would arrive.

    `start` (µs since 1970) and `span` (µs) say when; the times of the events are roughly, not strictly, ascending.
    `numbered` adds `"n"`, counting from 0, to the attributes, by which a test can tell each event. The same arguments
    give the same bytes; a larger `count` is another, denser day.
    """
    day = _Day(Random(seed), start, span)  # noqa: S311 - it must be the same each time
    for number in range(count):
        yield day.event(number / count, number if numbered else None)


class _Day:
    """The state of the invented world."""

    def __init__(self, random: Random, start: int, span: int) -> None:
        self._random = random
        self._clock = _Clock(random, start, span)
        self._shares = list(accumulate(service.share for service in _SERVICES))
        self._shapes: tuple[Callable[[], str], ...] = (
            self._request, self._request, self._purchase, self._device, self._address,
        )  # fmt: skip
        self._incident = _Spell()
        self._burst = _Spell()
        self._trace = _Spell()
        self._trace_id = ""
        self._failing = self._busy = _SERVICES[0]
        self._busy_actor = 0

    def event(self, position: float, number: int | None) -> bytes:
        """The event at this share (0 to 1) of the day's traffic."""
        random = self._random.random
        service, actor = self._who()
        luck = random()
        action, sentence = service.actions[int(luck * luck * len(service.actions))]
        target = int(random() * 1_000_000)
        level, outcome, message = self._what(service, sentence, target)
        shape = self._shapes[int(random() * len(self._shapes))]
        numbered = "" if number is None else f',"n":{number}'
        return (
            f'{{"time":"{self._clock.time(position)}","level":"{level}","service":"{service.name}","action":"{action}",'
            f'"actor":{_actor(actor)},"target":{{"id":"{service.target}-{target}","type":"{service.target}"}},'
            f'"outcome":"{outcome}","message":"{message}","attributes":{{{shape()}{numbered}}}{self._traced()}}}\n'
        ).encode()

    def _who(self) -> tuple[_Service, int]:
        """A service and one who uses it: by their shares, but for bursts of one actor on one service."""
        if self._burst.goes_on():
            return self._busy, self._busy_actor
        random = self._random.random
        service = _SERVICES[bisect(self._shares, random() * self._shares[-1])]
        actor = int(math.exp(random() * _LOG_ACTORS))  # Zipf: the first of them does 6 % of all
        if random() < 0.0005:
            self._burst.begin(int(20 + 400 * random() ** 3))
            self._busy, self._busy_actor = service, actor
        return service, actor * 31_337 % ACTORS

    def _what(self, service: _Service, sentence: str, target: int) -> tuple[str, str, str]:
        """Level, outcome and message."""
        random = self._random.random
        luck = random()
        if luck < 0.00003:
            self._incident.begin(int(2_000 + 8_000 * random()))
            self._failing = service
        errors = service.errors / 1_000
        if self._incident.goes_on() and service is self._failing:
            errors = 0.6
        if luck < errors:
            cause = _ERRORS[int(random() * len(_ERRORS))].format(_HOSTS[int(random() * len(_HOSTS))])
            level = "critical" if luck < errors * 0.02 else "error"
            return level, "failure", f"{sentence}: {cause} (E{1000 + target % 9000})"
        level = "info" if luck < 0.88 else "debug" if luck < 0.95 else "warning" if luck < 0.985 else "trace"
        outcome = "unknown" if luck > 0.999 else "success"
        return level, outcome, f"{sentence} {target} in {int(3 + 40 * random() ** 4 * 50)} ms"

    def _traced(self) -> str:
        """Trace and span of about one event in six, two to five events to a trace."""
        if not self._trace.goes_on():
            if self._random.random() > 0.05:
                return ""
            self._trace_id = f"{self._random.getrandbits(128) | 1:032x}"
            self._trace.begin(1 + self._random.getrandbits(2))
        return f',"trace_id":"{self._trace_id}","span_id":"{self._random.getrandbits(64) | 1:016x}"'

    def _request(self) -> str:
        bits = self._random.getrandbits(48)
        return (
            f'"method":"{_METHODS[bits & 7]}","path":"/v1/{_PATHS[bits >> 3 & 7]}/{bits >> 6 & 0xFFFF}",'
            f'"duration_ms":{(bits >> 22 & 0x3FFF) / 100},"ip":"203.0.{bits >> 36 & 7}.{bits >> 40 & 255}",'
            f'"agent":"{_AGENTS[bits >> 39 & 3]}"'
        )

    def _purchase(self) -> str:
        bits = self._random.getrandbits(40)
        return (
            f'"amount":"{bits & 0xFFF}.{bits >> 12 & 63:02d}","currency":"{_CURRENCIES[bits >> 18 & 3]}",'
            f'"items":{(bits >> 20 & 7) + 1},"coupon":{_COUPONS[bits >> 23 & 3]},{self._address()}'
        )

    def _device(self) -> str:
        bits = self._random.getrandbits(40)
        return (
            f'"client":{{"os":"{_SYSTEMS[bits & 3]}","version":"{bits >> 2 & 3}.{bits >> 4 & 15}",'
            f'"screen":[{_SCREENS[bits >> 8 & 3]}]}},'
            f'"geo":{{"city":"{_CITIES[(bits >> 10) % len(_CITIES)]}","accuracy":{bits >> 20 & 255}}},'
            f'"features":{{"beta":{_BOOLEANS[bits >> 28 & 1]},"dark":{_BOOLEANS[bits >> 29 & 1]}}}'
        )

    def _address(self) -> str:
        bits = self._random.getrandbits(10)
        return f'"ip":"198.51.{bits & 3}.{bits >> 2}"'


class _Spell:
    """Something that lasts for a number of events."""

    def __init__(self) -> None:
        self._left = 0

    def begin(self, events: int) -> None:
        self._left = events

    def goes_on(self) -> bool:
        self._left -= 1
        return self._left >= 0


class _Clock:
    """Times of the day, dense where there is much traffic, with a few events out of order and a few late."""

    def __init__(self, random: Random, start: int, span: int) -> None:
        self._random = random.random
        self._start = start
        self._step = span / _STEPS
        weights = list(accumulate(_load(step / _STEPS) * (0.8 + 0.4 * random.random()) for step in range(_STEPS)))
        self._edges = [0.0, *(weight / weights[-1] for weight in weights)]
        self._seconds: dict[int, str] = {}

    def time(self, position: float) -> str:
        """RFC 3339 in UTC, some with milliseconds and some with microseconds, as programs write them."""
        random = self._random
        step = min(bisect(self._edges, position), _STEPS) - 1
        low, high = self._edges[step], self._edges[step + 1]
        offset = (step + (position - low) / (high - low)) * self._step
        luck = random()
        if luck < 0.05:  # out of order by up to 2 s
            offset -= luck * 40 * SECOND
        elif luck > 0.99:  # late: minutes, one in ten of them hours
            offset -= random() * (6 * HOUR if luck > 0.999 else 10 * MINUTE)
        second, rest = divmod(self._start + max(int(offset), 0), SECOND)
        text = self._seconds.get(second)
        if text is None:
            text = self._seconds[second] = format_time(second * SECOND)[:20]
        return f"{text}{rest:06d}Z" if rest & 1 else f"{text}{rest // 1_000:03d}Z"


def _load(share: float) -> float:
    """The traffic at this share of the day, relative to its mean: least at 4:00, most at 16:00."""
    return 1 - 0.7 * math.cos(2 * math.pi * (share - 4 / 24))


def _actor(number: int) -> str:
    """People mostly, with a name or without; programs, too, and some say only their id."""
    kind = number % 10
    if kind < 6:
        return f'{{"id":"user-{number}","type":"user","name":"{_NAMES[number % len(_NAMES)]}"}}'
    if kind < 8:
        return f'{{"id":"user-{number}","type":"user"}}'
    return f'"user-{number}"' if kind == 8 else f'{{"id":"service-{number % 97}","type":"service"}}'
