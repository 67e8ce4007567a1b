"""One request at a write door: its few headers, its choices, who is asking, its body. What all write doors share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from headrace.errors import ItemError, Malformed, Unsupported
from headrace.model.principal import Principal
from headrace.services import Services
from headrace.web.body import MAX_SENT, Share, read_body, unpack
from headrace.web.caller import credential_of
from headrace.web.middleware.request_id import request_id_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

JSON_HEADERS = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
_LINES = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"))
_MAX_KEY = 256

Choices = Mapping[str, Mapping[str, bool]]
"""The parameters that a door takes: to each value what it means; the first two are told to whoever sends another."""
IDS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


class WriteDoor(Protocol):
    """What a write door says itself."""

    route: str
    """For metrics."""

    def place_of(self, path: str) -> str | None:
        """What the path names (nothing: ""), or None where it is another door's."""

    async def answer(self, place: str, call: Call, /) -> Answer:
        """Let in, read, take. Raises HeadraceError."""


class Call:
    """One request. The body is read when a door asks for it: after the caller was let in.

    Of a header that is sent twice the last counts, but for the credential.
    """

    __slots__ = (
        "_all", "_authorization", "_key", "_length", "_receive", "_services", "_type", "encoding", "query",
        "request_id", "share",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, services: Services) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        once = dict(headers)  # in C: 0.4 µs, where a loop of comparisons takes 2
        given = once.get
        self._all = headers if len(once) < len(headers) else ()
        self._authorization = given(b"authorization")
        self.encoding = given(b"content-encoding", b"")
        self._type = given(b"content-type", b"")
        self._key = given(b"idempotency-key")
        self._length = given(b"content-length")
        self.request_id = request_id_of(given(b"x-request-id", b""))
        self.query: bytes = scope["query_string"]
        self.share: Share
        """What it holds of the budget of bodies; there before a door is asked."""
        self._receive = receive
        self._services = services

    def known(self) -> Principal | None:
        """The caller, if that is clear at once: a coroutine saved, in the hottest path. Raises Unauthenticated."""
        authorization = self.credential()
        return None if authorization is None else self._services.authenticator.cached(authorization)

    async def caller(self) -> Principal:
        """Raises Unauthenticated."""
        authorization = self.credential()
        text = None if authorization is None else authorization.decode("latin-1")
        return self.known() or await self._services.authenticator.authenticate(text)

    def body(self, limit: int = MAX_SENT) -> Coroutine[Any, Any, bytes]:
        """Unpacked; at most `limit` bytes as sent. Raises TooLarge, Malformed, Unsupported and Overloaded."""
        sent = read_body(self._receive, self.share, self.content_length(), limit=limit)
        return self._unpacked(sent) if self.encoding else sent

    async def _unpacked(self, sent: Awaitable[bytes]) -> bytes:
        return await unpack(await sent, self.encoding.decode("latin-1"), self.share)

    def credential(self) -> bytes | None:
        """Raises Unauthenticated for two."""
        return credential_of(self._all) if self._all else self._authorization

    def is_lines(self, *, taken: bool = True) -> bool:
        """Whether the body is NDJSON. Raises Unsupported for what is neither that nor JSON; not `taken`: for NDJSON
        too."""
        if self._type in (b"application/json", b""):
            return False
        kind = self._type.decode("latin-1").split(";")[0].strip().lower()
        if taken and kind in _LINES:
            return True
        if kind == "application/json":
            return False
        wanted = "application/json or application/x-ndjson" if taken else "application/json"
        raise Unsupported(f"Content-Type {kind[:60]!r} is not understood; send {wanted}")

    def idempotency_key(self) -> str | None:
        if self._key is None:
            return None
        if not 0 < len(self._key) <= _MAX_KEY:
            raise Malformed(f"Idempotency-Key must have 1 to {_MAX_KEY} bytes")
        return self._key.decode("latin-1")

    def content_length(self) -> int | None:
        return int(self._length) if self._length is not None and self._length.isdigit() else None


def chosen(query: bytes, choices: Choices) -> dict[str, bool]:
    """What the query string chooses. Raises Malformed for anything else in it."""
    found: dict[str, bool] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        values = choices.get(name)
        if values is None:
            raise Malformed(
                f"unknown query parameter {name[:60]!r}; this call takes {' and '.join(choices) or 'none'}",
                items=[ItemError("unknown-parameter", "not a parameter of this call", field=name[:60])],
            )
        if value not in values:
            allowed = " or ".join(list(values)[:2])
            raise Malformed(
                f"{name} must be {allowed}", items=[ItemError("invalid-value", f"must be {allowed}", field=name)]
            )
        found[name] = values[value]
    return found
