"""The digest: a day of a bucket as a page of text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Forbidden, HeadraceError, NotFound
from headrace.kit.times import HOUR, from_datetime
from headrace.model.event import LEVELS, Party, StoredEvent
from headrace.model.principal import USER, BucketView, Principal, Role
from headrace.model.query import EventFilter, FacetValue, GroupField, HistogramBar
from headrace.query.digest import DIGEST_TYPE, DigestTask
from tests.support.events import stored_event
from tests.unit.query.fakes import BUCKET, FakeEvents
from tests.unit.query.house import ADA, STRANGER, WRITER, Around, HeldAttempt, fields_of

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NEXT_MORNING = from_datetime(datetime(2026, 11, 29, 7, tzinfo=UTC))


class Grouping(FakeEvents):
    """By level, and the facets of a digest."""

    def _matching(self, bucket_id: int, filter: EventFilter) -> list[StoredEvent]:
        found = super()._matching(bucket_id, replace(filter, min_level=None))
        return [event for event in found if filter.min_level is None or event.level >= filter.min_level]

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        assert by == "level"
        groups: dict[int, Counter[str]] = {}
        for event in self._matching(bucket_id, filter):
            groups.setdefault(event.time // interval * interval, Counter())[LEVELS[event.level]] += 1
        return [HistogramBar(time, sum(of.values()), tuple(of.items())) for time, of in sorted(groups.items())]

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        found = self._matching(bucket_id, filter)
        values = {"service": [e.service for e in found], "action": [e.action for e in found],
                  "actor": [e.actor.id if e.actor else None for e in found]}  # fmt: skip
        return {
            field: [FacetValue(value, count) for value, count in Counter(filter_none(values[field])).most_common(limit)]
            for field in fields
        }


def filter_none(values: Sequence[str | None]) -> list[str]:
    return [value for value in values if value is not None]


class Desk(Around):
    def __init__(self, path: Path, events: Sequence[StoredEvent] = ()) -> None:
        super().__init__(path, clock=MemoryClock(NEXT_MORNING))
        self.events = Grouping(events)
        self.digest = DigestTask(self.events, self.views, self.clock)

    async def run(self, **args: Any) -> dict[str, Any]:
        attempt = HeldAttempt(self.task(DIGEST_TYPE, {"bucket": "app", **args}))
        result: Any = await self.digest.run(attempt, {"bucket": "app", **args})
        return result

    async def text(self, **args: Any) -> str:
        return str((await self.run(**args))["text"])


def at(hours: float, seq: int, **fields: Any) -> StoredEvent:
    """So many hours after midnight (UTC) of the 28th."""
    return stored_event(seq, from_datetime(NOON) + round((hours - 12) * HOUR), seq, **fields)


BUSY_DAY = [
    *(at(-3, seq) for seq in range(1, 51)),
    *(at(9.5, seq, service="billing", action="invoice.paid", actor=Party("ada")) for seq in range(100, 160)),
    *(at(17, seq, service="api", level=4, message="Payment failed:\ntraceback") for seq in range(200, 230)),
    *(at(17.2, seq, level=5, message="Out of memory") for seq in range(230, 240)),
]

WHOLE_PAGE = """\
app, Saturday 2026-11-28 (UTC)
==============================

100 events, 100 % more than the day before (50).
40 of them errors; the day before 0.

Levels
  critical                               10 #####
  error                                  30 ###############
  info                                   60 ##############################

Busiest hours
  09:00 to 09:59                         60 ##############################
  17:00 to 17:59                         40 ####################

Services
  billing                                60  60 %
  api                                    30  30 %

Actions
  invoice.paid                           60  60 %

Actors
  ada                                    60  60 %

Errors
       30x  Payment failed:
       10x  Out of memory
