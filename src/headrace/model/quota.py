"""What a quota may be, of a bucket and of a user. Pure; every error names its field."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.errors import Invalid, ItemError

FIELDS = frozenset({"events_per_second", "bytes_per_day"})
_MOST = 2**53 - 1  # what every JSON reader keeps exactly


def quota_changes(quota: Mapping[str, int | None] | None) -> Mapping[str, int | None]:
    """The limits to change, merged as in RFC 7396: a part left out stays, null takes it away, and null for the whole
    takes all away. Raises Invalid."""
    if quota is None:
        return dict.fromkeys(FIELDS)
    for field, value in quota.items():
        if field not in FIELDS:
            raise _invalid(f"quota.{field[:64]}", "is not known", "unknown-field")
        if value is not None and not 1 <= value <= _MOST:
            raise _invalid(f"quota.{field}", f"must be from 1 to {_MOST}, or null for no limit", "invalid-value")
    return quota


def _invalid(field: str, what: str, code: str) -> Invalid:
    return Invalid(f"{field} {what}.", items=[ItemError(code, f"{field} {what}", field=field)])
