"""./dev answers before anything is installed. That it sets up from nothing is proved by cloning (CONTRIBUTING.md)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / "dev"
COMMANDS = sorted(set(re.findall(r"^  (\w+)\) ", DEV.read_text(), re.MULTILINE)))


def dev(*arguments: str, path: str = os.environ["PATH"], at: Path = DEV) -> subprocess.CompletedProcess[str]:
    command = [str(at), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={"PATH": path}, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a clone as ./dev looks at before it installs, so that this one's .venv is left alone."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.txt").touch()
    (tmp_path / "dev").write_bytes(DEV.read_bytes())
    (tmp_path / "dev").chmod(0o755)
    return tmp_path


def path_without_python(folder: Path, **programs: str) -> str:
    """A PATH with the few tools that ./dev uses, and these programs (name=shell script)."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cat", "cksum", "id"):
        program = shutil.which(name)
        assert program
        (tools / name).symlink_to(program)
    for name, script in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    return str(tools)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_command(command: str) -> None:
    assert re.search(rf"^  {command}\b", dev("help").stdout, re.MULTILINE)


def test_an_unknown_command_is_refused_and_named() -> None:
    answer = dev("tset")
    assert answer.returncode == 2
    assert "there is no command tset" in answer.stderr


def test_a_machine_without_python_is_told_what_to_install(clone: Path) -> None:
    answer = dev("run", path=path_without_python(clone), at=clone / "dev")
    assert answer.returncode == 1
    assert answer.stderr == "dev: no python3 found. On Debian or Ubuntu: apt-get install python3\n"


def test_a_python_that_is_too_old_is_named_with_its_version(clone: Path) -> None:
    old = 'case $1 in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac'
    answer = dev("run", path=path_without_python(clone, python3=old), at=clone / "dev")
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer; this is Python 3.9.2 at" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_ci_runs_the_two_commands_that_a_contributor_runs() -> None:
    assert re.findall(r"^\./dev \w+$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE) == ["./dev lint", "./dev test"]
