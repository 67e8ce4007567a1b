"""Logs: JSON lines in ECS form (Elastic Common Schema) for machines, coloured text on a terminal. One handler for all.

Every room logs through the standard library or structlog; both end here, with the request id of the context.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal, TextIO

import ecs_logging
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Form = Literal["auto", "json", "text"]

_SECRET = re.compile(r"(hr_[A-Za-z0-9]+_)[A-Za-z0-9_-]{8,}|(?i:(bearer ))[A-Za-z0-9._~+/=-]{8,}")
_ecs = ecs_logging.StructlogFormatter(ensure_ascii=False)
_NOISY = ("uvicorn.access", "asyncio", "alembic.runtime.plugins")


def configure(form: Form = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error by default). Calling it again replaces what was set before."""
    stream = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(as_text, stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _formatter(as_text: bool, colours: bool) -> logging.Formatter:
    last: list[Processor]
    if as_text:
        time = structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False)
        # The pretty traces show local variables, and those hold credentials.
        plain = structlog.dev.plain_traceback
        last = [_plain_names, time, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    else:
        last = [structlog.processors.format_exc_info, _ecs_names, _as_ecs]
    return _Masked(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]


class _Masked(structlog.stdlib.ProcessorFormatter):
    """The last look at every line: whatever put a credential into it, it does not leave."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRET.sub(lambda found: f"{found[1] or found[2]}***", super().format(record))


def _as_ecs(logger: WrappedLogger, name: str, event: EventDict) -> str:
    return _ecs(logger, name, dict(event))


def _ecs_names(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["log.logger"] = event.pop("logger", "")
    event["log.level"] = event.pop("level", "info")
    event["service.name"] = "headrace"
    event.pop("color_message", None)  # uvicorn's own
    return event


def _plain_names(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("http.request.id", None)
    event.pop("color_message", None)
    return event
