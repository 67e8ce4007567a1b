"""What a bucket's name and settings may be. Pure; every error names its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

from headrace.errors import Forbidden, Invalid, ItemError
from headrace.model.bucket import UNSET, BucketChanges, Unset
from headrace.model.quota import quota_changes

_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,62}", re.ASCII)
_DESCRIPTION_CHARACTERS = 1_000
_RETENTION_DAYS = 36_500


def is_name(name: str) -> bool:
    """Whether a bucket could have this name."""
    return _NAME.fullmatch(name) is not None


def check_new_name(name: str) -> None:
    """Raises Invalid, and Forbidden for the system's names."""
    if not is_name(name):
        raise _invalid("name", "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a digit")
    if name.startswith("_"):
        raise Forbidden("Names that begin with '_' are the system's: choose another one.", code="system-bucket")


def check_settings(description: str, retention_days: int | None) -> None:
    """Raises Invalid."""
    if len(description) > _DESCRIPTION_CHARACTERS:
        raise _invalid("description", f"must have at most {_DESCRIPTION_CHARACTERS} characters")
    if "\0" in description or _is_broken(description):
        raise _invalid("description", "must be text without \\u0000 and without lone surrogates")
    if retention_days is not None and not 1 <= retention_days <= _RETENTION_DAYS:
        raise _invalid("retention_days", f"must be from 1 to {_RETENTION_DAYS}, or null to keep for ever")


def changes(
    description: str | Unset,
    retention_days: int | Unset | None,
    quota: Mapping[str, int | None] | Unset | None,
) -> BucketChanges:
    """Checked changes. A quota is merged as in RFC 7396: a part left out stays, null takes it away. Raises Invalid."""
    check_settings(
        "" if isinstance(description, Unset) else description,
        None if isinstance(retention_days, Unset) else retention_days,
    )
    limits = {} if isinstance(quota, Unset) else quota_changes(quota)
    return BucketChanges(
        description,
        retention_days,
        events_per_second=limits.get("events_per_second", UNSET),
        bytes_per_day=limits.get("bytes_per_day", UNSET),
    )


def _is_broken(text: str) -> bool:
    """JSON can carry half a surrogate pair, which is no text and cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _invalid(field: str, what: str, code: str = "invalid-value") -> Invalid:
    return Invalid(f"{field} {what}.", items=[ItemError(code, f"{field} {what}", field=field)])


def shard_of(name: str, shards: int) -> int:
    """Which of so many event stores takes a new bucket: the same in every process, and recorded on the bucket, so that
    another number of them moves none."""
    return crc32(name.encode()) % shards
