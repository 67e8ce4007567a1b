"""A breaker whose trials are somebody's own business, and failures that took long."""

from __future__ import annotations

import pytest

from headrace.errors import Unavailable
from headrace.kit.breaker import Breaker, State


class Dependency:
    """It fails for as long as it is away; time is what we say."""

    def __init__(self, *, tells: bool = True) -> None:
        self.now = 0.0
        self.opened = 0
        self.away = True
        self.takes = 0.0
        self.breaker = Breaker(
            "it", lambda: self.now, Unavailable, lambda error: isinstance(error, OSError),
            failures=3, seconds=2.0, waited=4.0, on_open=self._opens if tells else None,
        )  # fmt: skip

    def _opens(self) -> None:
        self.opened += 1

    def use(self, *, trial: bool = False) -> None:
        with self.breaker.trial() if trial else self.breaker.watch():
            self.now += self.takes
            if self.away:
                raise OSError("away")


def fail(dependency: Dependency, times: int, *, trial: bool = False) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="away"):
            dependency.use(trial=trial)


def test_one_failure_that_took_long_opens_it_and_short_ones_must_be_several() -> None:
    quick, slow = Dependency(), Dependency()
    slow.takes = 4.0
    fail(quick, 2)
    fail(slow, 1)
    assert quick.breaker.state is State.CLOSED
    assert slow.breaker.state is State.OPEN


def test_everybody_is_refused_until_a_trial_has_worked() -> None:
    dependency = Dependency()
    fail(dependency, 3)
    dependency.now += 100
    dependency.away = False
    with pytest.raises(Unavailable, match="left alone"):
        dependency.use()
    dependency.use(trial=True)
    dependency.use()
    assert dependency.breaker.state is State.CLOSED


def test_who_does_the_trials_is_told_once_each_time_it_opens() -> None:
    dependency = Dependency()
    fail(dependency, 3)
    fail(dependency, 2, trial=True)
    assert dependency.opened == 1
    dependency.away = False
    dependency.use(trial=True)
    dependency.away = True
    fail(dependency, 3)
    assert dependency.opened == 2


def test_without_anybody_told_a_call_is_the_trial() -> None:
    dependency = Dependency(tells=False)
    fail(dependency, 3)
    with pytest.raises(Unavailable):
        dependency.use()
    dependency.now += 2.0
    dependency.away = False
    dependency.use()
    assert dependency.breaker.state is State.CLOSED
