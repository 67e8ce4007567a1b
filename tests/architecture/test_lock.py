"""What ./dev installs is what uv.lock says, and what pyproject.toml asks for is in it (else: `./dev lock`)."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

import headrace

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
FILES = ["runtime.txt", "postgres.txt", "dev.txt", "bench.txt"]


def requirements(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """{package: (version, SHA-256 hashes)} of a file in requirements/."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        pinned = re.match(r"([\w.-]+)==(\S+)", line)
        assert pinned, f"not a pinned requirement: {line[:80]}"
        found[pinned[1]] = (pinned[2], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)))
    return found


def locked() -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for package in LOCK["package"]:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        found[package["name"]] = (package["version"], frozenset(file["hash"].split(":")[1] for file in files))
    return found


def asked_for(*lists: list[str]) -> set[str]:
    return {re.split(r"[\[=<>;~ ]", text)[0].lower() for each in lists for text in each}


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_has_the_version_and_the_hashes_of_the_lock(name: str) -> None:
    lock = locked()
    assert {package: lock.get(package) for package in requirements(name)} == requirements(name)


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_hashed(name: str) -> None:
    assert [package for package, (_, hashes) in requirements(name).items() if not hashes] == []


@pytest.mark.parametrize("name", FILES)
def test_no_index_of_a_machine_is_in_the_requirements(name: str) -> None:
    assert not re.search(r"index|find-links|trusted-host|://", (ROOT / "requirements" / name).read_text())


def test_everything_that_the_project_depends_on_is_installed_by_dev() -> None:
    runtime = asked_for(PROJECT["project"]["dependencies"])
    assert runtime - requirements("runtime.txt").keys() == set()
    for group, wanted in PROJECT["dependency-groups"].items():
        assert asked_for(wanted) - requirements(f"{group}.txt").keys() == set()


def test_every_extra_has_a_file_of_its_own() -> None:
    for extra, wanted in PROJECT["project"]["optional-dependencies"].items():
        assert asked_for(wanted) - requirements(f"{extra}.txt").keys() == set()


def test_each_file_goes_on_top_of_the_one_before() -> None:
    held = [requirements(name).items() for name in FILES]
    assert all(held[at] <= held[at + 1] for at in range(len(held) - 1))


def test_the_vendored_pip_has_its_checksum() -> None:
    digest, name = (ROOT / "tools" / "pip.sha256").read_text().split()
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest


def test_the_package_and_the_project_have_one_version() -> None:
    assert PROJECT["project"]["version"] == headrace.__version__
