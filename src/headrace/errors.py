"""Every error that Headrace raises on purpose. No HTTP here: `web/errors.py` maps each class to a status.

    HeadraceError
    ├── Malformed            the request cannot be parsed
    ├── Invalid              parsed, but not valid; `items` says where
    ├── TooLarge             a body, or what it unpacks to, is over the limit
    ├── Unsupported          an unknown content type or encoding
    ├── Unauthenticated      no credential, or one that is not good
    ├── Forbidden            known, but not allowed
    ├── NotFound             not there, or not for the caller to see
    ├── Conflict             against the state of the thing
    ├── Gone                 a temporary link that is used, expired or unknown: ask for a new one
    ├── Retriable            worth another try after `retry_after` seconds
    │   ├── OverQuota        the caller's quota is used up
    │   └── Unavailable      we cannot do it now
    │       ├── Overloaded       our capacity is used up: the only way overload travels back
    │       ├── QueryTimeout     a read took longer than its limit and was stopped
    │       ├── PartlyStored     of a batch, the events of some buckets are stored, and those of others are not
    │       └── OutcomeUnknown   it may or may not have been done; safe to repeat with ids
    ├── Poison               stored data that can never be read, whoever tries
    └── Unusable             this program cannot start here
        ├── NewerFormat      a file was written by a newer Headrace
        └── DirectoryLocked  another process serves this data directory
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemError:
    """One of several reasons. `index` counts the items of a batch; `field` names a field or a parameter."""

    code: str
    detail: str
    index: int | None = None
    field: str | None = None


class HeadraceError(Exception):
    """The root. `code` is stable and becomes the problem type; `detail` says what to do now."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None, items: Sequence[ItemError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.items = tuple(items)


class Malformed(HeadraceError):
    code = "malformed-request"


class Invalid(HeadraceError):
    code = "invalid-request"


class TooLarge(HeadraceError):
    code = "too-large"


class Unsupported(HeadraceError):
    code = "unsupported-media-type"


class Unauthenticated(HeadraceError):
    code = "unauthenticated"


class Forbidden(HeadraceError):
    code = "forbidden"


class NotFound(HeadraceError):
    code = "not-found"


class Conflict(HeadraceError):
    code = "conflict"


class Gone(HeadraceError):
    code = "gone"


class Retriable(HeadraceError):
    """Something to try again after `retry_after` seconds."""

    def __init__(self, detail: str, *, retry_after: float = 1.0, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class OverQuota(Retriable):
    """`policy` is the limit's name for clients: so many (`quota`, in `unit`s) in `window` seconds; `remaining` of them
    are left until it is full again, in `reset` seconds (by default when one may try again)."""

    code = "over-quota"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float = 1.0,
        code: str | None = None,
        policy: str = "",
        quota: int = 0,
        window: int = 0,
        remaining: int = 0,
        reset: float | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(detail, retry_after=retry_after, code=code)
        self.policy = policy
        self.quota = quota
        self.window = window
        self.remaining = remaining
        self.reset = retry_after if reset is None else reset
        self.unit = unit


class Unavailable(Retriable):
    code = "unavailable"


class Overloaded(Unavailable):
    code = "overloaded"


class QueryTimeout(Unavailable):
    code = "query-timeout"


class PartlyStored(Unavailable):
    """The events of `bucket_ids` are not stored; those of every other bucket of the batch are."""

    def __init__(self, detail: str, bucket_ids: frozenset[int] = frozenset()) -> None:
        super().__init__(detail)
        self.bucket_ids = bucket_ids


class OutcomeUnknown(Unavailable):
    code = "outcome-unknown"


class Poison(HeadraceError):
    code = "poison"


class Unusable(HeadraceError):
    code = "unusable"


class NewerFormat(Unusable):
    code = "newer-format"


class DirectoryLocked(Unusable):
    code = "directory-locked"
