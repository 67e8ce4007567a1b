"""Mail through the mail server of a URL: `smtp://user:password@host:587` or `smtps://…`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from headrace.errors import HeadraceError, Invalid, Unavailable, Unusable
from headrace.kit.breaker import Breaker
from headrace.kit.letter import compose, parse_sender
from headrace.ports.clock import Clock
from headrace.ports.notifier import Mail

if TYPE_CHECKING:
    from aiosmtplib import SMTP

_SUBMISSION, _SUBMISSIONS, _RELAY = 587, 465, 25
_FORM = "write smtp://user:password@host:587, smtp://host, or smtps://…, with %40 for an @ in the password"


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    tls: bool
    """From the first byte; without it STARTTLS is used when it is offered."""
    user: str | None
    password: str | None = field(repr=False)

    @property
    def is_here(self) -> bool:
        """On this machine: nobody in between, and its certificate is seldom one that can be checked."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class SmtpNotifier:
    """A connection for each mail: there are few. Certificates are checked, and a password is sent through TLS only
    (or to this machine): a stranger in between could otherwise strip STARTTLS and read it."""

    def __init__(
        self, url: str, sender: str, clock: Clock, *, timeout: float = 10.0, breaker: Breaker | None = None
    ) -> None:
        """`sender` is `Name <address>`; `timeout` in seconds is for each answer, and twice that for all of a mail. The
        breaker counts what is no answer: a server that refuses a mail is there.

        Raises Unusable for a URL or a sender that will not do; its text holds no password.
        """
        self._server = _parse(url)
        self._clock = clock
        self._timeout = timeout
        self._breaker = breaker
        try:
            self._sender = parse_sender(sender)
        except ValueError as exc:
            raise Unusable(f"The sender of mail, {sender!r}, is not of the form `Name <address>`.") from exc

    async def send(self, mail: Mail) -> None:
        try:
            message = compose(self._sender, mail.to, mail.subject, mail.text, self._clock.now())
        except ValueError as exc:
            raise Invalid(f"This mail cannot be sent: {exc}.") from exc
        with self._breaker.watch() if self._breaker else nullcontext():
            refusal = await self._deliver(message)
        if refusal is not None:
            raise _translated(refusal) from refusal

    async def _deliver(self, message: EmailMessage) -> Exception | None:
        """The refusal, if the server answered with one. Raises Unavailable when it gave no answer."""
        from aiosmtplib import SMTPException

        sent = False
        try:
            async with asyncio.timeout(2 * self._timeout), self._connected() as client:
                await client.send_message(message)
                sent = True
                await client.quit()
        except (SMTPException, OSError) as exc:  # TimeoutError and ssl.SSLError are OSErrors
            if sent:  # trying again because of a bad good-bye would send it twice
                return None
            if _is_answer(exc):
                return exc
            raise _translated(exc) from exc
        return None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        from aiosmtplib import SMTP

        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=False if server.tls or server.is_here else None,
            local_hostname=self._sender.domain,  # else the library asks DNS, on the loop
            timeout=self._timeout,
        )
        try:
            await client.connect()
            if server.user is not None:
                await self._login(client, server.user)
            yield client
        finally:
            client.close()

    async def _login(self, client: SMTP, user: str) -> None:
        if client.get_transport_info("sslcontext") is None and not self._server.is_here:
            raise Unavailable("The mail server offers no TLS: it is not told the password. Use smtps://, or another.")
        await client.login(user, self._server.password or "")


def _parse(url: str) -> _Server:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Unusable(f"The URL of the mail server cannot be read: {_FORM}.") from None  # its text may quote it
    if parts.scheme not in ("smtp", "smtps") or not host:
        raise Unusable(f"The URL of the mail server is none: {_FORM}.")
    tls = parts.scheme == "smtps"
    usual = _SUBMISSIONS if tls else _SUBMISSION if parts.username else _RELAY
    user = unquote(parts.username) if parts.username else None
    return _Server(host, port or usual, tls, user, unquote(parts.password) if parts.password else None)


def _is_answer(exc: Exception) -> bool:
    """Whether the server speaks with us, and is not just closing (RFC 5321, 3.8)."""
    from aiosmtplib import SMTPResponseException

    refusal = _first(exc)
    return isinstance(refusal, SMTPResponseException) and refusal.code != 421


def _first(exc: Exception) -> Exception:
    """Why the first recipient was refused, who is the only one; any other error as it is."""
    from aiosmtplib import SMTPRecipientsRefused

    return exc.recipients[0] if isinstance(exc, SMTPRecipientsRefused) and exc.recipients else exc


def _translated(exc: Exception) -> HeadraceError:
    """What the server said is left out but for its number: it may quote addresses, or what it was sent."""
    from aiosmtplib import SMTPDataError, SMTPRecipientRefused, SMTPResponseException

    refusal = _first(exc)
    if isinstance(refusal, SMTPRecipientRefused | SMTPDataError) and refusal.code >= 500:
        return Invalid(f"The mail server refused this mail for good ({refusal.code}).")
    if isinstance(refusal, SMTPResponseException):
        return Unavailable(f"The mail server did not take a mail ({type(refusal).__name__}, {refusal.code}).")
    return Unavailable(f"The mail server cannot be reached ({type(refusal).__name__}).")
