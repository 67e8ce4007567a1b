"""A user as an administrator makes one: from what was given to a checked User without a password yet. Pure."""

from __future__ import annotations

from headrace.auth.passwords import check_new_password
from headrace.auth.rules import check_email, check_name, check_username, gather, invalid
from headrace.kit.ids import format_id, uuid7
from headrace.model.account import User
from headrace.model.principal import Role


def new_user(
    now: int,
    username: str,
    email: str | None,
    role: Role,
    password: str | None,
    verified: bool,
    first_name: str | None,
    last_name: str | None,
) -> User:
    """Every field is looked at, so that one answer shows all that is wrong. Raises Invalid."""
    gather(
        lambda: check_username(username),
        lambda: email is None or check_email(email),
        lambda: None if password is None else check_new_password(password, username, email),
        lambda: check_name("first_name", first_name),
        lambda: check_name("last_name", last_name),
        lambda: _check_verifiable(email, password, verified),
    )
    return User(
        id=format_id(uuid7(now)),
        username=check_username(username),
        email=None if email is None else check_email(email),
        role=role,
        created_at=now,
        first_name=check_name("first_name", first_name),
        last_name=check_name("last_name", last_name),
        verified=verified,
    )


def _check_verifiable(email: str | None, password: str | None, verified: bool) -> None:
    if email is None and password is not None and not verified:
        raise invalid("verified", "must be true for a user without an e-mail address: there is nothing to verify")
