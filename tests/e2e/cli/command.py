"""The command line as a person runs it: a process of its own against a running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.server import Server

Run = subprocess.CompletedProcess[bytes]
_READABLE_SECONDS = 120  # on a machine that does much else


def arguments(*words: object) -> list[str]:
    return [sys.executable, "-m", "headrace", *map(str, words)]


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Without the settings of whoever runs the tests; times without a zone are UTC."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**inherited, "HEADRACE_DATA_DIR": str(data_dir), "TZ": "UTC", "COLUMNS": "200", **more}


class Cli:
    """`headrace …` on the data directory of a server; it finds address and key by itself."""

    def __init__(self, server: Server, bucket: str = "default") -> None:
        self.server = server
        self.bucket = bucket

    def __call__(self, *words: object, stdin: bytes = b"", expect: int = 0, **more: str) -> Run:
        done = subprocess.run(
            arguments(*words), input=stdin, capture_output=True, timeout=120, env=self.env(**more), check=False
        )
        assert done.returncode == expect, f"{done.returncode}: {words}\n{done.stdout[-999:]!r}\n{done.stderr[-999:]!r}"
        assert b"Traceback" not in done.stderr
        return done

    def env(self, **more: str) -> dict[str, str]:
        settings = {"HEADRACE_BUCKET": self.bucket, "HEADRACE_DATABASE_URL": self.server.database_url, **more}
        return environment(self.server.data_dir, **settings)

    def send(self, *words: object, stdin: bytes = b"", expect: int = 0) -> str:
        """What it said at the end."""
        return self("send", *words, stdin=stdin, expect=expect).stderr.decode()

    def events(self, *words: object, count: int | None = None) -> list[dict[str, Any]]:
        """All events (exactly `count`), oldest first, once all that was acknowledged can be read."""
        self.settle()
        lines = self("export", *words).stdout.splitlines()
        assert count is None or len(lines) == count
        return [json.loads(line) for line in lines]

    def settle(self) -> None:
        """Wait until nothing that was acknowledged is still on its way to the store."""
        deadline = time.monotonic() + _READABLE_SECONDS
        with self.server.client() as client:
            while client.get("/v1/status").json()["queue"]["depth"]:
                assert time.monotonic() < deadline, "the queue is not drained"
                time.sleep(0.05)
