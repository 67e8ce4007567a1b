"""The shapes of answers about tasks, queues and schedules. They are only described: tasks/render makes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from headrace.model.schedule import CatchUp
from headrace.model.task import Status
from headrace.web.schemas import Absent, Time

Uuid = Field(examples=["01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"], json_schema_extra={"format": "uuid"})


class RetryAnswer(BaseModel):
    first: float
    factor: float
    longest: float


class Task(BaseModel):
    """A task as it is now. Absent fields are left out."""

    id: str = Uuid
    type: str = Field(examples=["add"])
    status: Status
    args: dict[str, Any] = Field(examples=[{"a": 5, "b": 10}])
    result: Any = Field(None, description="Any JSON; there once it succeeded, if it has one.", examples=[15])
    error: str | Absent = Field(None, description="Of the last attempt.")
    attempt: int = Field(description="Which one runs or ran last; 0 before the first.")
    max_attempts: int
    queue: str = Field(examples=["default"])
    priority: int
    owner: str = Field(description="Who answers for it, by id.")
    progress: Any = Field(None, description="Any JSON, as its handler said it last.", examples=[0.5])
    cancelling: bool | Absent = Field(None, description="It was asked to stop while it runs.")
    created_at: Time
    run_at: Time | Absent = None
    started_at: Time | Absent = None
    finished_at: Time | Absent = None
    timeout: float | Absent = None
    retry: RetryAnswer | Absent = None
    concurrency_key: str | Absent = None
    callback_url: str | Absent = None


class LeasedTask(Task):
    """A task, with what only whoever leased it knows."""

    lease: str = Field(description="Send it with all that you say of the task.", examples=["4711"])
    leased_until: Time | Absent = None


class TaskPage(BaseModel):
    tasks: list[Task]
    next_cursor: str | Absent = Field(None, description="Absent on the last page.")


class Leased(BaseModel):
    tasks: list[LeasedTask] = Field(description="The highest priority first.")


class Held(BaseModel):
    leased_until: Time
    cancelling: bool | Absent = Field(None, description="The task is asked to stop: stop, and say that it failed.")


class QueueAnswer(BaseModel):
    name: str = Field(examples=["default"])
    paused: bool
    depth: int = Field(description="Tasks that could be begun now.")
    scheduled: int
    running: int
    oldest_seconds: float | Absent = Field(None, description="For how long the oldest queued task has been there.")
    concurrency: int | Absent = None
    rate_limit: float | Absent = None


class QueueList(BaseModel):
    queues: list[QueueAnswer]


class Schedule(BaseModel):
    """A task that is made again and again. Absent fields are left out."""

    id: str = Uuid
    name: str = Field(examples=["nightly"])
    cron: str = Field(examples=["30 3 * * *"])
    timezone: str = Field(examples=["Europe/Berlin"])
    task: dict[str, Any] = Field(examples=[{"type": "add", "args": {"a": 5, "b": 10}}])
    owner: str
    jitter: float
    catch_up: CatchUp
    enabled: bool
    created_at: Time
    next_at: Time | Absent = None
    last_at: Time | Absent = None
    last_task: str | Absent = Field(None, description="The id of the task that it made last.")


class ScheduleDetail(Schedule):
    next: list[Time] = Field(description="When it fires next.")


class ScheduleList(BaseModel):
    schedules: list[Schedule]
