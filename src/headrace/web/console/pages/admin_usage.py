"""How much was sent in the last 30 days, against what may be sent in a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from fastapi import Request
from starlette.responses import Response

from headrace.kit.times import DAY
from headrace.model.account import UsageLine
from headrace.model.principal import Role
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import show
from headrace.web.deps import Has

routes = pages("Administration")
DAYS = 30
_MOST = 100  # rows, the largest first
_NAMES = {"bucket": "Buckets", "key": "API keys", "user": "Users"}

By = Literal["bucket", "key", "user"]


@dataclass(slots=True)
class Row:
    """What one bucket, key or user sent; `days` from the oldest to today."""

    id: str
    name: str | None
    per_day: int | None
    per_second: int | None
    days: list[int] = field(default_factory=lambda: [0] * DAYS)
    events: int = 0
    events_today: int = 0

    @property
    def today(self) -> int:
        return self.days[-1]

    @property
    def bytes(self) -> int:
        return sum(self.days)

    @property
    def bars(self) -> list[tuple[int, int]]:
        """(x, height) of the bars that are not nothing, in a picture of 4 a day by 28."""
        most = max(*self.days, self.per_day or 0, 1)
        return [(4 * day, max(1, round(28 * size / most))) for day, size in enumerate(self.days) if size]

    @property
    def share(self) -> int | None:
        """Percent of today's quota that is used."""
        return None if self.per_day is None else min(100, 100 * self.today // self.per_day)


@routes.get("/admin/usage")
async def usage(request: Request, me: Visitor, services: Has) -> Response:
    by = cast("By", request.query_params.get("by") if request.query_params.get("by") in _NAMES else "bucket")
    today = services.clock.now() // DAY
    rows = in_rows(await services.usage.report(me, by, None, None), today)
    choices = {name: label for name, label in _NAMES.items() if name != "user" or me.role is Role.ADMIN}
    return show(
        request, "admin/usage.html", rows=rows[:_MOST], more=max(0, len(rows) - _MOST), by=by, choices=choices,
        today=today * DAY,
    )  # fmt: skip


def in_rows(lines: Sequence[UsageLine], today: int) -> list[Row]:
    """One for each bucket, key or user; those that sent most first."""
    rows: dict[str, Row] = {}
    for line in lines:
        day = DAYS - 1 - (today - line.day)
        if not 0 <= day < DAYS:
            continue
        row = rows.get(line.id)
        if row is None:
            quota = line.quota
            row = rows[line.id] = Row(line.id, line.name, quota.get("bytes_per_day"), quota.get("events_per_second"))
        row.days[day] += line.bytes
        row.events += line.events
        if line.day == today:
            row.events_today += line.events
    return sorted(rows.values(), key=lambda row: (-row.bytes, row.id))
