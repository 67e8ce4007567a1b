"""The post: bounded, patient for a while, and no burden to anyone at the end."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from headrace.auth.post import Post
from headrace.errors import Invalid, Unavailable
from headrace.ports.notifier import Mail
from tests.unit.auth.fakes_signin import CountedMetrics
from tests.unit.control import HandClock


class FakeNotifier:
    """Says `failing` in turn; hangs while `hanging`; `busy` is the most at once."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.tried: list[str] = []
        self.failing: list[Exception] = []
        self.hanging = False
        self.at_once = self.busy = 0

    async def send(self, mail: Mail) -> None:
        self.tried.append(mail.subject)
        self.at_once += 1
        self.busy = max(self.busy, self.at_once)
        try:
            await asyncio.sleep(1_000 if self.hanging else 0)
        finally:
            self.at_once -= 1
        if self.failing:
            raise self.failing.pop(0)
        self.sent.append(mail.subject)


class Office:
    def __init__(self, **options: float) -> None:
        self.notifier = FakeNotifier()
        self.metrics = CountedMetrics()
        self.clock = HandClock()
        self.post = Post(self.notifier, self.metrics, self.clock, **options)  # type: ignore[arg-type]

    def put(self, *subjects: str) -> None:
        for subject in subjects:
            self.post.put(Mail("ada@example.com", subject, "secret-link"))

    def counted(self, result: str) -> int:
        found: int = self.metrics.counted["mails_sent", result]
        return found

    async def work(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            while await self.post.step():
                pass
            self.clock.seconds += 1


@pytest.fixture
def office() -> Office:
    return Office()


async def test_mails_are_sent_in_order_by_steps(office: Office) -> None:
    office.put("a", "b")
    assert office.notifier.sent == []
    assert await office.post.step() == 2
    assert await office.post.step() == 0
    assert (office.notifier.sent, office.counted("sent")) == (["a", "b"], 2)


async def test_a_few_are_sent_at_once(office: Office) -> None:
    office.put(*(f"{n}" for n in range(50)))
    await office.work(1)
    assert len(office.notifier.sent) == 50
    assert office.notifier.busy == 4


async def test_too_many_are_refused_and_the_log_says_so_without_the_address(office: Office) -> None:
    office = Office(most=3)
    with capture_logs() as logs:
        office.put("a", "b", "c", "d")
    await office.work(1)
    assert (office.notifier.sent, office.counted("refused")) == (["a", "b", "c"], 1)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert "ada@example.com" not in repr(line)
    assert "secret-link" not in repr(line)


async def test_mails_that_are_on_their_way_count_as_waiting() -> None:
    office = Office(most=2, last_seconds=0.01)
    office.notifier.hanging = True
    office.put("a", "b")
    step = asyncio.create_task(office.post.step())
    await asyncio.sleep(0.01)
    office.put("c")
    assert office.counted("refused") == 1
    await office.post.close()
    await step


async def test_what_cannot_be_sent_now_is_tried_again_later_and_later(office: Office) -> None:
    office.notifier.failing = [Unavailable("down")] * 3
    office.put("a")
    times: list[float] = []
    while not office.notifier.sent:
        tried = len(office.notifier.tried)
        await office.work(1)
        times += [office.clock.seconds - 1] * (len(office.notifier.tried) - tried)
    assert times == [0, 1, 11, 71]


async def test_after_five_tries_a_mail_is_given_up(office: Office) -> None:
    office.notifier.failing = [Unavailable("down")] * 9
    office.put("a")
    await office.work(500)
    assert (len(office.notifier.tried), office.counted("failed"), office.counted("sent")) == (5, 1, 0)


async def test_a_mail_that_never_can_be_sent_is_tried_once_and_stops_no_other(office: Office) -> None:
    office.notifier.failing = [Invalid("no such address"), RuntimeError("a defect")]
    office.put("a", "b", "c")
    with capture_logs() as logs:
        await office.work(500)
    assert [line["reason"] for line in logs] == ["no such address", "RuntimeError"]
    assert (office.notifier.tried, office.notifier.sent, office.counted("failed")) == (["a", "b", "c"], ["c"], 2)


async def test_one_that_waits_for_its_next_try_holds_up_no_other(office: Office) -> None:
    office.notifier.failing = [Unavailable("greylisted")]
    office.put("a")
    await office.post.step()
    office.put("b")
    await office.post.step()
    assert office.notifier.sent == ["b"]


async def test_a_draft_is_written_when_its_turn_comes_and_once_only(office: Office) -> None:
    written: list[Exception | None] = [Unavailable("the database is away"), None]

    async def draft() -> Mail:
        failure = written.pop(0)
        if failure is not None:
            raise failure
        return Mail("ada@example.com", "late", "secret-link")

    office.post.put(draft)
    assert len(written) == 2
    await office.post.step()
    office.clock.seconds += 1
    office.notifier.failing = [Unavailable("greylisted")]
    await office.post.step()
    office.clock.seconds += 10
    await office.post.step()
    assert (office.notifier.tried, office.notifier.sent, written) == (["late", "late"], ["late"], [])


async def test_closing_sends_what_waits_even_if_it_is_not_due(office: Office) -> None:
    office.notifier.failing = [Unavailable("down")]
    office.put("a")
    await office.post.step()
    office.put(*(f"{n}" for n in range(10)))
    await office.post.close()
    assert sorted(office.notifier.sent) == sorted(["a", *(f"{n}" for n in range(10))])


async def test_after_closing_nothing_is_taken(office: Office) -> None:
    await office.post.close()
    office.put("a")
    assert (await office.post.step(), office.counted("refused")) == (0, 1)


async def test_closing_waits_for_a_hanging_server_no_longer_than_it_may(office: Office) -> None:
    office = Office(last_seconds=0.05)
    office.notifier.hanging = True
    office.put(*(f"{n}" for n in range(10)))
    step = asyncio.create_task(office.post.step())  # the loop is in the middle of it
    await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        with capture_logs() as logs:
            await office.post.close()
        assert await step == 4
    assert (office.counted("lost"), office.notifier.at_once) == (10, 0)
    assert [line["mails"] for line in logs] == [10]


async def test_what_fails_at_the_very_end_is_counted_as_lost(office: Office) -> None:
    office.notifier.failing = [Unavailable("down")] * 9
    office.put("a", "b")
    await office.post.close()
    assert (len(office.notifier.tried), office.counted("lost")) == (2, 2)
