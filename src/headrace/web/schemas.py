"""The shapes of JSON bodies and answers. Bodies are checked by these; answers of the hot reads are only described."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr
from pydantic.json_schema import SkipJsonSchema

from headrace.kit.times import format_time
from headrace.model.bucket import Bucket, BucketStats
from headrace.web.params import MOMENT, UUID

Absent = SkipJsonSchema[None]
"""May be left out of an answer; never null."""

Level = Literal["trace", "debug", "info", "warning", "error", "critical"]
Outcome = Literal["success", "failure", "unknown"]


def whole(value: object) -> object:
    """`20.0` is an integer to JSON Schema; `true` and `"20"` are none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


BucketName = Annotated[StrictStr, Field(pattern=r"^[a-z0-9_][a-z0-9._-]{0,62}$", examples=["billing"])]
Description = Annotated[StrictStr, Field(max_length=1_000, examples=["Who was billed for what"])]
RetentionDays = Annotated[StrictInt, Field(ge=1, le=36_500, examples=[90]), BeforeValidator(whole)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-20T12:00:00.123000Z"])]


Epoch = Annotated[StrictInt, Field(ge=0, le=2**53), BeforeValidator(whole)]
Id = Annotated[StrictStr, Field(pattern=UUID, examples=["01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"])]


class Body(BaseModel):
    """What clients send: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class NewBucket(Body):
    name: BucketName
    description: Description = ""
    retention_days: RetentionDays | None = Field(None, description="Older events are deleted. Absent: kept for ever.")


Limit = Annotated[StrictInt, Field(ge=1, le=2**53 - 1), BeforeValidator(whole)]


class QuotaBody(Body):
    events_per_second: Limit | None = None
    bytes_per_day: Limit | None = None


class BucketChange(Body):
    """Only what is given changes."""

    description: Description = ""
    retention_days: RetentionDays | None = Field(None, description="`null` keeps for ever.")
    quota: QuotaBody | None = Field(None, description="What is left out of it stays; `null` takes a limit away.")


class QuotaAnswer(BaseModel):
    events_per_second: int | Absent = None
    bytes_per_day: int | Absent = None


class BucketAnswer(BaseModel):
    name: str
    description: str
    retention_days: int | Absent = None
    quota: QuotaAnswer | Absent = None
    created_at: Time
    events: int | Absent = None
    oldest: Time | Absent = None
    newest: Time | Absent = None

    @classmethod
    def of(cls, bucket: Bucket, stats: BucketStats | None = None) -> BucketAnswer:
        quota = QuotaAnswer(
            events_per_second=bucket.quota.events_per_second, bytes_per_day=bucket.quota.bytes_per_day
        )
        return cls(
            name=bucket.name,
            description=bucket.description,
            retention_days=bucket.retention_days,
            quota=None if quota == QuotaAnswer() else quota,
            created_at=format_time(bucket.created_at),
            events=stats.events if stats else None,
            oldest=_time(stats.oldest) if stats else None,
            newest=_time(stats.newest) if stats else None,
        )


def _time(us: int | None) -> str | None:
    return None if us is None else format_time(us)


class BucketList(BaseModel):
    buckets: list[BucketAnswer]


class Party(BaseModel):
    id: str = Field(examples=["user-1842"])
    type: str | Absent = None
    name: str | Absent = None


class Event(BaseModel):
    """One event as it is stored. Absent fields are left out."""

    id: str = Field(examples=["01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"], json_schema_extra={"format": "uuid"})
    time: Time
    level: Level
    service: str | Absent = None
    action: str | Absent = Field(None, examples=["invoice.paid"])
    actor: Party | Absent = None
    target: Party | Absent = None
    outcome: Outcome | Absent = None
    message: str | Absent = Field(None, examples=["Invoice 99311 paid"])
    attributes: dict[str, Any] | Absent = Field(None, examples=[{"amount": "129.00", "ip": "203.0.113.7"}])
    trace_id: str | Absent = None
    span_id: str | Absent = None
    bucket: str = Field(examples=["default"])
    received_at: Time


class EventPage(BaseModel):
    events: list[Event]
    next_cursor: str | Absent = Field(None, description="Absent on the last page.")


class Bar(BaseModel):
    time: Time
    count: int
    by: dict[str, int] | Absent = None


class HistogramAnswer(BaseModel):
    interval: str = Field(examples=["1m"])
    buckets: list[Bar]


class Value(BaseModel):
    value: str
    count: int


class FacetsAnswer(BaseModel):
    facets: dict[str, list[Value]]


class DeadLetterAnswer(BaseModel):
    id: str = Field(json_schema_extra={"format": "uuid"})
    bucket: str | Absent = None
    reason: str
    received_at: Time
    payload: str


class DeadLetterPage(BaseModel):
    dead_letters: list[DeadLetterAnswer]
    next_cursor: str | Absent = None


class ReplayBody(Body):
    """Give one of the two."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["ids"]}, {"required": ["since"]}]})

    ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)] = []
    since: Annotated[StrictStr, Field(pattern=f"^{MOMENT}$")] | Epoch = Field(
        "", description="All that were received at this time or later: RFC 3339 or an epoch number."
    )


class Replayed(BaseModel):
    replayed: int


class Restored(BaseModel):
    files: int
    bytes: int


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    parts: dict[str, str] = Field(examples=[{"server": "ok", "queue": "ok", "disk": "ok"}])


class QueueStatus(BaseModel):
    depth: int = Field(description="Acknowledged events that cannot be queried yet.")
    oldest_seconds: float
    blocks: int
    bytes: int


class SpoolStatus(BaseModel):
    events: int
    oldest_seconds: float
    blocks: int
    bytes: int


class StoreStatus(BaseModel):
    events: int
    bytes: int


class ReplicaStatus(BaseModel):
    reachable: bool
    lag_seconds: float | Absent = None


class Status(BaseModel):
    profile: str = Field(examples=["embedded"])
    version: str
    guarantee: str | Absent = Field(None, description="What 202 means here, in a sentence.")
    uptime_seconds: float
    ready: bool
    queue: QueueStatus | Absent = None
    spool: SpoolStatus | Absent = Field(None, description="What waits on this machine while the queue is away.")
    store: StoreStatus | Absent = None
    replicas: dict[str, ReplicaStatus] | Absent = Field(None, description="Of the event store, by name.")
    dead_letters: int | Absent = None
    disk: dict[str, int] | Absent = None
    problems: dict[str, str] | Absent = Field(None, description="What could not be asked, and why, by part.")


class ItemErrorAnswer(BaseModel):
    index: int | Absent = Field(None, description="Counts the items of a batch, blank lines left out.")
    field: str | Absent = None
    code: str
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["/problems/invalid-event"])
    title: str = Field(examples=["Invalid event"])
    status: int
    detail: str
    errors: list[ItemErrorAnswer] | Absent = None
    parts: dict[str, str] | Absent = None
