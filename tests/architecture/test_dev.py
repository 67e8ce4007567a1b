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


@pytest.fixture
def ready_clone(clone: Path) -> Path:
    """A clone whose .venv is there already, and whose tests pass."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (clone / "requirements" / "dev.txt").touch()
    (python.parents[1] / ".installed-dev").write_text(f"4294967295 0 {clone}\n")
    (clone / ".dev").mkdir()
    return clone


def path_with_apt(folder: Path, apt: str, **programs: str) -> str:
    """A PATH with this apt-get, and a sudo that asks for no password."""
    sudo = '[ "$1" != -n ] || shift; exec "$@"'
    path = path_without_python(folder, **{"apt-get": apt, "sudo": sudo, **programs})
    for name in ("env", "mkdir", "sleep", "true"):
        program = shutil.which(name)
        assert program
        (Path(path) / name).symlink_to(program)
    return path


def test_chromium_is_installed_once_and_without_what_it_recommends(ready_clone: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = path_with_apt(tmp_path, f'echo "$*" >>{asked}; : >{tmp_path}/bin/chromium; chmod +x {tmp_path}/bin/chromium')
    (tmp_path / "bin" / "chmod").symlink_to(str(shutil.which("chmod")))
    for _ in range(2):
        answer = dev("test", path=path, at=ready_clone / "dev")
        assert answer.returncode == 0, answer.stderr
    assert asked.read_text().splitlines() == ["update --quiet", "install --yes --no-install-recommends chromium"]


def test_without_apt_the_tests_run_and_it_is_said_what_they_will_skip(ready_clone: Path, tmp_path: Path) -> None:
    answer = dev("test", path=path_with_apt(tmp_path, "exit 100"), at=ready_clone / "dev")
    assert answer.returncode == 0, answer.stderr
    assert "their tests will be skipped" in answer.stderr
    assert "apt-get install --yes chromium" in answer.stderr


def test_with_chromium_there_apt_is_left_alone(ready_clone: Path, tmp_path: Path) -> None:
    path = path_with_apt(tmp_path, f"touch {tmp_path}/asked", chromium="exit 0")
    assert dev("test", path=path, at=ready_clone / "dev").stderr == ""
    assert not (tmp_path / "asked").exists()


def runs_of(clone: Path, folder: Path, *arguments: str, fails: str = "never") -> list[list[str]]:
    """Of pytest: its profile and arguments. `fails`: a word in the arguments of a run that does."""
    asked = folder / "runs"
    run = f'echo "profile=${{HEADRACE_TEST_PROFILE:-}} $*" >>{asked}; case "$*" in *{fails}*) exit 3 ;; esac'
    (clone / ".venv" / "bin" / "python").write_text(f"#!/bin/sh\n{run}\n")
    answer = dev("test", *arguments, path=path_with_apt(folder, "exit 0", chromium="exit 0"), at=clone / "dev")
    assert answer.returncode == (0 if fails == "never" else 3)
    return [line.split() for line in asked.read_text().splitlines()]


def test_everything_runs_and_then_a_part_once_more_on_postgresql(ready_clone: Path, tmp_path: Path) -> None:
    first, second = runs_of(ready_clone, tmp_path)
    paths = [word for word in second if word.startswith("tests/")]
    assert (first[0], second[0]) == ("profile=", "profile=postgres")
    assert not [word for word in first if word.startswith("tests/")]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert "--junit-xml=reports/junit.xml" in first
    assert "--junit-xml=reports/junit-postgres.xml" in second


def test_who_names_tests_gets_these_alone(ready_clone: Path, tmp_path: Path) -> None:
    (only,) = runs_of(ready_clone, tmp_path, "tests/unit", "-x")
    assert only[0] == "profile="
    assert only[-2:] == ["tests/unit", "-x"]


def test_after_a_failure_no_second_run_has_the_last_word(ready_clone: Path, tmp_path: Path) -> None:
    assert len(runs_of(ready_clone, tmp_path, fails="junit.xml")) == 1


def test_ci_runs_the_two_commands_that_a_contributor_runs() -> None:
    assert re.findall(r"^\./dev \w+$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE) == ["./dev lint", "./dev test"]
