"""Who is asking, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Permission(StrEnum):
    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    USER = "user"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is stored: never its secret, only the SHA-256 of it. Times are µs since 1970."""

    id: str
    name: str
    secret_sha256: bytes
    role: Role
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. `grants` maps a bucket's id to what the caller may do there."""

    id: str
    kind: str
    name: str
    role: Role
    grants: Mapping[int, frozenset[Permission]] = field(default_factory=dict)
