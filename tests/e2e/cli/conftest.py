"""The command line on a bucket of its own of the shared server."""

from __future__ import annotations

import pytest

from tests.e2e.cli.command import Cli
from tests.e2e.conftest import TestBucket
from tests.support.server import Server


@pytest.fixture
def cli(shared_server: Server, bucket: TestBucket) -> Cli:
    return Cli(shared_server, bucket.name)
