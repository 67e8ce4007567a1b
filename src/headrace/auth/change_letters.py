"""The mails about a change that a user made to an account. Plain ASCII, each link whole on a line of its own.

Nothing that the user typed is in a mail to an address that has not been verified (see `letters.py`).
"""

from __future__ import annotations

from headrace.kit.times import to_datetime
from headrace.ports.notifier import Mail


def verify_new_address(to: str, link: str, expires_at: int) -> Mail:
    """To the address that a user wants from now on. `expires_at` is µs since 1970."""
    return Mail(
        to,
        "Verify your new e-mail address",
        f"""Hello,

somebody, probably you, gave this address for an account at Headrace. To confirm it, open this link and press the button
there:

{link}

The link is good until {to_datetime(expires_at):%Y-%m-%d %H:%M} UTC, and once.

It was not you? Then do nothing.
""",
    )


def address_changed(to: str, base_url: str) -> Mail:
    """To the address that a user had until now: who took the account over would not tell."""
    return _notice(to, "Your e-mail address was changed", "the e-mail address of your account", base_url)


def password_changed(to: str, base_url: str) -> Mail:
    """To a user whose password was changed with the one before."""
    return _notice(to, "Your password was changed", "the password of your account", base_url)


def _notice(to: str, subject: str, what: str, base_url: str) -> Mail:
    return Mail(
        to,
        subject,
        f"""Hello,

{what} at Headrace has just been changed by someone who knew the password:

{base_url}

It was not you? Then tell your administrator at once: the account can be disabled there.
""",
    )
