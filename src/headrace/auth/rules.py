"""What a username, an e-mail address and a person's name may be. Pure; every error names its field."""

from __future__ import annotations

import re
import unicodedata

from headrace.errors import Invalid, ItemError

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}", re.ASCII)
_NAME_CHARACTERS = 100
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
    if text is None:
        return None
    if len(text) > _NAME_CHARACTERS:
        raise invalid(field, f"must have at most {_NAME_CHARACTERS} characters")
    # Control characters would break a mail's head or a terminal; half a surrogate pair cannot be stored.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise invalid(field, "must be text on one line, without control characters")
    return text.strip() or None


def invalid(field: str, what: str, code: str = "invalid-value") -> Invalid:
    """One reason at one field."""
    return Invalid(f"{field} {what}.", items=[ItemError(code, f"{field} {what}", field=field)])


def _no_address() -> Invalid:
    return invalid("email", "must be an e-mail address such as ada@example.com")
