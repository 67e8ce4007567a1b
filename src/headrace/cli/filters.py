"""The filters of `tail`, `query` and `export`: options for the frequent ones, `key=value` for all, and plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

import typer

Where: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WORD | KEY=VALUE]...",
        help="Words that must occur, and filters such as outcome=failure, trace_id=…, attr.ip=203.0.113.7.",
    ),
]
Since: TypeAlias = Annotated[str | None, typer.Option(help="From this time on: 15m, 24h, 7d, or 2026-11-20T12:00:00Z.")]
Until: TypeAlias = Annotated[str | None, typer.Option(help="Before this time.")]
Level: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only this level. May be repeated, as most filters.")]
MinLevel: TypeAlias = Annotated[str | None, typer.Option(help="This level and those above.")]
Service: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only this service.")]
Action: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only this action; invoice.* for a prefix.")]
Actor: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only what this one did (an id).")]
Params: TypeAlias = list[tuple[str, str | int | float | bool | None]]
"""As httpx2 wants it: lists are invariant."""


def params_of(where: Iterable[str] | None, **options: str | Sequence[str] | None) -> Params:
    """The parameters of a read (API.md): the options that were given, then `key=value`, then the words as one `q`."""
    params: Params = []
    for name, value in options.items():
        values = [value] if isinstance(value, str) else value or ()
        params += [(name, one) for one in values]
    words = []
    for part in where or ():
        name, found, value = part.partition("=")
        if found and name.replace("_", "").replace(".", "").replace("-", "").isalnum():
            params.append((name, value))
        else:
            words.append(_quoted(part))
    return [*params, ("q", " ".join(words))] if words else params


def _quoted(word: str) -> str:
    """A shell argument with a space in it is meant as a phrase."""
    return f'"{word}"' if " " in word and '"' not in word else word
