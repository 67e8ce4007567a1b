from __future__ import annotations

from headrace.kit.times import MINUTE, SECOND, format_time, parse_time
from headrace.model.schedule import CatchUp, Schedule
from headrace.tasks.firing import MOST_MISSED, jitter_of, times_to_make_up

NOON = parse_time("2026-11-29T12:00:00Z")


def schedule(catch_up: CatchUp, cron: str = "*/10 * * * *", jitter: float = 0.0) -> Schedule:
    return Schedule(
        id=7, name="often", owner="ada", cron=cron, timezone="UTC", task=b"{}", created_at=0, catch_up=catch_up,
        jitter=jitter, next_at=NOON,
    )  # fmt: skip


def made_up(catch_up: CatchUp, minutes_late: float) -> list[str]:
    now = NOON + round(minutes_late * MINUTE)
    return [format_time(time)[11:16] for time in times_to_make_up(schedule(catch_up), now)]


def test_before_its_time_nothing_fires() -> None:
    for catch_up in CatchUp:
        assert made_up(catch_up, -0.1) == []


def test_on_time_every_policy_fires_once() -> None:
    for catch_up in CatchUp:
        assert made_up(catch_up, 0) == ["12:00"]
        assert made_up(catch_up, 0.9) == ["12:00"]


def test_what_was_missed_is_made_up_for_as_the_schedule_says() -> None:
    assert made_up(CatchUp.ALL, 35) == ["12:00", "12:10", "12:20", "12:30"]
    assert made_up(CatchUp.LAST, 35) == ["12:30"]
    assert made_up(CatchUp.NONE, 35) == []
    assert made_up(CatchUp.NONE, 30.5) == ["12:30"], "this one is on time"


def test_of_very_many_the_newest_hundred_are_made_up_for() -> None:
    late = NOON + 30 * 24 * 60 * MINUTE
    times = times_to_make_up(schedule(CatchUp.ALL, "* * * * *"), late)
    assert len(times) == MOST_MISSED
    assert times[-1] == late


def test_jitter_is_the_same_for_whoever_fires_and_another_for_each_firing() -> None:
    one = schedule(CatchUp.LAST, jitter=60.0)
    jitters = {jitter_of(one, NOON + minute * MINUTE) for minute in range(50)}
    assert jitter_of(one, NOON) == jitter_of(one, NOON)
    assert len(jitters) == 50
    assert all(0 <= jitter <= 60 * SECOND for jitter in jitters)
