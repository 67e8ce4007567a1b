"""The same door as FastAPI and pydantic would have it, without keys and without storage."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict


class Party(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    type: str | None = None
    name: str | None = None


class Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: UUID | None = None
    dedup_key: str | None = None
    time: datetime | None = None
    level: Literal["trace", "debug", "info", "warning", "error", "critical"] = "info"
    service: str | None = None
    action: str | None = None
    actor: Party | str | None = None
    target: Party | str | None = None
    outcome: Literal["success", "failure", "unknown"] | None = None
    message: str | None = None
    attributes: dict[str, Any] | None = None
    trace_id: str | None = None
    span_id: str | None = None


class Accepted(BaseModel):
    id: UUID


app = FastAPI()


@app.post("/v1/buckets/{bucket}/events", status_code=202)
async def accept(bucket: str, event: Event) -> Accepted:  # noqa: ARG001 - of the path
    return Accepted(id=event.id or uuid4())
