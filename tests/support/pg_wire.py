"""What a PostgreSQL client says, as bytes go by: enough of the protocol (version 3, no TLS) to see where a transaction
is committed. https://www.postgresql.org/docs/current/protocol-message-formats.html"""

from __future__ import annotations

_LENGTH = 4
_CODES_WITHOUT_END = {80877103, 80877104}  # SSLRequest, GSSENCRequest: another start-up message follows
_QUERY, _PARSE, _SYNC = b"Q", b"P", b"S"
_TELLING = frozenset(_QUERY + _PARSE + _SYNC)
_LONGEST_TEXT = 64 * 1024  # of the statements of one transaction: enough to tell whose it is


class ClientBytes:
    """Fed with all that one client sends, from its first byte on."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skip = 0
        self._started = False
        self._texts: list[str] = []
        self._open = False
        self._autocommit = False

    def feed(self, data: bytes) -> tuple[int, str] | None:
        """Where in `data` a commit ends, and the statements of its transaction; None when there is none in it.

        A commit is a COMMIT, or the Sync behind a statement outside of a transaction.
        """
        base = -len(self._pending)
        self._pending += data
        at = min(self._skip, len(self._pending))
        self._skip -= at
        found: tuple[int, str] | None = None
        while (size := self._message_size(at)) is not None:
            end = at + size
            if end > len(self._pending) and self._is_dull(at):
                self._skip = end - len(self._pending)
                at = len(self._pending)
                break
            if end > len(self._pending):
                break
            if (text := self._take(bytes(self._pending[at:end]))) is not None:
                found = base + end, text
            at = end
        del self._pending[:at]
        return found

    def _message_size(self, at: int) -> int | None:
        """None: not even its length is here."""
        kind = 1 if self._started else 0
        if len(self._pending) < at + kind + _LENGTH:
            return None
        return kind + int.from_bytes(self._pending[at + kind : at + kind + _LENGTH])

    def _is_dull(self, at: int) -> bool:
        """Whether what it says need not be known: rows of a COPY, values, …"""
        return self._started and self._pending[at] not in _TELLING

    def _take(self, message: bytes) -> str | None:
        if not self._started:
            self._started = int.from_bytes(message[4:8]) not in _CODES_WITHOUT_END
            return None
        kind, body = message[:1], message[5:]
        if kind == _SYNC:
            return self._end() if self._autocommit else None
        if kind == _QUERY:
            return self._statement(body[:-1].decode(errors="replace"), simple=True)
        if kind == _PARSE:
            return self._statement(body.split(b"\0")[1].decode(errors="replace"), simple=False)
        return None

    def _statement(self, text: str, *, simple: bool) -> str | None:
        verb = text.strip(" ;\n").upper()
        if sum(map(len, self._texts)) < _LONGEST_TEXT:
            self._texts.append(text)
        if verb == "COMMIT" or verb.endswith("; COMMIT"):
            return self._end()
        if verb == "ROLLBACK":
            self._end()
        elif verb.startswith("BEGIN"):
            self._open = True
        elif not self._open and simple:
            return self._end()
        else:
            self._autocommit = not self._open
        return None

    def _end(self) -> str:
        texts, self._texts = self._texts, []
        self._open = self._autocommit = False
        return "\n".join(texts)
