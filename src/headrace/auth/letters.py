"""The mails that people get from us. Plain ASCII, each link whole on a line of its own.

A stranger can make us write to anyone, so nothing that a stranger typed is in a mail to an address that has not been
verified: a username such as `win-at.example.com` is all that an advertisement needs.
"""

from __future__ import annotations

from headrace.ports.notifier import Mail


def verify(to: str, link: str, seconds: int) -> Mail:
    """To someone who has just registered, whose address it may not be."""
    return Mail(
        to,
        "Verify your e-mail address",
        f"""Hello,

welcome to Headrace. To finish your registration, open this link and press the button there:

{link}

The link is good for {_span(seconds)}, and once.

It was not you who registered? Then do nothing: without the link the account cannot be used.
""",
    )


def already_registered(to: str, base_url: str) -> Mail:
    """To an address that has an account, when somebody registers with it."""
    return Mail(
        to,
        "You already have an account",
        f"""Hello,

somebody, probably you, tried to register at Headrace with this e-mail address. It has an account already:

{base_url}

You forgot the password, or never got to verify the address? Ask for a new password there: the link that you then get
does both.

It was not you? Then do nothing: your account has not changed.
""",
    )


def name_taken(to: str, base_url: str) -> Mail:
    """To someone who registers with a username that another one has."""
    return Mail(
        to,
        "This user name is taken",
        f"""Hello,

somebody, probably you, tried to register at Headrace with this e-mail address. The user name is already taken, so there
is no new account yet. Please register again with another name:

{base_url}

It was not you? Then do nothing: nothing was kept of it.
""",
    )


def reset(to: str, link: str, seconds: int, username: str | None) -> Mail:
    """To someone who forgot the password. `username` for those only who have verified the address."""
    reminder = f"\nYour user name is {username}.\n" if username else ""
    return Mail(
        to,
        "Choose a new password",
        f"""Hello,

somebody, probably you, asked for a new password at Headrace. To choose one, open this link:

{link}

The link is good for {_span(seconds)}, and once. A new password ends all sessions that are open.
{reminder}
It was not you? Then do nothing: your password stays as it is.
""",
    )


def no_password(to: str, base_url: str) -> Mail:
    """To someone who forgot a password that was never set: who signs in through an OpenID provider, or was set up."""
    return Mail(
        to,
        "Your account has no password",
        f"""Hello,

somebody, probably you, asked for a new password at Headrace. Your account has none: sign in the way your organisation
signs in, or ask your administrator to let you set one.

{base_url}

It was not you? Then do nothing: your account has not changed.
""",
    )


def password_changed(to: str, base_url: str) -> Mail:
    """To someone whose password was changed by a link."""
    return Mail(
        to,
        "Your password was changed",
        f"""Hello,

the password of your account at Headrace has just been changed by a link in a mail to you, and all sessions were ended:

{base_url}

It was not you? Then somebody else reads your mail. Change the password of your mailbox first, then ask for a new one
here, and tell your administrator.
""",
    )


def _span(seconds: int) -> str:
    """The largest unit that says it exactly: `24 hours`, `90 minutes`."""
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
