"""Fields that `--service`, `--level` and `--set` give to events that lack them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from headrace.cli.failure import ExitCode, Failure

_FIELDS = frozenset(["level", "service", "action", "outcome", "message", "trace_id", "span_id", "time"])
_PARTIES = ("actor", "target")
_RawObject = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(_RawObject).decode
_encode = msgspec.json.Encoder().encode


class Defaults:
    """`pairs` are `key=value`: an event's field, `actor.type` and the like, or else a key of the attributes."""

    def __init__(self, pairs: Iterable[str] = (), *, service: str | None = None, level: str | None = None) -> None:
        self._fields: dict[str, str] = {}
        self._parties: dict[str, dict[str, str]] = {}
        self._attributes: dict[str, str] = {}
        for pair in pairs:
            self._add(pair)
        for name, value in (("service", service), ("level", level)):
            if value is not None:
                self._fields[name] = value
        self._raw = {name: msgspec.Raw(_encode(value)) for name, value in self._members().items()}

    def _add(self, pair: str) -> None:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise Failure(f"--set {pair!r}: write key=value.", ExitCode.USAGE)
        party, _, part = key.partition(".")
        if party in _PARTIES:
            self._parties.setdefault(party, {})[part or "id"] = value
        elif key in _FIELDS:
            self._fields[key] = value
        else:
            self._attributes[key.removeprefix("attr.")] = value

    def __bool__(self) -> bool:
        return bool(self._raw)

    @property
    def fingerprint(self) -> str:
        """Equal for equal defaults."""
        return self.json_members().decode()

    @property
    def level(self) -> str | None:
        """The level of events that name none."""
        return self._fields.get("level")

    def _members(self) -> Mapping[str, object]:
        attributes = {"attributes": self._attributes} if self._attributes else {}
        return {**self._fields, **self._parties, **attributes}

    def json_members(self, but: Iterable[str] = ()) -> bytes:
        """`,"service":"x"` and so on, to be put before the closing brace of an event that has none of them."""
        left_out = frozenset(but)
        return b"".join(
            b"," + _encode(name) + b":" + bytes(value) for name, value in self._raw.items() if name not in left_out
        )

    def into(self, line: bytes) -> bytes:
        """The JSON object with what it lacks. What is no object is left as it is: the server says what is wrong."""
        try:
            event = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return line
        for name, value in self._raw.items():
            if name == "attributes" and name in event:
                event[name] = self._merged(event[name])
            else:
                event.setdefault(name, value)
        return _encode(event)

    def _merged(self, attributes: msgspec.Raw) -> msgspec.Raw:
        try:
            own = _decode(attributes)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return attributes
        for name, value in self._attributes.items():
            own.setdefault(name, msgspec.Raw(_encode(value)))
        return msgspec.Raw(_encode(own))
