"""What may be changed of a user, and by whom: from the named values of a request to checked UserChanges. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from headrace.auth.rules import check_email, check_name, gather, invalid
from headrace.model.account import User, UserChanges
from headrace.model.bucket import UNSET
from headrace.model.principal import Role
from headrace.model.quota import quota_changes

T = TypeVar("T")

_OWN = frozenset({"email", "first_name", "last_name", "password", "current_password"})
_ADMINS = frozenset({"email", "first_name", "last_name", "role", "disabled", "verified", "quota"})
_SHOWN = frozenset({"role", "disabled", "verified", "events_per_second", "bytes_per_day"})
"""What `_audit` keeps the new value of. Of names and addresses it keeps that they changed, for longer than we may need
to know them."""


@dataclass(frozen=True, slots=True)
class OwnChanges:
    """What users change of themselves. `email` is among `changes` only if it is another one."""

    changes: UserChanges
    password: str | None = field(default=None, repr=False)
    current_password: str | None = field(default=None, repr=False)

    @property
    def needs_password(self) -> bool:
        """Whether it takes more than an access token, which may have been stolen."""
        return self.password is not None or self.changes.email is not UNSET


def own_changes(user: User, given: Mapping[str, object]) -> OwnChanges:
    """Raises Invalid, with an item for each field."""
    _check_known(given, _OWN)
    changes = _person(user, given)
    if changes.email is not UNSET:
        changes = replace(changes, verified=False)
    return OwnChanges(changes, _text(given, "password"), _text(given, "current_password"))


def admin_changes(user: User, given: Mapping[str, object]) -> UserChanges:
    """What an administrator changes; a new address counts as verified as the old one did. Raises Invalid."""
    _check_known(given, _ADMINS)
    changes = _person(user, given)
    if "role" in given:
        changes = replace(changes, role=_one(given, "role", Role))
    if "disabled" in given:
        changes = replace(changes, disabled=_one(given, "disabled", bool))
    if "verified" in given:
        changes = replace(changes, verified=_one(given, "verified", bool))
    if "quota" in given:
        changes = replace(changes, **_limits(given["quota"]))  # type: ignore[arg-type]  # its fields are those
    return changes


def told(changes: UserChanges) -> dict[str, object]:
    """What `_audit` keeps of a change: never a password, a name or an address."""
    named = changes.named()
    changed = sorted("password" if name == "password_hash" else name for name in named)
    shown = {name: str(value) if isinstance(value, Role) else value for name, value in named.items() if name in _SHOWN}
    return {"changed": changed, **shown}


def _person(user: User, given: Mapping[str, object]) -> UserChanges:
    found: dict[str, str | None] = {}

    def read(name: str, check: Callable[[], str | None]) -> Callable[[], None]:
        return lambda: found.__setitem__(name, check()) if name in given else None

    gather(
        read("email", lambda: check_email(_one(given, "email", str))),
        read("first_name", lambda: check_name("first_name", _text(given, "first_name"))),
        read("last_name", lambda: check_name("last_name", _text(given, "last_name"))),
    )
    if found.get("email") == user.email:
        found.pop("email", None)
    return replace(UserChanges(), **found)  # type: ignore[arg-type]  # its fields are those


def _limits(quota: object) -> Mapping[str, int | None]:
    if quota is not None and not isinstance(quota, Mapping):
        raise invalid("quota", "must be an object or null")
    for name, value in (quota or {}).items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise invalid(f"quota.{str(name)[:64]}", "must be an integer or null")
    return quota_changes(quota)


def _check_known(given: Mapping[str, object], known: frozenset[str]) -> None:
    for name in given:
        if name not in known:
            raise invalid(name[:64], "cannot be changed here", code="unknown-field")


def _text(given: Mapping[str, object], name: str) -> str | None:
    return None if given.get(name) is None else _one(given, name, str)


def _one(given: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = given[name]
    if not isinstance(value, kind):
        raise invalid(name, f"must be a {kind.__name__.lower()}")
    return value
