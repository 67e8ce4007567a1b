from __future__ import annotations

import pytest

from headrace.kit.backoff import backoff


@pytest.mark.parametrize(("attempt", "whole"), [(1, 2.0), (2, 6.0), (3, 18.0), (4, 20.0), (5000, 20.0)])
def test_it_grows_up_to_the_longest_and_leaves_out_at_most_half(attempt: int, whole: float) -> None:
    waits = [backoff(attempt, 2.0, 3.0, 20.0) for _ in range(200)]
    assert whole / 2 <= min(waits)
    assert max(waits) <= whole
    assert max(waits) - min(waits) > whole / 4, "tasks that failed together do not come back together"
