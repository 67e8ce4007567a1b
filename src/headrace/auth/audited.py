"""Records for `_audit` of what happens at the doors of signing in. Never a secret, and never what a stranger typed."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.kit.ids import uuid7
from headrace.model.audit import AuditRecord
from headrace.model.principal import USER

ANONYMOUS = "anonymous"
NOBODY = "unknown"
"""The target when what was typed is no account of ours: people type passwords into the name's field."""


def by_user(now: int, action: str, user_id: str, message: str, attributes: Mapping[str, object]) -> AuditRecord:
    """Something that the user did to their own account. `now` is µs since 1970."""
    return AuditRecord(
        id=uuid7(now),
        time=now,
        action=action,
        actor_id=user_id,
        actor_type=USER,
        target_id=user_id,
        target_type=USER,
        message=message,
        attributes=attributes,
    )


def by_stranger(
    now: int,
    action: str,
    user_id: str | None,
    message: str,
    attributes: Mapping[str, object],
    *,
    outcome: str = "failure",
) -> AuditRecord:
    """Something that someone without a credential did or tried, to this user or to nobody that we know."""
    return AuditRecord(
        id=uuid7(now),
        time=now,
        action=action,
        actor_id=ANONYMOUS,
        actor_type=ANONYMOUS,
        target_id=user_id or NOBODY,
        target_type=USER,
        outcome=outcome,
        message=message,
        attributes=attributes,
    )
