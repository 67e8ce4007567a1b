"""What the address of the list asks for. Its parameters are those of the API, but that `q` is words as people type
them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from headrace.model.task import Status, TaskFilter
from headrace.tasks.filters import parse_filter
from headrace.web.params import check_names

Pair = tuple[str, str]
FIELDS = ("status", "type", "queue", "owner", "q", "since", "until")
RANGES = (("1h", "1 h"), ("24h", "24 h"), ("7d", "7 days"), ("", "All"))
_TIMES = ("since", "until")
_COUNTED = frozenset({"status", "type", "owner"})
_OTHERS = frozenset({"cursor", "from", "seen"})
_WORD = re.compile(r'"([^"]+)"|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class Asked:
    """`pairs` are the filters as they were written, without blank ones, which forms send. `first`: the task that is
    shown first, so that rows stay where they are while newer ones come. `seen`: what the page shows already."""

    pairs: tuple[Pair, ...] = ()
    cursor: str | None = None
    first: str | None = None
    seen: str = ""

    def value(self, name: str) -> str:
        return next((value for other, value in self.pairs if other == name), "")

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for other, value in self.pairs if other == name)

    def having(self, name: str, *values: str) -> Asked:
        """With these values alone for `name`, from the first page on; without any, the filter is gone."""
        kept = [pair for pair in self.pairs if pair[0] != name]
        return Asked((*kept, *((name, value) for value in values if value)))

    def toggled(self, status: str) -> Asked:
        """With this status as well, or without it."""
        chosen = self.values("status")
        return self.having("status", *(one for one in (*chosen, status) if status not in chosen or one != status))

    def ago(self, age: str) -> Asked:
        """From so long ago on, without other times."""
        kept = tuple(pair for pair in self.pairs if pair[0] not in _TIMES)
        return Asked((*kept, ("since", age)) if age else kept)

    @property
    def range(self) -> str | None:
        """The age that is asked for, empty for all time; None for another time."""
        since = self.value("since")
        return None if self.value("until") or since not in dict(RANGES) else since

    @property
    def query(self) -> str:
        return urlencode(self.pairs, errors="replace")

    @property
    def is_counted(self) -> bool:
        """Whether the table knows by heart how many there are."""
        return all(name in _COUNTED for name, _ in self.pairs)

    def link(self, path: str = "/tasks", **more: str) -> str:
        query = urlencode([*self.pairs, *more.items()], errors="replace")
        return f"{path}{'?' if query else ''}{query}"

    def filter(self, now: int) -> TaskFilter:
        """Raises Malformed."""
        pairs = [pair for pair in self.pairs if pair[0] != "q"]
        words = [word[0] or word[1] for text in self.values("q") for word in _WORD.findall(text)]
        return parse_filter([*pairs, *(("q", word) for word in words)], now)


def read(pairs: Sequence[Pair]) -> Asked:
    """Raises Malformed for a parameter that there is not: a misspelt filter must not widen a search."""
    check_names(pairs, frozenset(FIELDS) | _OTHERS, takes_attributes=False)
    kept = tuple((name, value) for name, value in pairs if name in FIELDS and value.strip())
    others = {name: value for name, value in pairs if name in _OTHERS and value}
    return Asked(kept, others.get("cursor"), others.get("from"), others.get("seen", ""))


def read_query(query: str) -> Asked:
    """From a query string that a form of ours carries."""
    return read(parse_qsl(query[:8_192]))


def narrowed(filter: TaskFilter, to: frozenset[Status], usual: frozenset[Status]) -> TaskFilter | None:
    """The filter, of those states alone that are in `to`; `usual` where it names none. None: nothing is left."""
    wanted = frozenset(filter.statuses) & to if filter.statuses else usual
    return (
        TaskFilter(
            filter.owner, tuple(sorted(wanted)), filter.types, filter.queues, filter.q, filter.since, filter.until
        )
        if wanted
        else None
    )
