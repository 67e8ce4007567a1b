"""The one loop that every worker is: step, and after an error wait and step again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from headrace.errors import Unavailable

_log = structlog.get_logger("headrace.workers")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between steps, and after errors (doubling up to `longest`)."""

    idle: float = 0.0
    after_error: float = 0.1
    longest: float = 5.0


async def run(name: str, step: Callable[[], Awaitable[int]], stopping: asyncio.Event, pace: Pace) -> None:
    """Call `step` until `stopping` is set. A step that did something is followed by another at once."""
    delay = pace.after_error
    while not stopping.is_set():
        try:
            done = await step()
            delay = pace.after_error
            await _pause(stopping, 0.0 if done else pace.idle)
        except Unavailable as exc:
            _log.warning("step failed, trying again", worker=name, reason=exc.detail, seconds=delay)
            await _pause(stopping, delay)
            delay = min(delay * 2, pace.longest)
        except Exception:  # noqa: BLE001
            # A defect of ours must not end the loop: what it moves is durable, and the next step may succeed.
            _log.exception("step failed, trying again", worker=name, seconds=delay)
            await _pause(stopping, delay)
            delay = min(delay * 2, pace.longest)


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass
