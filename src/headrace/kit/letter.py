"""A mail as its bytes go over the wire (RFC 5322): plain text, one recipient, headers that nobody can add to."""

from __future__ import annotations

import secrets
import unicodedata
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from headrace.kit.times import to_datetime

_LONGEST_LINE = 998  # RFC 5322, 2.1.1


def compose(sender: Address, to: str, subject: str, text: str, now: int) -> EmailMessage:
    """`now` is µs since 1970. Raises ValueError for what is no single ASCII address, or no line of text."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = parse_address(to)
    message["Subject"] = _line(subject)
    message["Date"] = format_datetime(to_datetime(now))
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes, please
    # Plain where it can be: a link in it stays whole, for people and for tests that read the file.
    plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in text.splitlines())
    message.set_content(text, charset="utf-8", cte="7bit" if plain else "quoted-printable")
    return message


def parse_sender(text: str) -> Address:
    """`Name <address>` or an address alone. Raises ValueError."""
    name, spec = parseaddr(_line(text))
    address = parse_address(spec)
    return Address(name, address.username, address.domain)


def parse_address(spec: str) -> Address:
    """One address without a name. Raises ValueError."""
    if not spec.isascii():
        raise ValueError("an address is ASCII: its domain as DNS has it")
    try:
        address = Address(addr_spec=_line(spec))
    except (MessageError, IndexError) as exc:
        raise ValueError("not an e-mail address") from exc
    if not address.username or not address.domain:
        raise ValueError("not an e-mail address")
    return address


def _line(text: str) -> str:
    """Refuses line ends of any kind and other control characters: folding and parsing must see one header."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise ValueError("a header is one line of text")
    return text
