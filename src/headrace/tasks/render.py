"""Tasks as JSON for clients."""

from __future__ import annotations

import msgspec

from headrace.kit.ids import format_id
from headrace.kit.times import format_time
from headrace.model.schedule import Schedule
from headrace.model.task import NewTask, Status, Task, TaskQueue

_encode = msgspec.json.Encoder().encode


def task_json(task: Task, *, leased: bool = False) -> bytes:
    """One task; with the number of its lease only for whoever has just got it."""
    return _encode(task_dict(task, leased=leased))


def task_dict(task: Task, *, leased: bool = False) -> dict[str, object]:
    """Absent fields are left out. Values that are JSON already are msgspec.Raw."""
    out: dict[str, object] = {
        "id": format_id(task.id),
        "type": task.type,
        "status": task.status.value,
        "args": msgspec.Raw(task.args),
        "queue": task.queue,
        "priority": task.priority,
        "owner": task.owner,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "created_at": format_time(task.created_at),
    }
    for name in ("run_at", "started_at", "finished_at"):
        if (time := getattr(task, name)) is not None:
            out[name] = format_time(time)
    for name in ("error", "timeout", "concurrency_key", "callback_url", "retry"):
        if (value := getattr(task, name)) is not None:
            out[name] = value
    for name in ("result", "progress"):
        if (raw := getattr(task, name)) is not None:
            out[name] = msgspec.Raw(raw)
    if task.cancelling:
        out["cancelling"] = True
    if leased:
        out["lease"] = str(task.lease)
        if task.leased_until is not None:
            out["leased_until"] = format_time(task.leased_until)
    return out


def as_task(new: NewTask, now: int) -> Task:
    """What a task is that was added a moment ago."""
    waits = new.run_at is not None and new.run_at > now
    return Task(
        id=new.id,
        type=new.type,
        owner=new.owner,
        created_at=new.created_at,
        status=Status.SCHEDULED if waits else Status.QUEUED,
        args=new.args,
        queue=new.queue,
        priority=new.priority,
        attempt=0,
        max_attempts=new.max_attempts,
        run_at=new.run_at,
        timeout=new.timeout,
        retry=new.retry,
        concurrency_key=new.concurrency_key,
        callback_url=new.callback_url,
    )


def queue_dict(queue: TaskQueue, now: int) -> dict[str, object]:
    """`oldest_seconds`: for how long the oldest queued task has been there."""
    out: dict[str, object] = {
        "name": queue.name,
        "paused": queue.paused,
        "depth": queue.queued,
        "scheduled": queue.scheduled,
        "running": queue.running,
    }
    if queue.concurrency is not None:
        out["concurrency"] = queue.concurrency
    if queue.rate_limit is not None:
        out["rate_limit"] = queue.rate_limit
    if queue.oldest is not None:
        out["oldest_seconds"] = max(0, now - queue.oldest) / 1_000_000
    return out


def schedule_dict(schedule: Schedule) -> dict[str, object]:
    """Absent fields are left out."""
    out: dict[str, object] = {
        "id": format_id(schedule.id),
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "task": msgspec.Raw(schedule.task),
        "owner": schedule.owner,
        "jitter": schedule.jitter,
        "catch_up": schedule.catch_up.value,
        "enabled": schedule.enabled,
        "created_at": format_time(schedule.created_at),
    }
    for name, time in (("next_at", schedule.next_at), ("last_at", schedule.last_at)):
        if time is not None:
            out[name] = format_time(time)
    if schedule.last_task is not None:
        out["last_task"] = format_id(schedule.last_task)
    return out
