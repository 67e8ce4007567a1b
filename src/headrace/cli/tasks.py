"""`headrace tasks`: submit, look, wait, cancel, try again."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from headrace.cli.client import DataDir, Key, Url, call, connect, place_of
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.people import segment, table
from headrace.cli.terminal import printable

if TYPE_CHECKING:
    import httpx2

app = typer.Typer(no_args_is_help=True, help="Submit tasks, watch them, cancel and retry them.")
Id: TypeAlias = Annotated[str, typer.Argument(help="The task's id.")]

_FINISHED = ("succeeded", "failed", "dead", "cancelled")
_WAIT_SECONDS = 30  # of one question: less than the server's longest, and than a proxy's patience
_MOST_A_PAGE = 1_000


@app.command("submit")
def submit(
    type: Annotated[str, typer.Argument(help="What to do, such as add.")],
    args: Annotated[str, typer.Argument(help='A JSON object, such as \'{"a": 5, "b": 10}\'. - reads it.')] = "{}",
    queue: Annotated[str | None, typer.Option(help="The queue. Default: default.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="9 comes first. Default: 5.")] = None,
    delay: Annotated[str | None, typer.Option(help="Not before so long from now: 10s, 5m, 1h.")] = None,
    run_at: Annotated[str | None, typer.Option(help="Not before: 2027-01-31T00:00:00Z.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again is the same task.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result in place of the id.")]
    = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Submit a task and print its id, once it is durable: headrace tasks submit add '{"a": 5, "b": 10}' --wait"""
    import msgspec

    named = {
        "type": type, "queue": queue, "priority": priority, "delay": delay, "run_at": run_at,
        "idempotency_key": idempotency_key,
    }  # fmt: skip
    body = {name: value for name, value in named.items() if value is not None}
    sent = msgspec.json.encode({**body, "args": msgspec.Raw(_object(args))})
    with connect(place_of(url, key, data_dir).find()) as client:
        made = call(client, "POST", "/v1/tasks", content=sent, headers={"content-type": "application/json"})
        made_id = str(_fields(made.content)["id"])
        if wait:
            _show_end(_ended(client, made_id, None))
        else:
            typer.echo(made_id)


