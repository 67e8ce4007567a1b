"""The state of the Explore page: all of it is in the query string, in the API's own names, so that a link is enough.

Pure: no request, no store. Every way to another state (a chip removed, a value filtered for) is a State of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import quote, urlencode

from headrace.errors import ItemError
from headrace.model.query import Order
from headrace.query.filters import MAX_PATH_BYTES, MAX_VALUE_BYTES, is_filter_param

COLUMNS = (
    "time", "level", "service", "action", "actor", "target", "message", "outcome", "trace_id", "span_id",
    "received_at", "id",
)  # fmt: skip
DEFAULT_COLUMNS = COLUMNS[:7]
MOST_COLUMNS = 20
ATTRIBUTE = "attr."
TIMES = ("since", "until")
QUICK_RANGES = ("15m", "1h", "24h", "7d")
_ONE_VALUE = frozenset((*TIMES, "min_level"))
_AGE = re.compile(r"[\d.]+(ms|s|m|h|d|w)", re.ASCII)

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """`pairs` are the filters as they were written, in their order; `columns` and `order` how the list looks."""

    bucket: str
    pairs: tuple[Pair, ...] = ()
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    order: Order = "desc"

    # --- as a link ------------------------------------------------------------------------------------------------

    def query(self, **more: str) -> str:
        """The query string; what is as usual is left out. `more` comes last."""
        pairs = list(self.pairs)
        if self.columns != DEFAULT_COLUMNS:
            pairs.append(("columns", ",".join(self.columns)))
        if self.order != "desc":
            pairs.append(("order", self.order))
        return urlencode([*pairs, *more.items()], errors="replace")

    def link(self, part: str = "", **more: str) -> str:
        """The path of the page, or of its `part` (`/export`), with the query string."""
        query = self.query(**more)
        return f"/explore/{quote(self.bucket, safe='')}{part}{'?' if query else ''}{query}"

    def filters(self, **more: str) -> str:
        """The query string that the API takes: the filters alone."""
        return urlencode([*self.pairs, *more.items()], errors="replace")

    # --- what it asks for -----------------------------------------------------------------------------------------

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for other, value in self.pairs if other == name)

    def first(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    @property
    def quick_range(self) -> str | None:
        """The age whose button is pressed: `all` without times, None for a range of one's own."""
        if self.first("until"):
            return None
        since = self.first("since")
        return since if since in QUICK_RANGES else None if since else "all"

    @property
    def is_relative(self) -> bool:
        """Whether the link means another time tomorrow."""
        return any(_AGE.fullmatch(self.first(name).strip()) for name in TIMES)

    # --- other states ---------------------------------------------------------------------------------------------

    def adding(self, name: str, value: str) -> State:
        """One more value of this filter; a filter that has one value gets this one instead."""
        if (name, value) in self.pairs:
            return self
        kept = [pair for pair in self.pairs if pair[0] != name or name not in _ONE_VALUE]
        return replace(self, pairs=(*kept, (name, value)))

    def removing(self, name: str, value: str | None = None) -> State:
        """Without this value of the filter, or without the filter."""
        kept = tuple(pair for pair in self.pairs if pair[0] != name or (value is not None and pair[1] != value))
        return replace(self, pairs=kept)

    def without_filters(self) -> State:
        """All of the bucket in this time."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] in TIMES))

    def between(self, since: str, until: str) -> State:
        """In this time; an empty text leaves that side open."""
        kept = [pair for pair in self.pairs if pair[0] not in TIMES]
        times = [(name, value) for name, value in zip(TIMES, (since, until), strict=True) if value]
        return replace(self, pairs=(*times, *kept))

    def requiring(self, term: str) -> State:
        """With one more word of the language of `q`, which each of the texts asked for must hold as well."""
        if not self.values("q"):
            return self.adding("q", term)
        pairs = [(name, f"{value} {term}" if name == "q" else value) for name, value in self.pairs]
        return replace(self, pairs=tuple(pairs))


def read_state(bucket: str, pairs: Iterable[Pair]) -> tuple[State, list[ItemError]]:
    """The state, and what in the query string cannot be. Blank filters, which forms send, ask for nothing."""
    state, problems = State(bucket), list[ItemError]()
    for name, value in pairs:
        if name == "columns":
            state = replace(state, columns=read_columns(value.split(",")))
        elif name == "order" and value in ("asc", "desc"):
            state = replace(state, order=cast("Order", value))
        elif name in _NOT_STATE or (is_filter_param(name) and not value.strip() and not name.startswith(ATTRIBUTE)):
            continue
        elif name == "order" or not is_filter_param(name):
            detail = "write asc or desc" if name == "order" else "there is no such filter: was it misspelt?"
            problems.append(ItemError("unknown-parameter", detail, field=name[:MAX_PATH_BYTES]))
            state = replace(state, pairs=(*state.pairs, (name, value)))
        else:
            state = replace(state, pairs=(*state.pairs, (name, value)))
    return state, problems


_NOT_STATE = frozenset(("cursor", "all", "format"))
"""Where in the list, how much of an event, which file: not what is looked for."""


def read_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Those that there are, each once, in the order given; the usual ones when none is left."""
    good = [name for name in map(str.strip, names) if name in COLUMNS or _is_attribute(name)]
    return tuple(dict.fromkeys(good))[:MOST_COLUMNS] or DEFAULT_COLUMNS


def _is_attribute(name: str) -> bool:
    return name.startswith(ATTRIBUTE) and len(ATTRIBUTE) < len(name) <= MAX_PATH_BYTES


def term_of(value: str, *, without: bool = False) -> str | None:
    """`value` as one term of `q`, or None where the language cannot say it."""
    if not value.strip() or "\0" in value or len(value.encode(errors="replace")) > MAX_VALUE_BYTES // 2:
        return None
    minus = "-" if without else ""
    if '"' not in value:
        return f'{minus}"{value}"'
    is_word = not re.search(r"\s", value) and not value.startswith(('"', "-"))
    return minus + value if is_word else None
