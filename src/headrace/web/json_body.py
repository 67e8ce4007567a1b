"""Bodies in which JSON of the client's own must stay as it was sent: read by msgspec, and published as it reads them.

A field of the type msgspec.Raw keeps its bytes: digits of any number, order, duplicate keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from fastapi import Request

from headrace.errors import Invalid, ItemError, Malformed
from headrace.kit.json_text import has_bad_escape

T = TypeVar("T", bound=msgspec.Struct)
SHOWN = "x-shown"
"""In `extra_json_schema` of a type: what is published in place of what msgspec makes of it."""
_AT = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_FIELD = re.compile(r"(?:required|unknown) field `(.*)`\Z", re.DOTALL)
_MOST = 200  # characters of what the decoder says: a client's own words may be among them


class JsonBody(Generic[T]):
    """The body of a route: `await body.read(request)`, and `requestBody=body.documented(…)`."""

    def __init__(self, shape: type[T], *, required: bool = True) -> None:
        """Not `required`: an empty body is one with nothing in it."""
        self._shape = shape
        self._decode = msgspec.json.Decoder(shape).decode
        self._required = required

    async def read(self, request: Request) -> T:
        """Raises Malformed for what is no JSON, Invalid for what does not fit (`errors` says where), and TooLarge."""
        raw = (await request.body()).removeprefix(b"\xef\xbb\xbf")
        if not raw and not self._required:
            return self._shape()
        try:
            if not raw.isascii():
                raw.decode()
            return self._checked(raw)
        except UnicodeDecodeError as exc:
            raise Malformed("The body is not UTF-8.", code="invalid-utf8") from exc
        except RecursionError as exc:
            raise Malformed("The body is nested too deeply.", code="invalid-json") from exc
        except msgspec.ValidationError as exc:
            raise _refusal(str(exc)) from exc
        except msgspec.MsgspecError as exc:
            if has_bad_escape(raw):
                raise _bad_escape() from exc
            raise Malformed(f"The body is not JSON: {str(exc)[:_MOST]}", code="invalid-json") from exc

    def _checked(self, raw: bytes) -> T:
        found = self._decode(raw)
        if has_bad_escape(raw):
            raise _bad_escape()
        return found

    def documented(self, **examples: Mapping[str, Any]) -> dict[str, Any]:
        """The OpenAPI request body; an example is `{"summary": …, "value": …}`."""
        content: dict[str, Any] = {"schema": schema_of(self._shape)}
        if examples:
            content["examples"] = examples
        return {"required": self._required, "content": {"application/json": content}}


def schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema, in one piece."""
    (top,), parts = msgspec.json.schema_components([shape], ref_template="{name}")
    made: dict[str, Any] = _whole(top, parts)
    return made


def _whole(node: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        if SHOWN in node:
            return {**node[SHOWN], **{k: node[k] for k in ("description", "examples", "default") if k in node}}
        if "$ref" in node:
            return _whole({**parts[node["$ref"]], **{k: v for k, v in node.items() if k != "$ref"}}, parts)
        return {key: _whole(value, parts) for key, value in node.items() if key != "title"}
    return [_whole(one, parts) for one in node] if isinstance(node, list) else node


def field_error(field: str, detail: str, code: str = "invalid-field") -> Invalid:
    """What one field of a body has that it cannot have."""
    return Invalid(f"{field}: {detail}.", items=[ItemError(code, detail, field=field)])


def _bad_escape() -> Invalid:
    return Invalid(r"`\u0000` and halves of surrogate pairs cannot be stored.", code="invalid-text")


def _refusal(said: str) -> Invalid:
    """In the client's terms: which field, and what is wrong with it."""
    at = _AT.search(said)
    what = said[: at.start()] if at else said
    path = at["path"].lstrip(".") if at else ""
    named = _FIELD.search(what)
    field = ".".join(part for part in (path, named[1] if named else "") if part)
    unknown = what.startswith("Object contains unknown")
    item = ItemError("unknown-field" if unknown else "invalid-field", what[:_MOST], field=field[:_MOST] or None)
    return Invalid("The body has fields that are not valid.", items=[item])
