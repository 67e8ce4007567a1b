"""Who a verified token is here: the user behind (issuer, subject), made at first sight and given the role it tells.

Never linked to a user that was there before, by e-mail or name: who runs the provider could take over any account.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.auth.rules import check_email
from headrace.errors import Conflict, Invalid, Unauthenticated, Unavailable, Unusable
from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import SECOND
from headrace.model.account import Account, Identity, User
from headrace.model.audit import AuditRecord
from headrace.model.principal import USER, Role
from headrace.ports.accounts import Accounts
from headrace.ports.clock import Clock

_RANKS = (Role.ADMIN, Role.MANAGER, Role.USER)
_NAME_CHARACTERS = 63
_NUMBERED = 9  # `ada-2` … `ada-9`, then a suffix that only this subject has
_PERSON_CHARACTERS = 100
PROVIDER = "identity_provider"
"""The kind of actor that changes a role, as `_audit` shows it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a token says of a user."""

    subject: str
    issued_at: int
    """µs."""
    role: Role
    names: tuple[str, ...]
    """Usernames to try, best first; none is better than the others to the provider."""
    email: str | None = field(repr=False)
    first_name: str | None = None
    last_name: str | None = None


class Arrivals:
    """Raises Unauthenticated for who is disabled, Unavailable when the control data cannot be reached."""

    def __init__(self, accounts: Accounts, clock: Clock, issuer: str) -> None:
        self._accounts = accounts
        self._clock = clock
        self._issuer = issuer

    async def account(self, arrival: Arrival, address: str | None) -> Account:
        """The account of this user with the role that the newest token tells."""
        known = await self._find(arrival.subject)
        if known is None:
            return await self._provision(arrival, address)
        identity, account = known
        if account.user.disabled:
            raise Unauthenticated("This user is disabled.")
        if arrival.issued_at <= identity.synced_at:
            return account
        return await self._sync(replace(identity, synced_at=arrival.issued_at), account, arrival.role, address)

    async def _find(self, subject: str) -> tuple[Identity, Account] | None:
        known = await self._accounts.find_identity(self._issuer, subject)
        if known is not None and (known[0].issuer, known[0].subject) != (self._issuer, subject):
            raise Unauthenticated("This user is not known.")  # a database that compares without case must not decide
        return known

    async def _sync(self, identity: Identity, account: Account, role: Role, address: str | None) -> Account:
        """Also when the role stays: else an older token, of a higher role, would still be news."""
        before = account.user.role
        told = {"role": {"from": before.value, "to": role.value}}
        audit = None if role is before else self._record("user.updated", account.user, address, told, by_provider=True)
        await self._accounts.sync_identity(identity, role, audit)
        known = await self._find(identity.subject)  # a newer token may have been quicker
        if known is None or known[1].user.disabled:
            raise Unauthenticated("This user is disabled.")
        return known[1]

    async def _provision(self, arrival: Arrival, address: str | None) -> Account:
        """Several may try at once, on several machines: the database lets one identity in, and the rest find it."""
        names, email = iter(arrival.names), arrival.email
        name = next(names)
        while True:
            user = self._user(arrival, name, email)
            identity = Identity(self._issuer, arrival.subject, user.id, arrival.issued_at)
            audit = self._record("user.created", user, address, {"username": name, "role": user.role.value})
            try:
                await self._accounts.add_user(user, audit, identity)
            except Conflict as taken:
                if (known := await self._find(arrival.subject)) is not None:
                    return known[1]
                if taken.code == "email-taken" and email is not None:
                    email = None
                elif (name := next(names, "")) == "":
                    raise Unavailable("No username is free for this user: try again.") from taken
            else:
                return Account(user, {})

    def _user(self, arrival: Arrival, name: str, email: str | None) -> User:
        now = self._clock.now()
        return User(
            id=format_id(uuid7(now)),
            username=name,
            email=email,
            role=arrival.role,
            created_at=now,
            first_name=arrival.first_name,
            last_name=arrival.last_name,
            verified=True,
        )

    def _record(
        self, action: str, user: User, address: str | None, told: Mapping[str, object], *, by_provider: bool = False
    ) -> AuditRecord:
        now = self._clock.now()
        return AuditRecord(
            id=uuid7(now),
            time=now,
            action=action,
            actor_id=self._issuer if by_provider else user.id,
            actor_type=PROVIDER if by_provider else USER,
            target_id=user.id,
            target_type=USER,
            attributes={**told, "provider": self._issuer, **({"address": address} if address else {})},
        )


def arrival_of(claims: Mapping[str, Any], role: Role) -> Arrival:
    """`claims` are verified: `sub` is a string, `iat` a number."""
    subject = str(claims["sub"])
    return Arrival(
        subject=subject,
        issued_at=int(claims["iat"] * SECOND),
        role=role,
        names=tuple(_names(claims, subject)),
        email=_email(claims),
        first_name=_person(claims.get("given_name")),
        last_name=_person(claims.get("family_name")),
    )


def role_of(claims: Mapping[str, Any], path: str, role_map: Mapping[str, Role]) -> Role:
    """The highest of our roles that the claim gives; `user` when it gives none, or is not there."""
    value = _dig(claims, path)
    names = [name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str)]
    return highest(*(role_map[name] for name in names if name in role_map))


def highest(*roles: Role) -> Role:
    """The one that may do most; `user` of none."""
    return min(roles, key=_RANKS.index, default=Role.USER)


def parse_role_map(text: str) -> Mapping[str, Role]:
    """`theirs=ours, …` as in the settings. Raises Unusable."""
    mapped = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        theirs, _, ours = pair.rpartition("=")
        try:
            mapped[theirs.strip()] = Role(ours.strip())
        except ValueError as exc:
            raise Unusable(
                f"HEADRACE_OIDC_ROLE_MAP: {pair!r} does not end in one of =admin, =manager, =user."
            ) from exc
        if not theirs.strip():
            raise Unusable(f"HEADRACE_OIDC_ROLE_MAP: {pair!r} names no role of the provider before the `=`.")
    return mapped


def _dig(value: object, path: str) -> object:
    """Dots go down, and are part of a key where there is such a key: `https://a.b/roles`, `access.a.b.roles`."""
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    cuts = [at for at, character in enumerate(path) if character == "."]
    found = (_dig(value[path[:at]], path[at + 1 :]) for at in reversed(cuts) if path[:at] in value)
    return next((one for one in found if one is not None), None)


def _names(claims: Mapping[str, Any], subject: str) -> Iterator[str]:
    told = claims.get("preferred_username")
    plain = unicodedata.normalize("NFKD", told).lower().partition("@")[0] if isinstance(told, str) else ""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", plain.encode("ascii", "ignore").decode()).lstrip("._-")
    name = cleaned if len(cleaned) > 1 else "user"
    unique = hashlib.sha256(subject.encode()).hexdigest()[:12]
    for suffix in ("", *(f"-{number}" for number in range(2, _NUMBERED + 1)), f"-{unique}"):
        yield name[: _NAME_CHARACTERS - len(suffix)] + suffix


def _email(claims: Mapping[str, Any]) -> str | None:
    """Only one that the provider has verified: mail to it may reset a password."""
    told = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(told, str):
        return None
    try:
        return check_email(told)  # the spelling of all others here, so that no address is two
    except Invalid:
        return None


def _person(told: object) -> str | None:
    """A name as people write it, or nothing."""
    if not isinstance(told, str) or not (name := told.strip()) or not name.isprintable():
        return None
    return name[:_PERSON_CHARACTERS]
