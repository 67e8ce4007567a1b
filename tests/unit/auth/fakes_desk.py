"""What the desks of users and keys need around them, in memory, honouring the ports' docstrings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from headrace.auth.guard import Guard
from headrace.auth.key_desk import KeyDesk
from headrace.auth.passwords import Passwords
from headrace.auth.post import Post
from headrace.auth.users import UserDesk, UserDeskOptions
from headrace.errors import Conflict, NotFound
from headrace.model.account import ApiKey, KnownKey, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket
from headrace.model.principal import USER, Permission, Principal, Role
from headrace.ports.accounts import Accounts
from headrace.ports.limiter import Limit, Limiter
from tests.unit.auth.fakes_signin import FakePasswords, HeldLimiter, Outgoing, People
from tests.unit.control import HandClock, HeldBuckets

BOOTSTRAP = Principal("bootstrapbootst", "api_key", "bootstrap", Role.ADMIN)
ADDRESS = "203.0.113.7"
OPTIONS = UserDeskOptions("https://headrace.example/", verify_seconds=3_600, setup_seconds=7 * 86_400)
GUESSES = 3


def principal_of(user: User, grants: dict[int, frozenset[Permission]] | None = None) -> Principal:
    return Principal(user.id, USER, user.username, user.role, grants or {}, owner_id=user.id)


class AllPeople(People):
    """With what only the desks change."""

    async def list_users(self, after: str | None, limit: int, q: str | None = None) -> Sequence[User]:
        await self._reach()
        found = [user for _, user in sorted(self.users.items()) if after is None or user.id > after]
        return [user for user in found if q is None or q.lower() in user.username][:limit]

    async def update_user(self, user_id: str, changes: UserChanges, audit: AuditRecord) -> User:
        await self._reach()
        named = changes.named()
        user = self.users.get(user_id)
        if user is None:
            raise NotFound(user_id)
        if any(one.email == named.get("email", object()) for one in self.users.values()):
            raise Conflict("email", code="email-taken")
        limits = {name: named.pop(name) for name in list(named) if name in ("events_per_second", "bytes_per_day")}
        self.change(user_id, **named, quota=replace(user.quota, **limits))  # type: ignore[arg-type]
        self._commit(audit)
        return self.users[user_id]

    async def delete_user(self, user_id: str, audit: AuditRecord) -> None:
        await self._reach()
        del self.users[user_id]
        self._commit(audit)


class HeldKeys:
    """API keys in a dict."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.audited: list[AuditRecord] = []

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        self.keys[key.id] = key
        self.audited.append(audit)

    async def find_key(self, key_id: str) -> KnownKey | None:
        key = self.keys.get(key_id)
        return KnownKey(key, None) if key else None

    async def list_keys(self, owner_id: str | None, after: str | None, limit: int) -> Sequence[ApiKey]:
        found = [key for _, key in sorted(self.keys.items()) if key.revoked_at is None]
        mine = [key for key in found if owner_id in (None, key.owner_id)]
        return [key for key in mine if after is None or key.id > after][:limit]

    async def revoke_key(self, key_id: str, audit: AuditRecord) -> None:
        key = self.keys.get(key_id)
        if key is None or key.revoked_at is not None:
            raise NotFound(key_id, code="unknown-key")
        self.keys[key_id] = replace(key, revoked_at=audit.time)
        self.audited.append(audit)

    async def touch(self, used: object) -> None: ...


class UserStage:
    """A desk of users; three guesses a door and account in 15 minutes."""

    def __init__(self, *users: User) -> None:
        self.people = AllPeople(*users)
        self.passwords = FakePasswords()
        self.post = Outgoing()
        self.clock = HandClock()
        self.forgotten: list[tuple[str, str]] = []
        guard = Guard(
            cast("Limiter", HeldLimiter(self.clock)), Limit("account", GUESSES, 900), Limit("address", 100, 900)
        )
        self.desk = UserDesk(
            cast("Accounts", self.people),
            self.people,
            cast("Passwords", self.passwords),
            cast("Post", self.post),
            guard,
            self.people,  # type: ignore[arg-type]  # the outbox of the records that change nothing else
            self.clock,
            OPTIONS,
            lambda *whom: self.forgotten.append(whom),
        )


class KeyStage:
    """A desk of keys, with the buckets `_audit`, `billing` and `secret`."""

    def __init__(self) -> None:
        self.keys = HeldKeys()
        self.buckets = HeldBuckets()
        self.clock = HandClock()
        self.forgotten: list[tuple[str, str]] = []
        self.desk = KeyDesk(
            self.keys, self.buckets, self.clock, lambda *whom: self.forgotten.append(whom)
        )

    async def with_buckets(self) -> dict[str, Bucket]:
        return {
            name: await self.buckets.create(name, "", None, 0, None) for name in ("_audit", "billing", "secret")
        }
