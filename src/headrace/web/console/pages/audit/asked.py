"""What the address of the audit page asks for. Its parameters are those of the API, and two days for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import quote, urlencode

from headrace.errors import ItemError
from headrace.web.params import check_names

Pair = tuple[str, str]
FROM, TO = "from", "to"
FIELDS = ("actor", "action", "target", "outcome", "q", "since", "until", FROM, TO)
RANGES = (("24h", "24 h"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("", "All"))
_TIMES = ("since", "until", FROM, TO)
_NAMES = frozenset((*FIELDS, "cursor"))


@dataclass(frozen=True, slots=True)
class Asked:
    """`pairs` are the filters as they were written, without blank ones, which forms send."""

    bucket: str
    pairs: tuple[Pair, ...] = ()
    cursor: str | None = None

    def value(self, name: str) -> str:
        return next((value for other, value in self.pairs if other == name), "")

    def day(self, name: str) -> str:
        """For a field of a form, which takes no other text than a day."""
        try:
            return date.fromisoformat(self.value(name)).isoformat()
        except ValueError:
            return ""

    def having(self, name: str, value: str) -> Asked:
        """With this value alone for `name`, from the first page on; an empty one takes the filter away."""
        kept = [pair for pair in self.pairs if pair[0] != name]
        return replace(self, pairs=(*kept, (name, value)) if value else tuple(kept), cursor=None)

    def ago(self, age: str) -> Asked:
        """From so long ago on, without other times."""
        kept = tuple(pair for pair in self.pairs if pair[0] not in _TIMES)
        return replace(self, pairs=(*kept, ("since", age)) if age else kept, cursor=None)

    @property
    def range(self) -> str | None:
        """The age that is asked for, empty for all time; None for another time."""
        if any(self.value(name) for name in ("until", FROM, TO)):
            return None
        since = self.value("since")
        return since if since in dict(RANGES) else None

    def link(self, part: str = "", **more: str) -> str:
        query = urlencode([*self.pairs, *more.items()], errors="replace")
        return f"/audit/{quote(self.bucket, safe='')}{part}{'?' if query else ''}{query}"

    def exported(self, format: str) -> str:
        """Where the same events are a file."""
        filters, _ = self.filters()
        query = urlencode([*filters, ("format", format)], errors="replace")
        return f"/explore/{quote(self.bucket, safe='')}/export?{query}"

    def filters(self) -> tuple[list[Pair], list[ItemError]]:
        """As the API takes them, and which day is none. Days are of UTC, the last one inclusive."""
        pairs = [pair for pair in self.pairs if pair[0] not in (FROM, TO)]
        wrong: list[ItemError] = []
        for name, limit, later in ((FROM, "since", 0), (TO, "until", 1)):
            if text := self.value(name):
                pairs = [pair for pair in pairs if pair[0] != limit]
                try:
                    pairs.append((limit, f"{date.fromisoformat(text) + timedelta(days=later)}T00:00:00Z"))
                except (ValueError, OverflowError):
                    detail = f"{text[:40]!r} is no day: write it as 2026-11-20"
                    wrong.append(ItemError("bad-filter", detail, field=name))
        return pairs, wrong


def read(bucket: str, pairs: Sequence[Pair]) -> Asked:
    """Raises Malformed for a parameter that there is not: a misspelt filter must not widen a search."""
    check_names(pairs, _NAMES, takes_attributes=False)
    cursor = next((value for name, value in pairs if name == "cursor" and value), None)
    return Asked(bucket, tuple((name, value) for name, value in pairs if name in FIELDS and value.strip()), cursor)
