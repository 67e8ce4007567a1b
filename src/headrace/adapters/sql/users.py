"""Users as rows, and what follows from a change of one. Shared by the adapters of this folder."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.database import one_at_a_time
from headrace.adapters.sql.models import LinkRow, SessionRow, UserRow
from headrace.errors import Conflict, NotFound
from headrace.model.account import Link, LinkPurpose, User, UserChanges
from headrace.model.bucket import Quota
from headrace.model.principal import Role


def user_row(user: User) -> UserRow:
    return UserRow(
        id=user.id,
        username=user.username,
        email=user.email,
        role=user.role.value,
        created_at=user.created_at,
        first_name=user.first_name,
        last_name=user.last_name,
        verified=user.verified,
        disabled=user.disabled,
        password_hash=user.password_hash,
        events_per_second=user.quota.events_per_second,
        bytes_per_day=user.quota.bytes_per_day,
    )


def link_row(link: Link) -> LinkRow:
    return LinkRow(
        token_sha256=link.token_sha256.hex(),
        user_id=link.user_id,
        purpose=link.purpose.value,
        created_at=link.created_at,
        expires_at=link.expires_at,
    )


def user_of(row: UserRow) -> User:
    return User(
        id=row.id,
        username=row.username,
        email=row.email,
        role=Role(row.role),
        created_at=row.created_at,
        first_name=row.first_name,
        last_name=row.last_name,
        verified=row.verified,
        disabled=row.disabled,
        password_hash=row.password_hash,
        quota=Quota(row.events_per_second, row.bytes_per_day),
    )


async def locked_user(session: AsyncSession, user_id: str) -> UserRow:
    """The row, which nobody else can change until the transaction ends. Raises NotFound."""
    row = await session.get(UserRow, user_id, with_for_update=True)
    if row is None:
        raise unknown_user(user_id)
    return row


def unknown_user(user_id: str) -> NotFound:
    return NotFound(f"There is no user {user_id[:64]!r}.", code="unknown-user")


async def change_user(session: AsyncSession, row: UserRow, changes: UserChanges) -> None:
    """Change what is named, and end what must not outlive it. Raises Conflict `last-admin`."""
    named = changes.named()
    new_email = "email" in named and named["email"] != row.email
    was_admin = is_admin(row)
    for column, value in named.items():
        setattr(row, column, str(value) if isinstance(value, Role) else value)  # named like the columns
    if was_admin and not is_admin(row):
        await require_another_admin(session, row)
    if "password_hash" in named or named.get("disabled") is True:
        await session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))
    if "password_hash" in named:  # whoever has read an older mail must not choose the next password
        resets = LinkRow.user_id == row.id, LinkRow.purpose == LinkPurpose.RESET.value
        await session.execute(delete(LinkRow).where(*resets))
    if new_email:
        await session.execute(delete(LinkRow).where(LinkRow.user_id == row.id))


async def require_another_admin(session: AsyncSession, row: UserRow) -> None:
    """Raises Conflict `last-admin` when this is the only admin user who can sign in."""
    another = select(UserRow.id).where(
        UserRow.role == Role.ADMIN.value, UserRow.disabled.is_(False), UserRow.id != row.id
    )
    if await session.scalar(another.limit(1)) is None:
        raise Conflict(
            f"{row.username} is the last administrator: make another user one first.",
            code="last-admin",
        )


async def lock_for_admins(session: AsyncSession, changes: UserChanges | None) -> None:
    """Before a change (None: a deletion) that may leave no admin. Before all other locks, lest two wait in a ring."""
    if changes is None or {"role", "disabled"} & changes.named().keys():
        await one_at_a_time(session)


def is_admin(row: UserRow) -> bool:
    """Whether this is an admin who can sign in."""
    return row.role == Role.ADMIN.value and not row.disabled
