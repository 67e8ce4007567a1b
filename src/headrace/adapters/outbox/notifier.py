"""Mail as `.eml` files: whoever may read the directory delivers it, or opens the links."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from headrace.errors import Invalid, Unavailable, Unusable
from headrace.kit.letter import compose, parse_sender
from headrace.kit.times import format_time
from headrace.ports.clock import Clock
from headrace.ports.notifier import Mail


class OutboxNotifier:
    """Files of one process sort by name in the order of their mails. They hold links that open accounts: only their
    owner may read them."""

    def __init__(self, folder: Path, sender: str, clock: Clock) -> None:
        """`sender` is `Name <address>`. Raises Unusable when it is not, or the directory cannot be made."""
        self._folder = folder
        self._clock = clock
        self._last = 0
        try:
            self._sender = parse_sender(sender)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except ValueError as exc:
            raise Unusable(f"The sender of mail, {sender!r}, is not of the form `Name <address>`.") from exc
        except OSError as exc:
            raise Unusable(f"The outbox {folder} cannot be made: {exc.strerror}.") from exc

    async def send(self, mail: Mail) -> None:
        now = self._last = max(self._clock.now(), self._last + 1)
        try:
            content = compose(self._sender, mail.to, mail.subject, mail.text, now).as_bytes()
        except ValueError as exc:
            raise Invalid(f"This mail cannot be sent: {exc}.") from exc
        name = f"{format_time(now).replace(':', '')}-{secrets.token_hex(4)}.eml"
        try:
            await asyncio.to_thread(self._write, name, content)
        except OSError as exc:
            raise Unavailable(f"The outbox {self._folder} cannot be written: {exc.strerror}.") from exc

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all, and durable when it returns."""
        draft = self._folder / f".{name}"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._folder / name)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
