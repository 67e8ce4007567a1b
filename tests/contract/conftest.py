"""Where the suites of the control data run: one entry for each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.adapters.sql.database import ControlDatabase

CONTROL_URLS = {"sqlite": "sqlite:///{folder}/control.db"}
"""URL of an empty control database, by engine; `{folder}` is one of the test's own."""


@pytest.fixture(params=CONTROL_URLS)
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url: str = CONTROL_URLS[request.param]
    return url.format(folder=tmp_path)


@pytest.fixture
async def control(control_url: str) -> AsyncIterator[ControlDatabase]:
    database = await ControlDatabase.open(control_url)
    yield database
    await database.close()
