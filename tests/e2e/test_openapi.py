"""schemathesis asks every door for what /openapi.json says that it takes, and for what it says that it does not.

Left to other tests, since no schema can tell a generator how to make them: NDJSON and tar bodies, cursors (they have
a checksum), compressed bodies, histograms of few enough bars, events within the retention, the live tail, which does
not end, tokens of links, and the revoking of keys, since it would find its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import Server

_NOT_GENERATED = {"wait", "Idempotency-Key", "cursor", "Content-Encoding", "Last-Event-ID", "interval"}
_SETTINGS = """
checks.ensure_resource_availability.enabled = false  # an event can be read a moment after its 202

[[operations]]
include-operation-id = "delete_bucket"
checks.positive_data_acceptance.enabled = false  # `confirm` must be the name in the path, which no schema can say

[[operations]]
include-operation-id = ["verify", "reset_password"]
checks.positive_data_acceptance.enabled = false  # a token that nobody made is 410, whatever else is wrong
checks.negative_data_rejection.expected-statuses = ["400", "410", "413", "415", "422"]

[[operations]]
include-operation-id = ["register", "make_user", "change_me"]
checks.positive_data_acceptance.enabled = false  # a password may be a common one, and its limits count bytes

[[operations]]
include-operation-id = "make_viewer_token"
checks.positive_data_acceptance.enabled = false  # a filter that lets everything through is refused

[[operations]]
include-operation-id = ["submit_task", "submit_tasks", "change_task", "make_schedule", "change_schedule"]
checks.positive_data_acceptance.enabled = false  # args must fit the handler of their type, which no schema says

[[operations]]
include-operation-id = ["heartbeat", "complete_task", "fail_task"]
checks.negative_data_rejection.expected-statuses = ["400", "404", "413", "415", "422"]  # more lines than fit
"""
_LIMITS = {"HEADRACE_GUESSES_PER_ACCOUNT": "1000000", "HEADRACE_GUESSES_PER_ADDRESS": "1000000"}
_EXAMPLES = 15  # for each operation, besides those of the coverage phase: 30 s in all
_MOST_SECONDS = 240  # on a machine that does other things, too


def _told(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what cannot be generated."""
    for path in ("/v1/restore", "/v1/buckets/{bucket}/tail"):
        del document["paths"][path]
    del document["paths"]["/v1/keys/{id}"]
    del document["paths"]["/v1/buckets/{bucket}/events"]["post"]["requestBody"]["content"]["application/x-ndjson"]
    del document["paths"]["/v1/tasks/batch"]["post"]["requestBody"]["content"]["application/x-ndjson"]
    del document["components"]["schemas"]["NewTask"]["properties"]["idempotency_key"]  # it would meet its own
    del _body_of(document, "/v1/queues/{queue}/lease")["properties"]["wait"]
    for name in ("NewBucket", "BucketChange"):
        del document["components"]["schemas"][name]["properties"]["retention_days"]
    for operations in document["paths"].values():
        for operation in operations.values():
            if "parameters" in operation:
                operation["parameters"] = [one for one in operation["parameters"] if one["name"] not in _NOT_GENERATED]
    return document


def _body_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Server]:
    """A server at whose doors one may guess as long as one likes."""
    running = Server(tmp_path / "data", env=_LIMITS)
    try:
        yield running.start()
    finally:
        running.close()


def test_every_door_keeps_to_the_document(patient: Server, tmp_path: Path) -> None:
    told = tmp_path / "openapi.json"
    told.write_text(json.dumps(_told(httpx2.get(f"{patient.url}/openapi.json").json())))
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(_SETTINGS)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", str(told),
        "--url", patient.url, "--no-color",
        "--header", f"Authorization: Bearer {patient.key}", "--phases", "examples,coverage,fuzzing,stateful",
        "--generation-allow-x00", "false",
        "--max-examples", str(_EXAMPLES), "--seed", "1", "--request-timeout", "10", "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
