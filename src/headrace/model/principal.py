"""Who is asking, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.model.bucket import NO_QUOTA, Quota
from headrace.model.query import EventFilter


class Permission(StrEnum):
    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    USER = "user"


Grants = Mapping[int, frozenset[Permission]]
"""A bucket's id → what may be done there. `manage` includes `read` and `write`: who has it could grant them anyway."""

USER, API_KEY, VIEWER = "user", "api_key", "viewer"
"""The kinds of principals, as `_audit` shows them."""


@dataclass(frozen=True, slots=True)
class BucketView:
    """What the holder of a viewer token may read: of one bucket, what is `within`."""

    bucket_id: int
    within: EventFilter


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller: a user, an API key, or whoever holds a viewer token.

    `owner_id` is the user who answers for a key (None: the system does); a user owns itself. `rate_limit` is in events
    or requests a second, and `owner_quota` what all credentials of the owner share. `session_id` is of a
    user who signed in here. `view` is set for viewer tokens
    only: nothing outside of it may be read, and nothing but events.
    """

    id: str
    kind: str
    name: str
    role: Role
    grants: Grants = field(default_factory=dict)
    owner_id: str | None = None
    rate_limit: int | None = None
    owner_quota: Quota = NO_QUOTA
    session_id: str | None = None
    view: BucketView | None = None


Forget = Callable[[str, str], None]
"""(kind, id) of a principal that is worth something else from now on: whoever remembers it is to ask again, so that a
change shows at once in the process that made it. A user's change is one of the user's sessions and keys too."""


def nothing_to_forget(kind: str, id: str) -> None:
    """For whoever remembers nobody."""
