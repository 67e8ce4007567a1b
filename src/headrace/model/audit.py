"""A record of what an administrator or a login did, on its way to the bucket `_audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
