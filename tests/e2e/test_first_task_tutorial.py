"""The tutorial of tasks works as it stands: only the address and the data directory are changed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_readme import ROOT
from tests.support.server import Server

PAGE = ROOT / "docs/tutorial/first-task.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", env={"PYTHONPATH": str(tmp_path)}).start()
    yield server
    server.close()


def steps() -> list[str]:
    """The blocks of the page, those of the shell and of the server alike, in their order."""
    return re.findall(r"^```(?:sh|sh-server)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def run(script: str, server: Server) -> str:
    script = script.replace("http://127.0.0.1:8000", server.url)
    script = script.replace("data/admin.key", str(server.data_dir / "admin.key"))
    script = script.replace("examples/", f"{ROOT}/examples/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=110,
        cwd=server.data_dir.parent, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tutorial_adds_handles_leases_and_schedules(server: Server) -> None:
    blocks = steps()
    (restart,) = [place for place, block in enumerate(blocks) if "./dev run" in block]
    first = run("\n".join(blocks[:restart]), server)
    assert '"status":"succeeded"' in first
    assert '"result":15' in first
    assert "args.a" in first, "what is wrong with the args is told by field"
    for state in ("task.queued", "task.running", "task.succeeded"):
        assert f'"action":"{state}"' in first

    modules = dict(re.findall(r"(HEADRACE_\w+)=(\S+)", blocks[restart]))
    server.stop()
    server.start(env=modules)
    second = run("\n".join([blocks[0], *blocks[restart + 1 :]]), server)
    assert '"sent_to":"ada@example.com"' in second
    assert '"IS ANYBODY THERE"' in second
    (made, listed) = [json.loads(line) for line in second.splitlines() if "every morning" in line]
    assert made["next_at"]
    assert [one["name"] for one in listed["schedules"] if one["owner"] == made["owner"]] == ["every morning"]
