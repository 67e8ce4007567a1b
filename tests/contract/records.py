"""Audit records for suites whose ports take one."""

from __future__ import annotations

from headrace.model.audit import AuditRecord


def record(id: int, action: str = "bucket.created", time: int = 1_000) -> AuditRecord:
    return AuditRecord(id, time, action, "ada", "user", "billing", "bucket")
