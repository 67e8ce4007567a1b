"""Audit records and users for suites whose ports take them."""

from __future__ import annotations

from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.database import ControlDatabase
from headrace.model.account import User
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Quota
from headrace.model.principal import Role


def record(id: int, action: str = "bucket.created", time: int = 1_000) -> AuditRecord:
    return AuditRecord(id, time, action, "ada", "user", "billing", "bucket")


async def audited(control: ControlDatabase) -> list[int]:
    """The ids of what was recorded, in order."""
    return [written.id for written in await SqlAuditOutbox(control).pending(100)]


def user_id(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012}"


def user(number: int, role: Role = Role.USER, *, disabled: bool = False) -> User:
    """User `number`, with every field set."""
    return User(
        id=user_id(number),
        username=f"user-{number}",
        email=f"user-{number}@example.org",
        role=role,
        created_at=1_700_000_000_000_000 + number,
        first_name=f"First {number}",
        last_name=f"Last {number}",
        verified=True,
        disabled=disabled,
        password_hash=f"$argon2id${number}",
        quota=Quota(100 + number, 2**40),
    )