"""


async def test_a_day_on_one_page(tmp_path: Path) -> None:
    result = await Desk(tmp_path, BUSY_DAY).run()
    assert result == {"text": WHOLE_PAGE, "events": 100}


async def test_a_day_that_was_asked_for(tmp_path: Path) -> None:
    text = await Desk(tmp_path, BUSY_DAY).text(day="2026-11-27")
    assert "Friday 2026-11-27" in text
    assert "50 events, none the day before." in text


async def test_a_sentence_when_nothing_happened(tmp_path: Path) -> None:
    result = await Desk(tmp_path, BUSY_DAY).run(day="2026-11-29")
    assert result["events"] == 0
    assert "Nothing happened on this day. The day before had 100 events." in result["text"]


async def test_the_day_is_one_on_the_clocks_of_the_time_zone(tmp_path: Path) -> None:
    """Midnight of the 28th in Kathmandu is 18:15 UTC of the 27th."""
    desk = Desk(tmp_path, [at(-5.8, 1), at(-5.7, 2), at(18.2, 3), at(18.3, 4)])
    result = await desk.run(timezone="Asia/Kathmandu", day="2026-11-28")
    assert result["events"] == 2
    assert "00:00 to 00:59" in result["text"]
    assert "23:00 to 23:59" in result["text"]


async def test_yesterday_is_that_of_the_time_zone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert "2026-11-27 (Pacific/Honolulu)" in await desk.text(timezone="Pacific/Honolulu")
    await desk.clock.advance(6 * 3600)
    assert "2026-11-29 (Pacific/Kiritimati)" in await desk.text(timezone="Pacific/Kiritimati")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
async def test_a_day_is_as_long_as_the_clocks_make_it(tmp_path: Path, day: str, hours: int) -> None:
    begin = from_datetime(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")))
    events = [stored_event(hour, begin + hour * HOUR, hour) for hour in range(30)]
    assert (await Desk(tmp_path, events).run(day=day, timezone="Europe/Berlin"))["events"] == hours


async def test_what_strangers_wrote_can_neither_hide_nor_colour_anything(tmp_path: Path) -> None:
    nasty = "\x1b[31mred\u202egnp.exe\x00" + "長" * 200
    events = [at(8, 1, level=4, message=nasty, service=nasty, action=nasty, actor=Party(nasty))]
    text = await Desk(tmp_path, events).text()
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    widths = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in text.splitlines()]
    assert max(widths) <= 80


async def test_an_error_without_a_message_is_shown_by_its_action(tmp_path: Path) -> None:
    nameless = [at(8, 1, level=4, message=None, action="job.failed"), at(8, 2, level=4, message="\n")]
    text = await Desk(tmp_path, nameless).text()
    assert "1x  job.failed" in text
    assert "1x  (no message)" in text


async def test_of_very_many_errors_it_says_which_it_looked_at(tmp_path: Path) -> None:
    text = await Desk(tmp_path, [at(8, seq, level=4, message="no") for seq in range(600)]).text()
    assert "Errors, of the newest 500" in text
    assert "600 of them errors" in text


async def test_a_narrowed_view_is_told_of_its_part(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    view = BucketView(BUCKET.id, EventFilter(levels=(5,)))
    desk.people[ADA.id] = Principal(ADA.id, USER, "ada", Role.USER, view=view)
    result = await desk.run()
    assert result["events"] == 10
    assert "Of the part of this bucket" in result["text"]
    assert "Payment" not in result["text"]


@pytest.mark.parametrize("now", [None, STRANGER, WRITER])
async def test_rights_are_those_of_the_owner_when_it_runs(tmp_path: Path, now: Principal | None) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    del desk.people[ADA.id]
    if now is not None:
        desk.people[ADA.id] = now
    with pytest.raises((NotFound, Forbidden)):
        await desk.run()


@pytest.mark.parametrize(("principal", "error"), [(STRANGER, NotFound), (WRITER, Forbidden)])
async def test_only_who_may_read_the_bucket_may_submit_one(
    tmp_path: Path, principal: Principal, error: type[HeadraceError]
) -> None:
    permit = Desk(tmp_path).digest.kind.permit
    assert permit is not None
    await permit(ADA, b'{"bucket": "app"}')
    with pytest.raises(error):
        await permit(principal, b'{"bucket": "app"}')


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ("{}", "args.bucket"),
        ('{"bucket": "app", "days": 2}', "args.days"),
        ('{"bucket": "app", "day": "yesterday"}', "args.day"),
        ('{"bucket": "app", "day": "2026-02-30"}', "args.day"),
        ('{"bucket": "app", "day": "20261128"}', "args.day"),
        ('{"bucket": "app", "day": "0001-01-01"}', "args.day"),
        ('{"bucket": "app", "timezone": "Mars/Olympus"}', "args.timezone"),
        ('{"bucket": "app", "timezone": "../../etc/passwd"}', "args.timezone"),
        ('{"bucket": "app", "timezone": "Europe"}', "args.timezone"),
        ('{"bucket": "app", "timezone": ""}', "args.timezone"),
    ],
)
def test_args_that_are_not_good_are_refused(tmp_path: Path, args: str, field: str) -> None:
    assert fields_of(Desk(tmp_path).digest.check(args.encode())) == [field]
