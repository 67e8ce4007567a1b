"""What every notifier promises: a mail arrives as it was written, whole, and nothing in it becomes a header."""

from __future__ import annotations

import asyncio
import ssl
import stat
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.smtp import SMTP as SmtpServer  # noqa: N811  # its class has the name of a constant
from aiosmtpd.smtp import AuthResult, Envelope

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.outbox.notifier import OutboxNotifier
from headrace.adapters.smtp.notifier import SmtpNotifier, _Server
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Invalid, Unavailable, Unusable
from headrace.kit.breaker import Breaker
from headrace.ports.clock import Clock
from headrace.ports.notifier import Mail, Notifier

SENDER = "Headräce <headrace@example.com>"
LINK = "https://headrace.example.com/reset-password?token=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"


class Box(NamedTuple):
    """A notifier, and the mails that came out of it as bytes."""

    notifier: Notifier
    mails: Callable[[], list[bytes]]


class Handler:
    """Keeps what arrives; `answers` replaces an answer of the server by the name of its hook."""

    def __init__(self, **answers: str) -> None:
        self.envelopes: list[Envelope] = []
        self.answers = answers

    async def handle_RCPT(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def]  # noqa: N802
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # type: ignore[no-untyped-def]  # noqa: N802
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.envelopes.append(envelope)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # type: ignore[no-untyped-def]  # noqa: N802
        return self.answers.get("QUIT", "221 Bye")


