"""Whatever a program hands out, as JSON: plain values, dataclasses, structs, times, and models of pydantic."""

from __future__ import annotations

from typing import Any

import msgspec


def _foreign(value: Any) -> Any:
    """Models of pydantic, recognised by what they offer: this room need not import it."""
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_encode = msgspec.json.Encoder(enc_hook=_foreign).encode


def as_json(value: object) -> bytes:
    """Numbers that JSON cannot say (NaN) become null. Raises ValueError that says what cannot be written."""
    try:
        return _encode(value)
    except RecursionError as exc:
        raise ValueError("it contains itself, or is nested too deeply, and cannot be written as JSON") from exc
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as exc:
        raise ValueError(str(exc)) from exc
