"""Sign-ins and temporary links in a relational database."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase, delete_rows, rowcount
from headrace.adapters.sql.grants import grants_of_user
from headrace.adapters.sql.models import LinkRow, SessionRow, UserRow
from headrace.adapters.sql.users import change_user, link_row, lock_for_admins, locked_user, user_of
from headrace.errors import Conflict
from headrace.model.account import Account, KnownSession, Link, LinkPurpose, Session, User, UserChanges
from headrace.model.audit import AuditRecord


class SqlSessions:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add_session(self, session: Session, password_hash: str | None, audit: AuditRecord) -> None:
        async with self._database.changing() as transaction:
            user = await transaction.get(UserRow, session.user_id, with_for_update=True)
            if user is None or user.disabled or user.password_hash != password_hash:
                raise Conflict("This account was changed while you signed in: try again.", code="account-changed")
            transaction.add_all((_session_row(session), audit_row(audit)))

    async def find_session(self, session_id: str) -> KnownSession | None:
        async with self._database.reading() as transaction:
            found = await transaction.execute(
                select(SessionRow, UserRow)
                .join(UserRow, UserRow.id == SessionRow.user_id)
                .where(SessionRow.id == session_id)
            )
            pair = found.one_or_none()
            if pair is None:
                return None
            row, user = pair
            account = Account(user_of(user), await grants_of_user(transaction, user.id))
            return KnownSession(_session(row), account)

    async def rotate(self, session_id: str, old_sha256: bytes, new_sha256: bytes, expires_at: int) -> bool:
        async with self._database.changing() as transaction:
            changed = await transaction.execute(
                update(SessionRow)
                .where(SessionRow.id == session_id, SessionRow.secret_sha256 == old_sha256)
                .values(secret_sha256=new_sha256, expires_at=expires_at)
            )
            return rowcount(changed) == 1

    async def end_session(self, session_id: str, audit: AuditRecord) -> bool:
        async with self._database.changing() as transaction:
            gone = await transaction.execute(delete(SessionRow).where(SessionRow.id == session_id))
            if there := rowcount(gone) == 1:
                transaction.add(audit_row(audit))
            return there

    async def add_link(self, link: Link, audit: AuditRecord | None) -> None:
        async with self._database.changing() as transaction:
            await locked_user(transaction, link.user_id)  # of two links at once, the second replaces the first
            await transaction.execute(
                delete(LinkRow).where(LinkRow.user_id == link.user_id, LinkRow.purpose == link.purpose.value)
            )
            transaction.add(link_row(link))
            if audit is not None:
                transaction.add(audit_row(audit))

    async def find_link(self, token_sha256: bytes, purpose: LinkPurpose, now: int) -> User | None:
        async with self._database.reading() as transaction:
            link = await _good_link(transaction, token_sha256, purpose, now)
            user = await transaction.get(UserRow, link.user_id) if link is not None else None
            return user_of(user) if user is not None and not user.disabled else None

    async def use_link(
        self, token_sha256: bytes, purpose: LinkPurpose, now: int, changes: UserChanges, audit: AuditRecord
    ) -> str | None:
        async with self._database.changing() as transaction:
            await lock_for_admins(transaction, changes)
            link = await _good_link(transaction, token_sha256, purpose, now)
            if link is None:
                return None
            user = await transaction.get(UserRow, link.user_id, with_for_update=True)
            if user is None or user.disabled or not await _used_up(transaction, link):
                return None
            await change_user(transaction, user, changes)
            transaction.add(audit_row(replace(audit, actor_id=user.id, target_id=user.id)))
            return user.id

    async def sweep(self, now: int) -> int:
        async with self._database.changing() as transaction:
            # What others hold goes with the next sweep: waiting for them here could be waiting for each other.
            ended = select(SessionRow.id).where(SessionRow.expires_at <= now).with_for_update(skip_locked=True)
            past = select(LinkRow.token_sha256).where(LinkRow.expires_at <= now).with_for_update(skip_locked=True)
            sessions = await delete_rows(transaction, delete(SessionRow).where(SessionRow.id.in_(ended)))
            return sessions + await delete_rows(transaction, delete(LinkRow).where(LinkRow.token_sha256.in_(past)))


async def _good_link(transaction: AsyncSession, token_sha256: bytes, purpose: LinkPurpose, now: int) -> LinkRow | None:
    link = await transaction.get(LinkRow, token_sha256.hex())
    return link if link is not None and link.purpose == purpose.value and link.expires_at > now else None


async def _used_up(transaction: AsyncSession, link: LinkRow) -> bool:
    """Whether it was still there: of two at once, one deletes it."""
    gone = await transaction.execute(delete(LinkRow).where(LinkRow.token_sha256 == link.token_sha256))
    return rowcount(gone) == 1


def _session_row(session: Session) -> SessionRow:
    return SessionRow(
        id=session.id,
        user_id=session.user_id,
        secret_sha256=session.secret_sha256,
        created_at=session.created_at,
        expires_at=session.expires_at,
    )


def _session(row: SessionRow) -> Session:
    return Session(row.id, row.user_id, row.secret_sha256, row.created_at, row.expires_at)
