"""Users, their grants and their identities in a relational database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Delete, delete, false, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase, rowcount
from headrace.adapters.sql.grants import add_user_grant, grants_of_user, lock_buckets
from headrace.adapters.sql.models import ApiKeyRow, IdentityRow, UserGrantRow, UserRow
from headrace.adapters.sql.users import (
    change_user,
    is_admin,
    link_row,
    lock_for_admins,
    locked_user,
    require_another_admin,
    user_of,
    user_row,
)
from headrace.errors import Conflict, NotFound
from headrace.model.account import Account, Grant, Identity, Link, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Unset
from headrace.model.principal import Permission, Role

_WALK = 500  # users looked through at a time: about 5 ms between two breaths of the loop


class SqlAccounts:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add_user(
        self, user: User, audit: AuditRecord, identity: Identity | None = None, link: Link | None = None
    ) -> None:
        try:
            async with self._database.changing() as session:
                session.add(user_row(user))
                await session.flush()  # before what refers to it
                if identity is not None:
                    session.add(_identity_row(identity))
                if link is not None:
                    session.add(link_row(link))
                session.add(audit_row(audit))
        except Conflict as exc:
            taken = await self._taken(user.id, user.username, user.email, identity)
            raise (taken or exc) from exc

    async def find_user(self, user_id: str) -> User | None:
        async with self._database.reading() as session:
            row = await session.get(UserRow, user_id)
            return user_of(row) if row is not None else None

    async def find_account(self, user_id: str) -> Account | None:
        async with self._database.reading() as session:
            row = await session.get(UserRow, user_id)
            return Account(user_of(row), await grants_of_user(session, user_id)) if row is not None else None

    async def find_login(self, name: str) -> User | None:
        async with self._database.reading() as session:
            found = await session.scalars(select(UserRow).where(or_(UserRow.username == name, UserRow.email == name)))
            rows = sorted(found, key=lambda row: row.username != name)  # should one be another's address: the name wins
            return user_of(rows[0]) if rows else None

    async def find_identity(self, issuer: str, subject: str) -> tuple[Identity, Account] | None:
        async with self._database.reading() as session:
            found = await session.execute(
                select(IdentityRow, UserRow)
                .join(UserRow, UserRow.id == IdentityRow.user_id)
                .where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)
            )
            pair = found.one_or_none()
            if pair is None:
                return None
            row, user = pair
            account = Account(user_of(user), await grants_of_user(session, user.id))
            return Identity(row.issuer, row.subject, row.user_id, row.synced_at), account

    async def sync_identity(self, identity: Identity, role: Role, audit: AuditRecord | None) -> None:
        async with self._database.changing() as session:
            row = await session.get(IdentityRow, (identity.issuer, identity.subject))
            if row is None:
                raise NotFound("This identity belongs to no user here.", code="unknown-user")
            user = await locked_user(session, row.user_id)
            newer = await session.execute(
                update(IdentityRow)
                .where(
                    IdentityRow.issuer == identity.issuer,
                    IdentityRow.subject == identity.subject,
                    IdentityRow.synced_at < identity.synced_at,
                )
                .values(synced_at=identity.synced_at)
            )
            if rowcount(newer) and user.role != role.value:
                user.role = role.value
                if audit is not None:
                    session.add(audit_row(audit))

    async def list_users(self, after: str | None, limit: int, q: str | None = None) -> Sequence[User]:
        # Looked through here: not every engine knows upper and lower case beyond ASCII.
        users: list[User] = []
        wanted, position = (q or "").casefold(), after or ""
        async with self._database.reading(long=bool(wanted)) as session:
            while len(users) < limit:
                size = _WALK if wanted else limit
                page = select(UserRow).where(UserRow.id > position).order_by(UserRow.id).limit(size)
                rows = (await session.scalars(page)).all()
                users += [user_of(row) for row in rows if wanted in _searched(row)]
                if len(rows) < size:
                    break
                position = rows[-1].id
                session.expunge_all()
        return users[:limit]

    async def update_user(self, user_id: str, changes: UserChanges, audit: AuditRecord) -> User:
        try:
            async with self._database.changing() as session:
                await lock_for_admins(session, changes)
                row = await locked_user(session, user_id)
                await change_user(session, row, changes)
                session.add(audit_row(audit))
            return user_of(row)
        except Conflict as exc:
            if exc.code == "last-admin":
                raise
            email = None if isinstance(changes.email, Unset) else changes.email
            raise (await self._taken(user_id, None, email) or exc) from exc

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        async with self._database.changing() as session:
            replaced = await session.execute(
                update(UserRow).where(UserRow.id == user_id, UserRow.password_hash == old).values(password_hash=new)
            )
            return rowcount(replaced) == 1

    async def delete_user(self, user_id: str, audit: AuditRecord) -> None:
        async with self._database.changing() as session:
            await lock_for_admins(session, None)
            row = await locked_user(session, user_id)
            if is_admin(row):
                await require_another_admin(session, row)
            await _revoke_keys(session, user_id, audit.time)
            await session.delete(row)  # the rest goes with it
            session.add(audit_row(audit))

    async def put_grant(
        self, bucket_id: int, user_id: str, permissions: frozenset[Permission], audit: AuditRecord
    ) -> Grant:
        async with self._database.changing() as session:
            await lock_buckets(session, [bucket_id])
            user = await locked_user(session, user_id)
            await session.execute(_of(bucket_id, user_id))
            await add_user_grant(session, user_id, bucket_id, permissions)
            session.add(audit_row(audit))
        return Grant(user_id, user.username, permissions)

    async def delete_grant(self, bucket_id: int, user_id: str, audit: AuditRecord) -> None:
        async with self._database.changing() as session:
            gone = await session.execute(_of(bucket_id, user_id))
            if not rowcount(gone):
                raise NotFound("This user has no grant on the bucket.", code="unknown-grant")
            session.add(audit_row(audit))

    async def grants_of_bucket(self, bucket_id: int) -> Sequence[Grant]:
        async with self._database.reading() as session:
            found = await session.execute(
                select(UserRow.username, UserRow.id, UserGrantRow.permission)
                .join(UserRow, UserRow.id == UserGrantRow.user_id)
                .where(UserGrantRow.bucket_id == bucket_id)
            )
            permissions: dict[tuple[str, str], set[Permission]] = {}
            for username, user_id, permission in found:
                permissions.setdefault((username, user_id), set()).add(Permission(permission))
            return [Grant(user_id, name, frozenset(which)) for (name, user_id), which in sorted(permissions.items())]

    async def _taken(
        self, user_id: str, username: str | None, email: str | None, identity: Identity | None = None
    ) -> Conflict | None:
        """Which of these another user has."""
        if identity is not None and await self.find_identity(identity.issuer, identity.subject):
            return Conflict("This identity has a user already: look it up again.", code="identity-taken")
        wanted = ((UserRow.username, username), (UserRow.email, email))
        same = [column == value for column, value in wanted if value is not None]  # NULL is like no other
        async with self._database.reading() as session:
            found = await session.execute(
                select(UserRow.username, UserRow.email).where(or_(false(), *same), UserRow.id != user_id)
            )
            others = found.all()
        if email is not None and any(address == email for _, address in others):
            return Conflict("Another user has this e-mail address.", code="email-taken")
        return Conflict(f"There is a user {username!r} already.", code="username-taken") if others else None


async def _revoke_keys(session: AsyncSession, owner_id: str, now: int) -> None:
    """Locked by id first, which is the order of `SqlKeys.touch`: else the two could wait for each other."""
    good = ApiKeyRow.owner_id == owner_id, ApiKeyRow.revoked_at.is_(None)
    await session.execute(select(ApiKeyRow.id).where(*good).order_by(ApiKeyRow.id).with_for_update())
    await session.execute(update(ApiKeyRow).where(*good).values(revoked_at=now))


def _of(bucket_id: int, user_id: str) -> Delete:
    return delete(UserGrantRow).where(UserGrantRow.user_id == user_id, UserGrantRow.bucket_id == bucket_id)


def _searched(row: UserRow) -> str:
    names = " ".join(name for name in (row.first_name, row.last_name) if name)
    return "\n".join((row.username, row.email or "", names)).casefold()


def _identity_row(identity: Identity) -> IdentityRow:
    return IdentityRow(
        issuer=identity.issuer, subject=identity.subject, user_id=identity.user_id, synced_at=identity.synced_at
    )
