"""schemathesis asks every door for what /openapi.json says that it takes, and for what it says that it does not.

Left to other tests, since no schema can tell a generator how to make them: NDJSON and tar bodies, cursors (they have
a checksum), compressed bodies, histograms of few enough bars, events within the retention, and the live tail, which
does not end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import Server

_NOT_GENERATED = {"cursor", "Content-Encoding", "Last-Event-ID", "interval"}
_SETTINGS = """
checks.ensure_resource_availability.enabled = false  # an event can be read a moment after its 202

[[operations]]
include-operation-id = "delete_bucket"
checks.positive_data_acceptance.enabled = false  # `confirm` must be the name in the path, which no schema can say
"""
_EXAMPLES = 15  # for each operation, besides those of the coverage phase: 30 s in all
_MOST_SECONDS = 120


def _told(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what cannot be generated."""
    for path in ("/v1/restore", "/v1/buckets/{bucket}/tail"):
        del document["paths"][path]
    del document["paths"]["/v1/buckets/{bucket}/events"]["post"]["requestBody"]["content"]["application/x-ndjson"]
    for name in ("NewBucket", "BucketChange"):
        del document["components"]["schemas"][name]["properties"]["retention_days"]
    for operations in document["paths"].values():
        for operation in operations.values():
            if "parameters" in operation:
                operation["parameters"] = [one for one in operation["parameters"] if one["name"] not in _NOT_GENERATED]
    return document


def test_every_door_keeps_to_the_document(server: Server, tmp_path: Path) -> None:
    told = tmp_path / "openapi.json"
    told.write_text(json.dumps(_told(httpx2.get(f"{server.url}/openapi.json").json())))
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(_SETTINGS)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", str(told),
        "--url", server.url, "--no-color",
        "--header", f"Authorization: Bearer {server.key}", "--phases", "examples,coverage,fuzzing,stateful",
        "--generation-allow-x00", "false",
        "--max-examples", str(_EXAMPLES), "--seed", "1", "--request-timeout", "10", "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
