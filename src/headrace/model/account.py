"""Accounts and their credentials, as the control data keep them: never a password or a secret, only digests of them.

Times are µs since 1970. Ids of users and sessions are UUIDv7 in their usual text form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from headrace.model.bucket import NO_QUOTA, UNSET, Quota, Unset
from headrace.model.principal import Grants, Permission, Role


@dataclass(frozen=True, slots=True)
class User:
    """`username` and `email` are in lower case and unique. Without `password_hash` only OIDC or a set-up link lets
    the user in; without `email` (an OpenID provider may keep it) there is nowhere to write to."""

    id: str
    username: str
    email: str | None
    role: Role
    created_at: int
    first_name: str | None = None
    last_name: str | None = None
    verified: bool = False
    disabled: bool = False
    password_hash: str | None = field(default=None, repr=False)
    quota: Quota = NO_QUOTA


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What a change names; the rest stays, whoever changes it meanwhile."""

    email: str | Unset | None = UNSET
    role: Role | Unset = UNSET
    first_name: str | Unset | None = UNSET
    last_name: str | Unset | None = UNSET
    verified: bool | Unset = UNSET
    disabled: bool | Unset = UNSET
    password_hash: str | Unset = field(default=UNSET, repr=False)
    events_per_second: int | Unset | None = UNSET
    bytes_per_day: int | Unset | None = UNSET

    def named(self) -> dict[str, object]:
        """Only those that are to change, by the name of the field."""
        values = ((part.name, getattr(self, part.name)) for part in fields(self))
        return {name: value for name, value in values if value is not UNSET}


@dataclass(frozen=True, slots=True)
class Account:
    """A user with all grants: what a credential of the user is worth."""

    user: User
    grants: Grants


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as an OpenID provider knows them. `synced_at` is the `iat` of the newest token whose role was
    taken over."""

    issuer: str
    subject: str
    user_id: str
    synced_at: int


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in, from the login to the logout. `secret_sha256` is of the newest refresh token, the only good one."""

    id: str
    user_id: str
    secret_sha256: bytes
    created_at: int
    expires_at: int


class LinkPurpose(StrEnum):
    """What a temporary link is good for, once."""

    VERIFY = "verify"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Link:
    """A temporary link that was handed out. `token_sha256` is of the secret in it."""

    token_sha256: bytes
    user_id: str
    purpose: LinkPurpose
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. Keys of a user are worth at most what the user is worth now; without an owner the system answers."""

    id: str
    name: str
    secret_sha256: bytes
    role: Role
    created_at: int
    expires_at: int | None = None
    owner_id: str | None = None
    rate_limit: int | None = None
    """Events or requests a second."""
    last_used_at: int | None = None
    revoked_at: int | None = None
    """Its row stays: an id is never used again, and `_audit` still has a name for it."""
    grants: Grants = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key and, when it has one, the account of its owner: all that a request with it needs, in one look-up."""

    key: ApiKey
    owner: Account | None


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session and its user's account, in one look-up."""

    session: Session
    account: Account


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do on one bucket."""

    user_id: str
    username: str
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs access tokens. `sealed` is the private key as encrypted with the secret key of the settings;
    a retired one verifies until its last token has expired, and signs no more."""

    id: str
    sealed: bytes = field(repr=False)
    created_at: int
    retired_at: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one credential sent into one bucket on one day (days since 1970, UTC)."""

    day: int
    bucket_id: int
    kind: str
    principal_id: str
    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A day's total of one bucket, key or user. `name` is what people call it; None once it is deleted
    (a revoked key keeps its name)."""

    day: int
    id: str
    name: str | None
    events: int
    bytes: int
    quota: Mapping[str, int] = field(default_factory=dict)
    """Of `events_per_second`, `bytes_per_day`: those that are set."""
