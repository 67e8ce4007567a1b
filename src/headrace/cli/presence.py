"""What `headrace doctor` finds out about a server: who holds the data directory, who answers on the port."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from headrace.cli.checks import Finding, Grade
from headrace.cli.client import Place, call, connect
from headrace.cli.failure import Failure


def data_directory(directory: Path) -> Iterator[Finding]:
    """Whether it can be used, by whom it is held, and whether its key is kept from others."""
    if not directory.exists():
        yield Finding(Grade.OK, "data directory", f"{directory} will be made at the first start")
        return
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        advice = "change its owner, or choose another with --data-dir"
        yield Finding(Grade.FAIL, "data directory", f"{directory} is not writable", advice)
        return
    holder = holder_of(directory)
    use = f"served by process {holder}" if holder else "not in use"
    yield Finding(Grade.OK, "data directory", f"{directory}, {use}")
    key = directory / "admin.key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Finding(Grade.FAIL, "admin.key", "others may read it", f"chmod 600 {key}")


def holder_of(directory: Path) -> str | None:
    """The process id of the server that holds the directory (`?` when it cannot be told), or None."""
    try:
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(handle, 32, 0).decode(errors="replace").strip() or "?"
    else:
        return None
    finally:
        os.close(handle)


def server(place: Place, host: str, port: int) -> Iterator[Finding]:
    """The running server, or else whether the port of a next one is free."""
    try:
        found = place.find()
        with connect(found, read_seconds=10) as client:
            status = call(client, "GET", "/v1/status").json()
    except Failure as failure:
        if place.url:
            yield Finding(Grade.FAIL, "server", failure.detail, "start it, or mend --url and --key")
            return
        yield _port(host, port)
        return
    ready = status.get("ready", False)
    text = f"{found.url} answers, version {status.get('version')}, {'ready' if ready else 'not ready'}"
    advice = "" if ready else f"see {found.url}/health/ready"
    yield Finding(Grade.OK if ready else Grade.FAIL, "server", text, advice)


def _port(host: str, port: int) -> Finding:
    if port == 0:
        return Finding(Grade.OK, "port", "a free one will be chosen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            advice = f"{_who_answers(host, port)}; stop it, or choose another with --port or HEADRACE_PORT"
            return Finding(Grade.FAIL, "port", f"{host}:{port}: {exc.strerror}", advice)
    return Finding(Grade.OK, "port", f"{host}:{port} is free; no server runs")


def _who_answers(host: str, port: int) -> str:
    import httpx2

    try:
        answer = httpx2.get(f"http://{host}:{port}/health/live", timeout=2, trust_env=False)
    except httpx2.HTTPError:
        return "something else listens there, and does not speak HTTP"
    if answer.is_success and "x-request-id" in answer.headers:
        return "another Headrace answers there"
    return f"{answer.headers.get('server', 'an HTTP server')} answers there"
