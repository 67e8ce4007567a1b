"""What a username, an e-mail address and the name of a person or a key may be. Pure; every error names its field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from headrace.errors import Invalid, ItemError

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}", re.ASCII)
_NAME_CHARACTERS = 100
_KEY_NAME_CHARACTERS = 200
_EMAIL_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets


def check_username(text: str) -> str:
    """The username in lower case. Raises Invalid."""
    username = text.lower() if text.isascii() else ""  # "K" (Kelvin) in lower case is a plain k: two names for one
    if not _USERNAME.fullmatch(username):
        raise invalid("username", "must be 2 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a digit")
    return username


def check_email(text: str) -> str:
    """The address in lower case, its domain as DNS has it. No name server is asked. Raises Invalid."""
    from email_validator import EmailNotValidError, validate_email  # 30 ms that the start need not take

    if len(text) > _EMAIL_CHARACTERS:
        raise invalid("email", f"must have at most {_EMAIL_CHARACTERS} characters")
    try:
        # An address that needs SMTPUTF8 is lost at many mail servers; `.test` is for whoever tries Headrace out.
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True
        ).ascii_email
    except (EmailNotValidError, UnicodeError):
        raise _no_address() from None
    if found is None:
        raise _no_address()
    return found.lower()


def check_name(field: str, text: str | None) -> str | None:
    """A first or last name without spaces around it; an empty one is none. Raises Invalid."""
    return None if text is None else _one_line(field, text, _NAME_CHARACTERS) or None


def check_key_name(text: str) -> str:
    """What a person calls an API key, without spaces around it. Raises Invalid."""
    name = _one_line("name", text, _KEY_NAME_CHARACTERS)
    if not name:
        raise invalid("name", f"must have 1 to {_KEY_NAME_CHARACTERS} characters")
    return name


def _one_line(field: str, text: str, most: int) -> str:
    if len(text) > most:
        raise invalid(field, f"must have at most {most} characters")
    # Control characters would break a mail's head or a terminal; half a surrogate pair cannot be stored.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise invalid(field, "must be text on one line, without control characters")
    return text.strip()


def gather(*checks: Callable[[], object]) -> None:
    """Make all of the checks, so that one answer shows all that is wrong. Raises Invalid."""
    items: list[ItemError] = []
    for check in checks:
        try:
            check()
        except Invalid as exc:
            items.extend(exc.items)
    if items:
        raise Invalid("; ".join(item.detail for item in items) + ".", items=items)


def invalid(field: str, what: str, code: str = "invalid-value") -> Invalid:
    """One reason at one field."""
    return Invalid(f"{field} {what}.", items=[ItemError(code, f"{field} {what}", field=field)])


def _no_address() -> Invalid:
    return invalid("email", "must be an e-mail address such as ada@example.com")