@app.command("get")
def get(id: Id, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Print a task as JSON, as it is now."""
    with connect(place_of(url, key, data_dir).find()) as client:
        _print(call(client, "GET", _path(id)).content)


@app.command("list")
def list_tasks(
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="Any of these. May be repeated.")] = None,
    type: Annotated[list[str] | None, typer.Option("--type", "-t", help="Any of these. May be repeated.")] = None,
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", help="Any of these. May be repeated.")] = None,
    owner: Annotated[str | None, typer.Option(help="Of this user, by id.")] = None,
    text: Annotated[list[str] | None, typer.Option("--text", help="In type, args, result or error.")] = None,
    since: Annotated[str | None, typer.Option(help="Made since: an age such as 24h, or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Made before.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    output: Annotated[str, typer.Option("--output", "-o", help="table or ndjson.")] = "table",
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """The tasks that you may see, the newest first."""
    if output not in ("table", "ndjson"):
        raise Failure(f"--output {output!r} is none of table, ndjson.", ExitCode.USAGE)
    asked = {"status": status, "type": type, "queue": queue, "owner": owner, "q": text, "since": since, "until": until}
    params: list[tuple[str, str]] = []
    for name, given in asked.items():
        params += [(name, value) for value in ([given] if isinstance(given, str) else given or [])]
    with connect(place_of(url, key, data_dir).find()) as client:
        found = _found(client, params, limit)
    if output == "ndjson":
        for task in found:
            _print(task)
        return
    table(("id", "status", "type", "queue", "attempt", "created", "error"), [_row(_fields(task)) for task in found])


@app.command("wait")
def wait(
    id: Id,
    seconds: Annotated[float | None, typer.Option(min=0, help="At most so long. Default: for ever.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Wait for the end of a task and print its result as JSON. Ends with 1 when it did not succeed."""
    with connect(place_of(url, key, data_dir).find()) as client:
        _show_end(_ended(client, id, seconds))


@app.command("cancel")
def cancel(id: Id, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Cancel a task that waits, at once; ask a running one to stop."""
    with connect(place_of(url, key, data_dir).find()) as client:
        task = _fields(call(client, "POST", f"{_path(id)}/cancel").content)
    stopping = "is asked to stop" if task.get("cancelling") else f"is {task['status']}"
    typer.echo(printable(f"task {task['id']} {stopping}"))


@app.command("retry")
def retry(id: Id, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Run a task once more that failed, is dead or was cancelled."""
    with connect(place_of(url, key, data_dir).find()) as client:
        task = _fields(call(client, "POST", f"{_path(id)}/retry").content)
    typer.echo(printable(f"task {task['id']} is {task['status']}"))


def _object(text: str) -> bytes:
    """The JSON as it was given. Raises Failure when it is no object."""
    import msgspec

    raw = sys.stdin.buffer.read() if text == "-" else text.encode("utf-8", "surrogateescape")
    try:
        msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Failure(
            f"the args are no JSON object ({exc}): write for example '{{\"a\": 5, \"b\": 10}}'.", ExitCode.USAGE
        ) from exc
    return raw.strip()


def _ended(client: httpx2.Client, id: str, seconds: float | None) -> bytes:
    """The task at its end. Raises Failure when that takes longer."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _WAIT_SECONDS if until is None else min(_WAIT_SECONDS, max(0.0, until - time.monotonic()))
        task = call(client, "GET", _path(id), params={"wait": f"{left:.3f}"}).content
        status = _fields(task)["status"]
        if status in _FINISHED:
            return task
        if until is not None and time.monotonic() >= until:
            raise Failure(f"task {id} is {status} after {seconds:g} s: ask again with `headrace tasks wait`.")


def _show_end(task: bytes) -> None:
    import msgspec

    end = _fields(task)
    if end["status"] != "succeeded":
        said = f": {end['error']}" if "error" in end else ""
        raise Failure(printable(f"task {end['id']} is {end['status']}{said}"))
    result = msgspec.json.decode(task, type=dict[str, msgspec.Raw]).get("result")
    if result is not None:
        _print(bytes(result))


def _found(client: httpx2.Client, params: list[tuple[str, str]], limit: int) -> list[bytes]:
    """Page by page, each task as the server wrote it."""
    import msgspec

    from headrace.cli.answers import TaskPage

    found: list[bytes] = []
    cursor: str | None = ""
    while len(found) < limit and cursor is not None:
        asked = [*params, ("limit", str(min(limit - len(found), _MOST_A_PAGE)))]
        answer = call(client, "GET", "/v1/tasks", params=asked + ([("cursor", cursor)] if cursor else []))
        page = msgspec.json.decode(answer.content, type=TaskPage)
        found += [bytes(task) for task in page.tasks]
        cursor = page.next_cursor
    return found


def _fields(task: bytes) -> dict[str, Any]:
    """Those of a task that people read; what may hold numbers of any length is left out."""
    import msgspec

    fields = msgspec.json.decode(task, type=dict[str, msgspec.Raw])
    plain = {name: raw for name, raw in fields.items() if name not in ("args", "result", "progress")}
    return {name: msgspec.json.decode(raw) for name, raw in plain.items()}


def _row(task: dict[str, Any]) -> tuple[object, ...]:
    attempt = f"{task['attempt']}/{task['max_attempts']}"
    created, error = task["created_at"][:19], task.get("error", "")[:80]
    return task["id"], task["status"], task["type"], task["queue"], attempt, created, error


def _print(task: bytes) -> None:
    sys.stdout.buffer.write(task.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
    sys.stdout.buffer.flush()


def _path(id: str) -> str:
    return f"/v1/tasks/{segment(id)}"
