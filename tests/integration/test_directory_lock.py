"""One server to a directory, and none that has to be unlocked by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.adapters.system.directory_lock import DirectoryLock
from headrace.errors import DirectoryLocked, Unusable

_HOLDER = """
import sys, time
from pathlib import Path
from headrace.adapters.system.directory_lock import DirectoryLock
with DirectoryLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(directory: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the lock for so long."""
    command = [sys.executable, "-c", _HOLDER, str(directory), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_server_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    try:
        with pytest.raises(DirectoryLocked, match=f"process {process.pid}"), DirectoryLock(tmp_path, wait=0.1):
            pass
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    process.kill()
    process.wait()
    with DirectoryLock(tmp_path, wait=0):
        pass


def test_a_second_server_waits_for_the_first_to_end(tmp_path: Path) -> None:
    process = holder(tmp_path, 0.3)
    with DirectoryLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    process.wait()


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "a" / "data"):
        assert (tmp_path / "a" / "data").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(Unusable, match="cannot be used"), DirectoryLock(tmp_path / "data"):
        pass
