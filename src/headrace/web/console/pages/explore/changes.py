"""What the forms of the Explore page say, as another state of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from headrace.query.filters import is_filter_param
from headrace.web.console.pages.explore.state import ATTRIBUTE, Pair, State, read_columns

_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)


def changed(state: State, fields: Sequence[Pair]) -> State:
    """`state` with what a form says; a form says one thing, and its empty fields say nothing."""
    form = dict(fields)
    if form.get("bucket"):
        state = replace(state, bucket=form["bucket"])
    if form.get("field", "").strip() and form.get("value", "").strip():
        state = state.adding(filter_name(form["field"]), form["value"].strip())
    if "from" in form or "since" in form:
        state = state.between(*(_moment(form, exact, local) for exact, local in (("since", "from"), ("until", "to"))))
    if "columns" in form:  # a hidden field, since no box that is ticked says nothing
        more = (f"{ATTRIBUTE}{name.strip().removeprefix(ATTRIBUTE)}" for name in form.get("more", "").split(","))
        state = replace(state, columns=read_columns([*(value for name, value in fields if name == "column"), *more]))
    return state


def filter_name(field: str) -> str:
    """`field` as a filter's name: whatever is none is a path in the attributes."""
    field = field.strip()
    return field if is_filter_param(field) else ATTRIBUTE + field


def _moment(form: dict[str, str], exact: str, local: str) -> str:
    """The time that the page's script has made of the viewer's clock; without a script it is read as UTC."""
    if form.get(exact):
        return form[exact]
    text = form.get(local, "").strip()
    return f"{text}Z" if _LOCAL.fullmatch(text) else text
