"""What a request to the Explore page asks for: its state, the filter that makes, or what is wrong with it, by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request

from headrace.errors import ItemError, Malformed
from headrace.model.query import EVERYTHING, EventFilter
from headrace.query.filters import is_filter_param, parse_filter
from headrace.services import Services
from headrace.web.console.pages.explore.state import Pair, State, read_state
from headrace.web.param import pairs_of

_MOST_PAIRS = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """With problems the filter says nothing, and nothing may be read with it."""

    state: State
    filter: EventFilter
    problems: tuple[ItemError, ...] = ()

    def problem(self, name: str) -> str:
        """What is wrong with this filter, or nothing."""
        return next((item.detail for item in self.problems if item.field == name), "")


def asked(request: Request, services: Services) -> Asked:
    """From the query string of the page."""
    return _asked(request.path_params["bucket"], pairs_of(request), services)


def asked_in_form(request: Request, services: Services) -> tuple[Asked, list[Pair]]:
    """From the field `state` of a form on the page, and the other fields of the form."""
    fields = list(pairs_of(request))
    text = next((value for name, value in fields if name == "state"), "")
    pairs = parse_qsl(text, keep_blank_values=True)[:_MOST_PAIRS]
    return _asked(request.path_params["bucket"], pairs, services), [pair for pair in fields if pair[0] != "state"]


def filter_by(state: State, services: Services) -> EventFilter:
    """Raises Malformed."""
    return parse_filter([pair for pair in state.pairs if is_filter_param(pair[0])], services.clock.now())


def _asked(bucket: str, pairs: Sequence[Pair], services: Services) -> Asked:
    state, problems = read_state(bucket, pairs)
    try:
        wanted = filter_by(state, services)
    except Malformed as exc:
        return Asked(state, EVERYTHING, (*problems, *exc.items))
    return Asked(state, EVERYTHING if problems else wanted, tuple(problems))
