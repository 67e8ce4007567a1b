"""What signing in and registering need around them, in memory, honouring the ports' docstrings."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from headrace.auth.passwords import Verdict
from headrace.auth.post import Draft
from headrace.auth.tokens import IssuedToken
from headrace.errors import Conflict, HeadraceError, Unavailable
from headrace.model.account import Account, KnownSession, Link, LinkPurpose, Session, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.principal import Role
from headrace.ports.limiter import Limit
from headrace.ports.notifier import Mail
from tests.unit.control import NOW, HandClock

PASSWORD = "correct horse battery"


def hashed(password: str, parameters: str = "new") -> str:
    return f"${parameters}${hashlib.sha256(password.encode()).hexdigest()}"


ADA = User(
    id="01890000-0000-7000-8000-000000000001",
    username="ada",
    email="ada@example.com",
    role=Role.USER,
    created_at=NOW,
    verified=True,
    password_hash=hashed(PASSWORD),
)


class People:
    """Users, sessions, links and the audit outbox over dicts; unreachable while `down`. `commits` counts writes."""

    def __init__(self, *users: User) -> None:
        self.users = {user.id: user for user in users}
        self.sessions: dict[str, Session] = {}
        self.links: dict[bytes, Link] = {}
        self.audited: list[AuditRecord] = []
        self.asked: list[str] = []
        self.commits = 0
        self.down = False

    def change(self, user_id: str, **values: Any) -> None:
        self.users[user_id] = replace(self.users[user_id], **values)

    def actions(self) -> list[str]:
        return [record.action for record in self.audited]

    # --- ports/accounts

    async def add_user(
        self, user: User, audit: AuditRecord, identity: object = None, link: Link | None = None
    ) -> None:
        await self._reach()
        for field in ("email", "username"):
            if getattr(user, field) in {getattr(one, field) for one in self.users.values()}:
                raise Conflict(field, code=f"{field}-taken")
        self.users[user.id] = user
        if link is not None:
            self.links[link.token_sha256] = link
        self._commit(audit)

    async def find_user(self, user_id: str) -> User | None:
        await self._reach()
        return self.users.get(user_id)

    async def find_login(self, name: str) -> User | None:
        self.asked.append(name)
        await self._reach()
        # As a careless collation would: whoever looks alike is found.
        return next((one for one in self.users.values() if name.replace("á", "a") in (one.username, one.email)), None)

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        await self._reach()
        if self.users[user_id].password_hash != old:
            return False
        self.change(user_id, password_hash=new)
        return True

    # --- ports/sessions

    async def add_session(self, session: Session, password_hash: str | None, audit: AuditRecord) -> None:
        await self._reach()
        user = self.users.get(session.user_id)
        if user is None or user.disabled or user.password_hash != password_hash:
            raise Conflict("changed", code="account-changed")
        self.sessions[session.id] = session
        self._commit(audit)

    async def find_session(self, session_id: str) -> KnownSession | None:
        await self._reach()
        session = self.sessions.get(session_id)
        return KnownSession(session, Account(self.users[session.user_id], {})) if session else None

    async def rotate(self, session_id: str, old_sha256: bytes, new_sha256: bytes, expires_at: int) -> bool:
        await self._reach()
        session = self.sessions.get(session_id)
        if session is None or session.secret_sha256 != old_sha256:
            return False
        self.sessions[session_id] = replace(session, secret_sha256=new_sha256, expires_at=expires_at)
        return True

    async def end_session(self, session_id: str, audit: AuditRecord) -> bool:
        await self._reach()
        there = self.sessions.pop(session_id, None) is not None
        if there:
            self._commit(audit)
        return there

    async def add_link(self, link: Link, audit: AuditRecord | None) -> None:
        await self._reach()
        alike = [one for one in self.links.values() if (one.user_id, one.purpose) == (link.user_id, link.purpose)]
        for one in alike:
            del self.links[one.token_sha256]
        self.links[link.token_sha256] = link
        self._commit(audit)

    async def find_link(self, token_sha256: bytes, purpose: LinkPurpose, now: int) -> User | None:
        await self._reach()
        link = self.links.get(token_sha256)
        if link is None or link.purpose is not purpose or link.expires_at <= now:
            return None
        user = self.users[link.user_id]
        return None if user.disabled else user

    async def use_link(
        self, token_sha256: bytes, purpose: LinkPurpose, now: int, changes: UserChanges, audit: AuditRecord
    ) -> str | None:
        user = await self.find_link(token_sha256, purpose, now)
        if user is None or self.links.pop(token_sha256, None) is None:
            return None
        self.change(user.id, **changes.named())
        if "password_hash" in changes.named():
            self.sessions = {key: one for key, one in self.sessions.items() if one.user_id != user.id}
        self._commit(replace(audit, actor_id=user.id, target_id=user.id))
        return user.id

    # --- ports/audit

    async def add(self, record: AuditRecord) -> None:
        await self._reach()
        self._commit(record)

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("down")

    def _commit(self, audit: AuditRecord | None) -> None:
        self.commits += 1
        if audit is not None:
            self.audited.append(audit)


class FakePasswords:
    """Counts what would have been an Argon2 hash; `then` happens while it hashes."""

    def __init__(self) -> None:
        self.worked = 0
        self.refusing: HeadraceError | None = None
        self.then: Any = lambda: None

    async def hash(self, password: str) -> str:
        await self._work()
        return hashed(password)

    async def verify(self, password: str, stored: str | None) -> Verdict:
        await self._work()
        if stored == hashed(password):
            return Verdict(ok=True)
        return Verdict(ok=True, rehash=hashed(password)) if stored == hashed(password, "old") else Verdict(ok=False)

    async def _work(self) -> None:
        if self.refusing is not None:
            raise self.refusing
        self.worked += 1
        await asyncio.sleep(0)
        self.then()


class FakeTokens:
    async def issue(self, user_id: str, session_id: str) -> IssuedToken:
        return IssuedToken(f"access:{user_id}:{session_id}", 900)


class HeldLimiter:
    """A log of times for each key, exact; unreachable while `down`."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.logs: dict[str, list[float]] = {}
        self.down = False

    async def attempt(self, key: str, limit: Limit) -> float:
        await self._reach()
        now = self.clock.monotonic()
        log = self.logs.setdefault(key, [])
        log[:] = [at for at in log if at + limit.seconds > now]
        if len(log) >= limit.count:
            return log[0] + limit.seconds - now
        log.append(now)
        return 0.0

    async def forgive(self, key: str, limit: Limit) -> None:
        await self._reach()
        self.logs.pop(key, None)

    async def give_back(self, key: str, limit: Limit) -> None:
        await self._reach()
        if self.logs.get(key):
            self.logs[key].pop()

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("down")


class Outgoing:
    """Mail that was put into the post; what is to be written at its turn waits for `write`."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.drafts: list[Draft] = []

    def put(self, mail: Mail | Draft) -> None:
        if isinstance(mail, Mail):
            self.mails.append(mail)
        else:
            self.drafts.append(mail)

    async def write(self) -> None:
        while self.drafts:
            self.mails.append(await self.drafts.pop(0)())


class CountedMetrics(SimpleNamespace):
    """What was counted, by metric and labels."""

    def __init__(self) -> None:
        super().__init__(counted=Counter())

    def add(self, metric: Any, amount: float = 1, *labels: str) -> None:
        self.counted[(metric.name, *labels)] += int(amount)
