"""The parameters of a handler as the shape of its `args`: what is wrong with given ones, and what to call it with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, get_type_hints

import pydantic
import typing_extensions

from headrace.errors import ItemError
from headrace.handlers.context import Context

# Strict: "5" is no number and 1 no boolean. A mapping rather than a model: any name of a parameter will do (a model has
# methods of its own called `json` and `copy`), and what is not given is left to the function's own default.
_CONFIG: Final = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=False)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """Raises TypeError, with a text for the function's author, when it cannot be called with named arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        hints = get_type_hints(function, include_extras=True)
        self.context: str | None = None
        fields: dict[str, Any] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in _NAMED:
                raise TypeError(f"the parameter {parameter} cannot be given by its name")
            if name not in hints:
                raise TypeError(f"the parameter {name!r} needs a type")
            if hints[name] is Context:
                self.context = name
            elif parameter.default is inspect.Parameter.empty:
                fields[name] = hints[name]
            else:
                fields[name] = typing_extensions.NotRequired[hints[name]]
        make: Any = typing_extensions.TypedDict  # its types are known at run time only
        shape = make("args", fields)
        shape.__pydantic_config__ = _CONFIG
        self._read = pydantic.TypeAdapter(shape).validator.validate_json

    def read(self, args: bytes) -> dict[str, Any]:
        """The named arguments, without the context. Raises pydantic.ValidationError."""
        return self._read(args)  # type: ignore[no-any-return]  # a mapping, as its shape says

    def check(self, args: bytes) -> Sequence[ItemError]:
        """What is wrong with args; nothing: they fit."""
        try:
            self._read(args)
        except pydantic.ValidationError as exc:
            return faults_of(exc, args)
        return ()


def faults_of(error: pydantic.ValidationError, args: bytes) -> list[ItemError]:
    """One for each field. A value that may be of several types has one error for each of them: they are joined."""
    try:
        given = json.loads(args)
    except (ValueError, RecursionError):
        given = None
    reasons: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = _path(fault["loc"], given, is_missing=fault["type"] in ("missing", "extra_forbidden"))
        reasons.setdefault(path, []).append(fault["msg"])
    return [ItemError("invalid-args", "; or ".join(texts), field=path) for path, texts in reasons.items()]


def _path(location: tuple[int | str, ...], given: object, *, is_missing: bool) -> str:
    """As far as it leads through what was given: pydantic appends the names of the types that it tried."""
    path = "args"
    for step in location:
        if isinstance(given, dict) and step in given:
            path, given = f"{path}.{step}", given[step]
        elif isinstance(given, list) and isinstance(step, int) and step < len(given):
            path, given = f"{path}[{step}]", given[step]
        else:
            return f"{path}.{location[-1]}" if is_missing and isinstance(given, dict) else path
    return path
