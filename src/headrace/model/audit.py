"""A record of what an administrator or a login did, on its way to the bucket `_audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.kit.ids import uuid7
from headrace.model.principal import Principal


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """`id` is a UUID (as an integer) fixed at the change, so that forwarding it twice stores it once. `time` is µs."""

    id: int
    time: int
    action: str
    actor_id: str
    actor_type: str
    target_id: str
    target_type: str
    outcome: str = "success"
    message: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def by(
        cls,
        principal: Principal,
        now: int,
        action: str,
        target: tuple[str, str],
        message: str,
        attributes: Mapping[str, object],
    ) -> AuditRecord:
        """What this caller has just done; `target` is its type and its id, `now` is µs since 1970."""
        return cls(
            id=uuid7(now),
            time=now,
            action=action,
            actor_id=principal.id,
            actor_type=principal.kind,
            target_id=target[1],
            target_type=target[0],
            message=message,
            attributes=attributes,
        )
