"""A delivery outlives the server: SIGKILL again and again, and every event is there once.

The full size: python -m tests.e2e.cli.killing --events 1000000 --kills 5
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cli.killing import send_through_kills


@pytest.mark.chaos
def test_every_event_is_there_once_after_five_kills_of_the_server(tmp_path: Path) -> None:
    outcome = send_through_kills(tmp_path, events=120_000, kills=5, seed=1)
    assert (outcome.missing, outcome.repeated, outcome.strange) == (0, 0, 0), outcome.said
    assert "going on" in outcome.said
