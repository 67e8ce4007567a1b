"""Trials of what is away: one line of them, until one has worked."""

from __future__ import annotations

import asyncio
import logging

import pytest

from headrace.errors import Overloaded, Unavailable
from headrace.kit.breaker import Breaker, State
from headrace.kit.trials import Trials


class Dependency:
    """Away for as many trials as it has `errors`."""

    def __init__(self, *errors: Exception) -> None:
        self.tried = 0
        self.errors = list(errors)
        self.trials = Trials(self._answer, 0.0)
        self.breaker = Breaker(
            "it", lambda: 0.0, Unavailable, lambda error: type(error) is Unavailable, failures=1,
            on_open=lambda: self.trials.begin(self.breaker),
        )  # fmt: skip

    async def _answer(self) -> None:
        self.tried += 1
        if self.errors:
            raise self.errors.pop(0)

    def fail(self) -> None:
        with pytest.raises(Unavailable), self.breaker.watch():
            raise Unavailable("away")

    async def until_closed(self) -> None:
        while self.breaker.state is not State.CLOSED:  # noqa: ASYNC110 - a breaker has no event
            await asyncio.sleep(0)


async def test_it_is_tried_until_it_answers() -> None:
    dependency = Dependency(Unavailable("away"), Unavailable("still"))
    dependency.fail()
    await dependency.until_closed()
    assert dependency.tried == 3


async def test_what_opens_again_meanwhile_is_not_tried_twice_as_often() -> None:
    dependency = Dependency(*[Unavailable("away")] * 50)
    dependency.fail()
    await asyncio.sleep(0)
    with dependency.breaker.trial():
        pass  # an answer that was on its way closes it
    dependency.fail()
    await dependency.until_closed()
    assert dependency.tried == 51
    await dependency.trials.close()
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_that_is_an_answer_ends_the_trials_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    dependency = Dependency(Overloaded("full"))
    with caplog.at_level(logging.WARNING):
        dependency.fail()
        await dependency.until_closed()
    assert dependency.tried == 1
    assert "it is back, and answers a trial with an error" in caplog.text


async def test_nothing_is_tried_once_they_are_closed() -> None:
    dependency = Dependency(*[Unavailable("away")] * 50)
    dependency.fail()
    await dependency.trials.close()
    assert len(asyncio.all_tasks()) == 1
