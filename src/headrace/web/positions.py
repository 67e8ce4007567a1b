"""Positions in request headers: where a tail goes on, what a read has to have seen."""

from __future__ import annotations

from fastapi import Request

from headrace.errors import ItemError, Malformed


def position_of(request: Request, header: str, hint: str) -> int | None:
    """The position in this header; None without one. Raises Malformed with the `hint` for what it should be."""
    if header not in request.headers:
        return None
    text = request.headers[header].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed(f"{header} is not a position.", items=[ItemError("invalid-value", hint, field=header)])
    return int(text)