@asynccontextmanager
async def serving(handler: Handler, *, over: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """A real SMTP server on a free port; with `over` it speaks TLS from the first byte."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SmtpServer(handler, loop=loop, hostname="test", **options), "127.0.0.1", 0, ssl=over
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(params=["outbox", "smtp"])
async def box(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Box]:
    if request.param == "outbox":
        folder = tmp_path / "outbox"
        notifier = OutboxNotifier(folder, SENDER, SystemClock())
        yield Box(notifier, lambda: [path.read_bytes() for path in sorted(folder.glob("*.eml"))])
        return
    handler = Handler()
    async with serving(handler) as port:
        clock = SystemClock()
        smtp = SmtpNotifier(f"smtp://127.0.0.1:{port}", SENDER, clock, timeout=5, breaker=breaker(clock))
        yield Box(smtp, lambda: [bytes(envelope.content or b"") for envelope in handler.envelopes])


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def sent(box: Box, mail: Mail) -> EmailMessage:
    await box.notifier.send(mail)
    (content,) = box.mails()
    return parsed(content)


# --- what both promise


async def test_a_mail_arrives_as_it_was_written(box: Box) -> None:
    message = await sent(box, Mail("ada@example.com", "Hello", "One line\n\nand another\n"))
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Hello")
    assert message["From"].addresses[0].display_name == "Headräce"
    assert message["From"].addresses[0].addr_spec == "headrace@example.com"
    assert message.get_content().replace("\r\n", "\n") == "One line\n\nand another\n"


async def test_umlauts_and_emoji_survive(box: Box) -> None:
    subject, text = "Grüße an Łukasz 🌊 " + "sehr lange " * 20, "Schöne Grüße 🌊\n" + "ü" * 2_000 + "\n"
    message = await sent(box, Mail("ada@example.com", subject.strip(), text))
    assert message["Subject"] == subject.strip()
    assert message.get_content().replace("\r\n", "\n") == text


async def test_lines_of_dots_survive(box: Box) -> None:
    text = ".\n..\n.hidden\nend\n.\n"
    message = await sent(box, Mail("ada@example.com", "Dots", text))
    assert message.get_content().replace("\r\n", "\n") == text


async def test_a_link_stays_whole_in_the_raw_mail(box: Box) -> None:
    await box.notifier.send(Mail("ada@example.com", "Link", f"Open this:\n\n{LINK}\n"))
    assert f"\r\n{LINK}\r\n".encode() in box.mails()[0]


async def test_a_mail_says_when_it_was_made_and_that_no_person_wrote_it(box: Box) -> None:
    message = await sent(box, Mail("ada@example.com", "Hello", "Hi\n"))
    assert abs(message["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=1)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\ud800"])
async def test_nothing_in_a_subject_or_an_address_becomes_a_header(box: Box, end: str) -> None:
    with pytest.raises(Invalid):
        await box.notifier.send(Mail("ada@example.com", f"Hello{end}Bcc: eve@example.com", "Hi\n"))
    with pytest.raises(Invalid):
        await box.notifier.send(Mail(f"ada@example.com{end}Bcc: eve@example.com", "Hello", "Hi\n"))
    assert box.mails() == []


@pytest.mark.parametrize(
    "to", ["", "ada", "@example.com", "ada@", "a@b.de, c@d.de", "Ada <a@b.de>", "ä@b.de", "a@ä.de"]
)
async def test_what_is_no_single_address_is_refused(box: Box, to: str) -> None:
    with pytest.raises(Invalid):
        await box.notifier.send(Mail(to, "Hello", "Hi\n"))
    assert box.mails() == []


async def test_the_text_cannot_add_a_header_either(box: Box) -> None:
    message = await sent(box, Mail("ada@example.com", "Hello", "Bcc: eve@example.com\n\nHi\n"))
    assert message["Bcc"] is None


async def test_many_at_once_all_arrive(box: Box) -> None:
    await asyncio.gather(*(box.notifier.send(Mail("ada@example.com", f"{n}", "Hi\n")) for n in range(20)))
    assert {parsed(content)["Subject"] for content in box.mails()} == {f"{n}" for n in range(20)}


# --- the outbox


async def test_files_of_the_outbox_sort_by_time_even_within_a_microsecond(tmp_path: Path) -> None:
    class Still(SystemClock):
        def now(self) -> int:
            return 1_790_000_000_000_000

    notifier = OutboxNotifier(tmp_path, SENDER, Still())
    for n in range(30):
        await notifier.send(Mail("ada@example.com", f"{n:02}", "Hi\n"))
    subjects = [parsed(path.read_bytes())["Subject"] for path in sorted(tmp_path.iterdir())]
    assert subjects == [f"{n:02}" for n in range(30)]


async def test_the_outbox_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir(mode=0o755)
    await OutboxNotifier(folder, SENDER, SystemClock()).send(Mail("ada@example.com", "Hello", "Hi\n"))
    (mail,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(mail.stat().st_mode)) == (0o700, 0o600)


async def test_an_outbox_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    notifier = OutboxNotifier(tmp_path / "outbox", SENDER, SystemClock())
    (tmp_path / "outbox").rmdir()
    with pytest.raises(Unavailable):
        await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))


async def test_a_mail_is_in_the_outbox_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    notifier = OutboxNotifier(tmp_path, SENDER, SystemClock())
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Unavailable):
        await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))
    assert list(tmp_path.iterdir()) == []


# --- the mail server


async def trying(
    port: int, *, scheme: str = "smtp", host: str = "127.0.0.1", user: str = "", timeout: float = 5
) -> None:
    notifier = SmtpNotifier(f"{scheme}://{user}{host}:{port}", SENDER, SystemClock(), timeout=timeout)
    await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))


async def test_the_envelope_has_the_bare_addresses() -> None:
    handler = Handler()
    async with serving(handler) as port:
        await trying(port)
    (envelope,) = handler.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("headrace@example.com", ["ada@example.com"])


@pytest.mark.parametrize("hook", ["RCPT", "DATA"])
async def test_a_refusal_for_good_is_invalid_and_one_for_now_unavailable(hook: str) -> None:
    async with serving(Handler(**{hook: "550 no such user ada@example.com"})) as port:
        with pytest.raises(Invalid) as refused:
            await trying(port)
    assert "550" in refused.value.detail
    assert "ada" not in refused.value.detail
    async with serving(Handler(**{hook: "451 greylisted"})) as port:
        with pytest.raises(Unavailable):
            await trying(port)


async def test_a_server_that_says_goodbye_badly_has_the_mail_all_the_same() -> None:
    handler = Handler(QUIT="451 no")
    async with serving(handler) as port:
        await trying(port)
    assert len(handler.envelopes) == 1


async def test_no_server_is_unavailable() -> None:
    server = await asyncio.start_server(_silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Unavailable):
        await trying(port)


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:  # an answer that never ends, with no silence in it
            writer.write(b"220-wait\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        writer.close()


async def _dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = False
    try:
        writer.write(b"220 in time\r\n")
        while line := await reader.readline():
            if body and line != b".\r\n":
                continue
            await asyncio.sleep(0.15)  # each answer is just in time, all of them together are not
            body = line.startswith(b"DATA")
            writer.write(b"354 in time\r\n" if body else b"250 in time\r\n")
    except ConnectionError:
        pass
    writer.close()


@pytest.mark.parametrize("server", [_silence, _drip, _dawdle])
async def test_a_server_that_hangs_is_unavailable_within_the_timeout(
    server: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> None:
    hanging = await asyncio.start_server(server, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await trying(hanging.sockets[0].getsockname()[1], timeout=0.2)
    finally:
        hanging.close()


class Passwords:
    """Knows `ada p@ss/word` and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.told.append(data)
        return AuthResult(success=(data.login, data.password) == (b"ada", b"p@ss/word"))


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_password_of_the_url_is_decoded_and_told_to_a_server_on_this_machine() -> None:
    handler, passwords = Handler(), Passwords()
    async with serving(handler, authenticator=passwords, auth_require_tls=False, auth_required=True) as port:
        await trying(port, user="ada:p%40ss%2Fword@")
        with pytest.raises(Unavailable) as refused:
            await trying(port, user="ada:wrong-password@")
    assert len(handler.envelopes) == 1
    assert "wrong-password" not in str(refused.value)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 127.0.0.1 were another machine."""
    monkeypatch.setattr(_Server, "is_here", property(lambda _: False))


@pytest.mark.usefixtures("elsewhere")
async def test_a_password_is_never_told_without_tls() -> None:
    passwords = Passwords()
    async with serving(Handler(), authenticator=passwords, auth_require_tls=False) as port:
        with pytest.raises(Unavailable):
            await trying(port, user="ada:p%40ss%2Fword@")
    assert passwords.told == []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of `localhost`, with its key, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def _server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.usefixtures("elsewhere")
async def test_starttls_is_used_when_it_is_offered(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    handler, passwords = Handler(), Passwords()
    offered = {"tls_context": _server_side(certificate), "require_starttls": True}
    async with serving(handler, authenticator=passwords, **offered) as port:
        await trying(port, host="localhost", user="ada:p%40ss%2Fword@")
    assert (len(handler.envelopes), len(passwords.told)) == (1, 1)


async def test_smtps_is_tls_from_the_first_byte(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    handler = Handler()
    async with serving(handler, over=_server_side(certificate)) as port:
        await trying(port, scheme="smtps", host="localhost")
    assert len(handler.envelopes) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    handler = Handler()
    async with serving(handler, over=_server_side(certificate)) as port:
        with pytest.raises(Unavailable):
            await trying(port, scheme="smtps", host="localhost")
    assert handler.envelopes == []


# --- settings


@pytest.mark.parametrize(
    "url", ["http://u:s3cret@h", "smtp://", "smtp://u:s3cret@h:port", "smtp://u:s3cret@[h", "s3cret"]
)
def test_a_url_that_will_not_do_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(Unusable) as refused:
        SmtpNotifier(url, SENDER, SystemClock())
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("url", "port"), [("smtp://h", 25), ("smtp://u:p@h", 587), ("smtps://h", 465), ("smtp://u:p@h:2525", 2525)]
)
def test_the_usual_port_is_taken(url: str, port: int) -> None:
    server = SmtpNotifier(url, SENDER, SystemClock())._server
    assert server.port == port
    assert "'p'" not in repr(server)


@pytest.mark.parametrize("sender", ["", "Headrace", "Headrace <>", "a@b.de\r\nBcc: c@d.de"])
def test_a_sender_that_will_not_do_is_refused(sender: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        SmtpNotifier("smtp://h", sender, SystemClock())
    with pytest.raises(Unusable):
        OutboxNotifier(tmp_path, sender, SystemClock())


# --- its breaker


def breaker(clock: Clock) -> Breaker:
    def is_failure(error: Exception) -> bool:
        return isinstance(error, Unavailable)

    return Breaker("The mail server", clock.monotonic, Unavailable, is_failure, failures=2)


async def test_a_mail_server_that_is_away_is_left_alone_for_a_while_and_then_tried_again() -> None:
    clock = MemoryClock()
    mail = Mail("ada@example.com", "Hello", "Hi\n")
    async with serving(Handler()) as port:
        pass
    away = SmtpNotifier(f"smtp://127.0.0.1:{port}", SENDER, clock, timeout=5, breaker=breaker(clock))
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await away.send(mail)
    with pytest.raises(Unavailable, match="left alone"):
        await away.send(mail)
    await clock.advance(3)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await away.send(mail)


@pytest.mark.parametrize("answer", ["550 no such user", "451 greylisted"])
async def test_a_mail_server_that_refuses_mails_is_there(answer: str) -> None:
    handler = Handler(RCPT=answer)
    async with serving(handler) as port:
        clock = MemoryClock()
        notifier = SmtpNotifier(f"smtp://127.0.0.1:{port}", SENDER, clock, timeout=5, breaker=breaker(clock))
        for _ in range(5):
            with pytest.raises((Invalid, Unavailable)) as refused:
                await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))
            assert answer[:3] in str(refused.value)


async def test_a_mail_server_that_closes_each_conversation_counts_as_away() -> None:
    async with serving(Handler(RCPT="421 closing down")) as port:
        clock = MemoryClock()
        notifier = SmtpNotifier(f"smtp://127.0.0.1:{port}", SENDER, clock, timeout=5, breaker=breaker(clock))
        for _ in range(2):
            with pytest.raises(Unavailable, match="421"):
                await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))
        with pytest.raises(Unavailable, match="left alone"):
            await notifier.send(Mail("ada@example.com", "Hello", "Hi\n"))
