"""What the navigation offers to whom. Offered only: what may be done is decided by the features, at every door.

A new page adds an entry here, and nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.model.permission import may_read_users
from headrace.model.principal import Principal, Role


def _everybody(_: Principal) -> bool:
    return True


def _admins(principal: Principal) -> bool:
    return principal.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    path: str
    icon: str
    shown: Callable[[Principal], bool] = _everybody

    def is_open_at(self, path: str) -> bool:
        """Whether the page at `path` belongs to it."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


PAGES = (
    Entry("Overview", "/", "overview"),
    Entry("Explore", "/explore", "explore"),
    Entry("Audit", "/audit", "audit"),
    Entry("Tasks", "/tasks", "tasks"),
)
ADMINISTRATION = (
    Entry("Buckets", "/admin/buckets", "bucket"),
    Entry("Users", "/admin/users", "users", may_read_users),
    Entry("API keys", "/admin/keys", "key"),
    Entry("Dead letters", "/admin/dead-letters", "letter", _admins),
    Entry("Usage", "/admin/usage", "columns"),
    Entry("Status", "/admin/status", "status"),
)


@dataclass(frozen=True, slots=True)
class Navigation:
    """What one visitor is offered, at one path."""

    path: str
    pages: Sequence[Entry]
    administration: Sequence[Entry]

    @property
    def in_administration(self) -> bool:
        return self.path.startswith("/admin/")


def navigation(principal: Principal, path: str) -> Navigation:
    return Navigation(
        path,
        [entry for entry in PAGES if entry.shown(principal)],
        [entry for entry in ADMINISTRATION if entry.shown(principal)],
    )
