"""The shapes of access: grants, API keys, viewer tokens, the keys that sign, usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictStr, WithJsonSchema

from headrace.kit.times import DAY, format_time
from headrace.model.account import ApiKey, Grant, UsageLine
from headrace.model.principal import Permission, Role
from headrace.web.fields import FutureTime, KeyName, Lifetime, Permissions, RateLimit
from headrace.web.params import FILTERS
from headrace.web.params_identity import UsageBy
from headrace.web.schemas import Absent, Body, BucketName, Time

# --- Grants and keys ----------------------------------------------------------------------------------------------


class GrantBody(Body):
    permissions: Annotated[list[Permission], Field(max_length=10, examples=[["read", "write"]])] = Field(
        description="None at all takes the grant away."
    )


class GrantAnswer(BaseModel):
    user: str
    username: str
    permissions: list[Permission]

    @classmethod
    def of(cls, grant: Grant) -> GrantAnswer:
        return cls(user=grant.user_id, username=grant.username, permissions=in_order(grant.permissions))


class GrantList(BaseModel):
    grants: list[GrantAnswer]


def in_order(permissions: frozenset[Permission]) -> list[Permission]:
    return [permission for permission in Permission if permission in permissions]


class KeyGrant(Body):
    bucket: BucketName = Field(examples=["default"])
    permissions: Permissions


class NewKey(Body):
    name: KeyName
    grants: Annotated[list[KeyGrant], Field(max_length=1_000)]
    expires_at: FutureTime | None = None
    rate_limit: RateLimit | None = Field(None, description="Events or requests a second.", examples=[1_000])


class KeyGrantAnswer(BaseModel):
    bucket: str
    permissions: list[Permission]


class KeyAnswer(BaseModel):
    id: str = Field(examples=["mfrggzdfmztwq2lk"])
    name: str
    role: Role
    owner: str | Absent = Field(None, description="The id of the user who answers for it.")
    grants: list[KeyGrantAnswer]
    created_at: Time
    expires_at: Time | Absent = None
    rate_limit: int | Absent = None
    last_used_at: Time | Absent = None

    @classmethod
    def fields_of(cls, key: ApiKey, grants: Mapping[str, frozenset[Permission]]) -> dict[str, Any]:
        return {
            "id": key.id,
            "name": key.name,
            "role": key.role,
            "owner": key.owner_id,
            "grants": [KeyGrantAnswer(bucket=name, permissions=in_order(those)) for name, those in grants.items()],
            "created_at": format_time(key.created_at),
            "expires_at": None if key.expires_at is None else format_time(key.expires_at),
            "rate_limit": key.rate_limit,
            "last_used_at": None if key.last_used_at is None else format_time(key.last_used_at),
        }


class MadeKey(KeyAnswer):
    key: str = Field(description="The key itself. Shown this once.")


class KeyPage(BaseModel):
    keys: list[KeyAnswer]
    next_cursor: str | Absent = None


# --- Viewer tokens ------------------------------------------------------------------------------------------------


def _filter_schema() -> dict[str, Any]:
    """Each filter of the reads, with one value or several where it may be repeated."""
    properties = {}
    for param in FILTERS:
        if param.name != "attr":
            several = {"type": "array", "minItems": 1, "maxItems": 100, "items": param.schema}
            properties[param.name] = {"anyOf": [param.schema, several]} if param.repeated else param.schema
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {r"^attr\.[a-z]{1,20}(\.[a-z]{1,20})?$": {"type": "string", "maxLength": 100}},
        "additionalProperties": False,
        "examples": [{"attr.tenant": "acme"}],
    }


class NewViewerToken(Body):
    bucket: BucketName = Field(examples=["default"])
    filter: Annotated[
        dict[StrictStr, StrictStr | list[StrictStr]], Field(max_length=100), WithJsonSchema(_filter_schema())
    ] = Field(description="As in the reads of events; whoever has the token cannot widen it.")
    expires_in: Lifetime


class ViewerTokenAnswer(BaseModel):
    token: str
    expires_at: Time


# --- The keys that sign -------------------------------------------------------------------------------------------


class KeySet(BaseModel):
    """RFC 7517."""

    keys: list[dict[str, Any]]


class Rotated(BaseModel):
    kid: str


# --- Usage --------------------------------------------------------------------------------------------------------


class UsageAnswer(BaseModel):
    day: str = Field(examples=["2026-11-20"], json_schema_extra={"format": "date"}, description="UTC.")
    bucket: str | Absent = None
    key: str | Absent = Field(None, description="The key's id.")
    user: str | Absent = Field(None, description="The user's id.")
    name: str | Absent = Field(None, description="What people call it; absent once it is deleted.")
    events: int
    bytes: int
    quota: dict[str, int] | Absent = None

    @classmethod
    def of(cls, line: UsageLine, by: UsageBy) -> UsageAnswer:
        day = format_time(line.day * DAY)[:10]
        quota = dict(line.quota) or None
        if by == "bucket":  # people and programs know buckets by their names
            return cls(day=day, bucket=line.name or line.id, events=line.events, bytes=line.bytes, quota=quota)
        told = cls(day=day, name=line.name, events=line.events, bytes=line.bytes, quota=quota)
        return told.model_copy(update={by: line.id})


class UsageReport(BaseModel):
    by: UsageBy
    usage: list[UsageAnswer]
