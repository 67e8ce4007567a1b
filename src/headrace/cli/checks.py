"""What `headrace doctor` looks at. Each check says what it found, and what to do where that is not good."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

_MIB = 1024 * 1024
_LIBRARIES = ("apsw", "duckdb", "pyarrow", "msgspec", "fastapi", "uvicorn", "uvloop", "httptools", "sqlalchemy")
_PINNED = re.compile(r"^([\w-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)
_WAL_RESET_FIXED = (3, 51, 3)  # https://sqlite.org/wal.html#walresetbug
_WAL_RESET_BACKPORTS = ((3, 50, 7), (3, 44, 6))
_REMOTE_FILE_SYSTEMS = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs"))
_FSYNCS = 30
_SLOW_FSYNC = 0.020  # a group commit waits for one: 50 commits a second is where single events begin to crawl
_UNREAL_FSYNC = 0.00002  # no medium is durable in 20 µs


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is what to do; empty when all is well."""

    grade: Grade
    subject: str
    found: str
    advice: str = ""


def python() -> Finding:
    """The interpreter."""
    found = f"{platform.python_version()} ({platform.python_implementation()}) on {platform.machine()}"
    if tuple(sys.version_info) < (3, 11):  # run from a checkout, nothing else checks it
        return Finding(Grade.FAIL, "python", found, "install Python 3.11 or newer")
    return Finding(Grade.OK, "python", found)


def libraries() -> Iterator[Finding]:
    """The versions of what we build on, against those that this Headrace was tested with."""
    wanted = dict(_PINNED.findall("\n".join(metadata.requires("headrace") or ())))
    for name in _LIBRARIES:
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(Grade.FAIL, name, "not installed", f"install it: pip install {name}=={wanted.get(name, '')}")
            continue
        if name in wanted and found != wanted[name]:
            yield Finding(Grade.WARN, name, found, f"Headrace was tested with {wanted[name]}; ./dev run installs that")
        else:
            yield Finding(Grade.OK, name, found)


def sqlite() -> Iterator[Finding]:
    """The two SQLite libraries: the queue's must not have the WAL-reset bug, the other one is not used with a WAL."""
    from headrace.adapters.sqlite.library import version

    own = version()
    if _has_wal_reset_bug(own):
        advice = "this SQLite can corrupt the queue: install apsw 3.51.3 or newer"
        yield Finding(Grade.FAIL, "sqlite (queue)", f"{own} through apsw", advice)
    else:
        yield Finding(Grade.OK, "sqlite (queue)", f"{own} through apsw, free of the WAL-reset bug")
    system = sqlite3.sqlite_version
    known = "has the WAL-reset bug, used without a WAL" if _has_wal_reset_bug(system) else "free of the WAL-reset bug"
    yield Finding(Grade.OK, "sqlite (control)", f"{system} of Python: {known}")


def _has_wal_reset_bug(version: str) -> bool:
    number = tuple(int(part) for part in version.split(".")[:3])
    if number >= _WAL_RESET_FIXED:
        return False
    return not any(number[:2] == fixed[:2] and number >= fixed for fixed in _WAL_RESET_BACKPORTS)


def disk(directory: Path, min_free_bytes: int) -> Iterator[Finding]:
    """Room, kind and honesty of the disk under the data directory."""
    place = _nearest(directory)
    free = shutil.disk_usage(place).free
    text = f"{free / _MIB:,.0f} MiB free at {directory}"
    if free < min_free_bytes:
        yield Finding(Grade.FAIL, "disk space", text, f"make room: under {min_free_bytes // _MIB} MiB it is not ready")
    elif free < 4 * min_free_bytes:
        yield Finding(Grade.WARN, "disk space", text, f"it stops taking events at {min_free_bytes // _MIB} MiB")
    else:
        yield Finding(Grade.OK, "disk space", text)
    yield _file_system(place)
    yield _fsync(place)


def _nearest(directory: Path) -> Path:
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    return place


def _file_system(place: Path) -> Finding:
    kind = _kind_of(place)
    if kind in _REMOTE_FILE_SYSTEMS:
        advice = "locks and fsync cannot be relied on over a network: put --data-dir on a local disk"
        return Finding(Grade.FAIL, "file system", kind, advice)
    if kind in ("tmpfs", "ramfs"):
        return Finding(Grade.WARN, "file system", kind, "memory, not a disk: a reboot loses everything")
    return Finding(Grade.OK, "file system", kind)


def _kind_of(place: Path) -> str:
    """The type of the file system with the longest mount point above `place`."""
    best, kind = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return kind
    for mount in mounts:
        _, point, name, *_ = mount.split(" ")
        if len(point) >= len(best) and place.is_relative_to(point.replace("\\040", " ")):
            best, kind = point, name
    return kind


def _fsync(place: Path) -> Finding:
    try:
        times = _fsync_seconds(place)
    except OSError as exc:
        return Finding(Grade.FAIL, "fsync", f"{place}: {exc.strerror}", "make it writable for this user")
    median, longest = statistics.median(times), max(times)
    text = f"median {median * 1_000:.2f} ms, longest of {_FSYNCS} {longest * 1_000:.2f} ms"
    if median > _SLOW_FSYNC:
        return Finding(Grade.WARN, "fsync", text, "a slow disk: acknowledgements wait for it; an SSD takes 0.1–2 ms")
    if median < _UNREAL_FSYNC:
        return Finding(Grade.WARN, "fsync", text, "faster than any disk: this storage does not write through")
    return Finding(Grade.OK, "fsync", text)


def _fsync_seconds(place: Path) -> list[float]:
    times = []
    with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as file:
        for _ in range(_FSYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def open_files() -> Finding:
    """How many connections and files one process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4_096:
        advice = f"each connection needs one: raise it with `ulimit -n {min(hard, 65_536)}` or LimitNOFILE="
        return Finding(Grade.WARN, "open files", f"limit {soft:,}", advice)
    return Finding(Grade.OK, "open files", f"limit {soft:,}")


def clock() -> Finding:
    """Whether the time can be right, and whether the kernel says that something keeps it right."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    if not 2026 <= time.gmtime().tm_year < 2262:
        return Finding(Grade.FAIL, "clock", now, "set the clock: events are ordered, and deleted, by time")
    if _is_unsynchronized():
        return Finding(Grade.WARN, "clock", f"{now}, not synchronized", "run chrony or systemd-timesyncd")
    return Finding(Grade.OK, "clock", now)


def _is_unsynchronized() -> bool:
    """What adjtimex(2) answers when asked without changing anything."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))) == 5  # TIME_ERROR
    except (OSError, AttributeError):
        return False
