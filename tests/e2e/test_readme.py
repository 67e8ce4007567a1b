"""The README's commands work as they stand; only the address, the data directory and the endless tail are changed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server

ROOT = Path(__file__).parents[2]


def blocks(document: str, after: str, before: str) -> list[str]:
    text = (ROOT / document).read_text()
    part = text[text.index(after) : text.index(before)]
    return re.findall(r"^```sh\n(.*?)^```", part, re.DOTALL | re.MULTILINE)


def run(script: str, server: Server) -> str:
    script = (
        script.replace("http://127.0.0.1:8000", server.url)
        .replace("data/admin.key", str(server.data_dir / "admin.key"))
        .replace(".venv/bin/headrace", f"{sys.executable} -m headrace")
        .replace("/var/log/dpkg.log", str(ROOT / "tests/samples/dpkg.log"))
    )
    script = re.sub(r"^(.* -m headrace tail.*)$", r"timeout 3 \1 || [ $? = 124 ]", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HEADRACE_DATA_DIR": str(server.data_dir), "HOME": "/nonexistent"},
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tour_of_the_readme_finds_what_it_sends(server: Server) -> None:
    tour = blocks("README.md", "## Two minutes with curl", "## What it promises")
    assert len(tour) == 8
    output = run("\n".join(tour), server)
    assert '"accepted":2' in output
    assert "card declined" in output
    assert "Invoice 99311 paid" in output
    assert '"facets"' in output
    assert "status installed" in output, "the log file's own lines"
    assert "/set-up?token=" in output
    assert '"type":"add"' in output
    assert re.search(r"^hr_[a-z2-7]+_[a-z2-7]+$", output, re.MULTILINE)


@pytest.mark.parametrize("command", ["./dev run", "./dev test"])
def test_the_two_commands_are_the_ones_that_dev_knows(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()
    assert (
        command.split()[1] in subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    )
