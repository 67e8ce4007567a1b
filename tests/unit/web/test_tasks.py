"""Tasks over HTTP: submit, look, change, stop, try again, lease, end. What they say is kept as it was sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.web import fakes
from tests.unit.web.fakes import assert_problem, body_of, raw, scope_of
from tests.unit.web.task_site import HOLDER, TaskSite, task_site

NOWHERE = "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"
DIGITS = "9" * 5_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TaskSite]:
    async with task_site(tmp_path) as made:
        yield made


# --- Submit -------------------------------------------------------------------------------------------------------


async def test_a_task_is_answered_whole_with_what_it_was_not_told(site: TaskSite) -> None:
    answer = await site.ask("POST", "/v1/tasks", json={"type": "add", "args": {"a": 5, "b": 10}})
    assert answer.status_code == 202
    task = answer.json()
    assert task["status"] == "queued"
    assert (task["queue"], task["priority"], task["attempt"], task["max_attempts"]) == ("default", 5, 0, 5)
    assert (task["args"], task["owner"]) == ({"a": 5, "b": 10}, "admin")
    assert None not in task.values()
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}")).json() == task


@pytest.mark.parametrize("args", [b'{"n": %s}' % DIGITS.encode(), b'{"b" : 1.10, "a":-0.0,"b":1e999}'])
async def test_args_come_back_byte_for_byte(site: TaskSite, args: bytes) -> None:
    answer = await site.ask("POST", "/v1/tasks", content=b'{"type": "t", "args": ' + args + b"}")
    assert answer.status_code == 202
    assert b'"args":' + args in answer.content
    assert b'"args":' + args in (await site.ask("GET", "/v1/tasks")).content


async def test_the_same_key_and_body_is_200_with_the_first_task_and_another_body_422(site: TaskSite) -> None:
    body = {"type": "t", "idempotency_key": "once"}
    first = await site.made(body)
    again = await site.ask("POST", "/v1/tasks", json=body)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    other = await site.ask("POST", "/v1/tasks", json={**body, "priority": 1})
    assert_problem(other, 422, "idempotency-key-reused")


async def test_the_header_counts_where_the_body_names_no_key(site: TaskSite) -> None:
    head = {"idempotency-key": "from the header"}
    first = await site.made({"type": "t"}, headers=head)
    assert (await site.ask("POST", "/v1/tasks", json={"type": "t"}, headers=head)).json()["id"] == first["id"]
    named = await site.made({"type": "t", "idempotency_key": "of the body"}, headers=head)
    assert named["id"] != first["id"]
    assert_problem(await site.ask("POST", "/v1/tasks", json={"type": "t"}, headers={"idempotency-key": ""}), 400,
                   "malformed-request")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None), (b"", 400, None), (b'{"type": "\xff"}', 400, None), (b"[" * 200_000, 422, None),
        (b'{"type": "t", "priority": NaN}', 400, None), (b'{"type": "t", "args": {"x": ' + b"[" * 50_000, 400, None),
        (b"[]", 422, None), (b"5", 422, None), (b"null", 422, None), (b"{}", 422, None),
        (b'{"type": "t", "colour": "red"}', 422, "colour"), (b'{"type": "a b"}', 422, "type"),
        (b'{"type": "t", "priority": 10}', 422, "priority"),
        (b'{"type": "t", "priority": ' + b"9" * 5_000 + b"}", 422, None),
        (b'{"type": "t", "args": []}', 422, "args"), (b'{"type": "t", "args": null}', 422, "args"),
        (b'{"type": "t", "args": {"a": "\\u0000"}}', 422, None),
        (b'{"type": "t", "args": {"a": "\\ud800"}}', 422, None),
        (b'{"type": "add", "args": {"b": 1}}', 422, "args.a"), (b'{"type": "t", "queue": "UP"}', 422, "queue"),
        (b'{"type": "t", "delay": 1e999}', 422, None), (b'{"type": "t", "delay": -1}', 422, "delay"),
        (b'{"type": "t", "run_at": "soon"}', 422, "run_at"), (b'{"type": "t", "max_attempts": 0}', 422, "max_attempts"),
        (b'{"type": "t", "run_at": 1, "delay": 1}', 422, "run_at"), (b'{"type": "t", "timeout": 0}', 422, "timeout"),
        (b'{"type": "t", "idempotency_key": ""}', 422, "idempotency_key"),
        (b'{"type": "t", "retry": {"x": 1}}', 422, "retry.x"),
        (b'{"type": "t", "concurrency_key": "' + b"k" * 257 + b'"}', 422, "concurrency_key"),
        (b'{"type": "t", "callback_url": "ftp://x"}', 422, "callback_url"),
        (b'{"type": "t", "args": {"a": "' + b"x" * 270_000 + b'"}}', 422, "args"),
        (b'{"type": "t", "args": {"a": "' + b"x" * 300_000 + b'"}}', 413, None),
        (b'{"type": "t", ' + b", ".join(b'"k%d": 1' % n for n in range(10_000)) + b"}", 422, "k0"),
    ],
)  # fmt: skip
async def test_a_bad_task_is_refused_and_says_where(
    site: TaskSite, body: bytes, status: int, field: str | None
) -> None:
    answer = await site.ask("POST", "/v1/tasks", content=body)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    if field is not None:
        assert field in [item.get("field") for item in answer.json()["errors"]]
    assert (await site.ask("GET", "/v1/tasks")).json() == {"tasks": []}


async def test_the_write_doors_take_what_they_say_and_nothing_else(site: TaskSite) -> None:
    lines = {"content-type": "application/x-ndjson"}
    assert_problem(await site.ask("POST", "/v1/tasks", content=b"{}", headers=lines), 415, "unsupported-media-type")
    assert_problem(await site.ask("POST", "/v1/tasks?ids=true", json={"type": "t"}), 400, "malformed-request")
    assert_problem(await site.ask("POST", "/v1/tasks/batch?ack=stored", json=[{"type": "t"}]), 400, "malformed-request")
    assert_problem(await site.ask("POST", "/v1/tasks/batch", json={"type": "t"}), 400, "invalid-json")
    assert_problem(await site.ask("POST", "/v1/tasks", json={"type": "t"}, key=None), 401, "unauthenticated")
    for method in ("GET", "PUT", "DELETE"):
        answer = await site.ask(method, "/v1/tasks/batch")
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "OPTIONS, POST"
    assert "POST" in (await site.ask("PUT", "/v1/tasks")).headers["allow"]


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/batch"])
async def test_viewer_tokens_submit_nothing(site: TaskSite, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.KEYS, "Bearer viewer", HOLDER)
    assert_problem(await site.ask("POST", path, key="viewer", json=[{"type": "t"}]), 403, "viewer-token")


async def test_each_task_of_a_batch_is_taken_or_refused_for_itself(site: TaskSite) -> None:
    lines = b'{"type": "a"}\n\nbroken\n{"type": "b", "x": 1}\n{"type": "add"}\n{"type": "c"}\n'
    answer = await site.ask("POST", "/v1/tasks/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["rejected"], len(told["ids"])) == (2, 3, 2)
    errors = [(error["index"], error.get("field")) for error in told["errors"]]
    assert errors == [(1, None), (2, "x"), (3, "args.a"), (3, "args.b")]
    array = [{"type": "a"}, {"type": "b", "priority": "high"}]
    told = (await site.ask("POST", "/v1/tasks/batch?ids=false", json=array)).json()
    assert (told["accepted"], told["rejected"]) == (1, 1)
    assert "ids" not in told
    assert_problem(await site.ask("POST", "/v1/tasks/batch", json=[{}]), 422, "invalid-task")
    assert_problem(await site.ask("POST", "/v1/tasks/batch", json=[]), 422, "empty-body")


async def test_a_million_tiny_items_are_refused_quickly(site: TaskSite) -> None:
    head = {"content-type": "application/x-ndjson"}
    began = time.monotonic()
    assert (await site.ask("POST", "/v1/tasks/batch", content=b"{}\n" * 1_000_000, headers=head)).status_code == 413
    assert (await site.ask("POST", "/v1/tasks/batch", content=b"[" + b"{}," * 999_999 + b"{}]")).status_code == 413
    assert time.monotonic() - began < 20


async def test_submissions_are_counted_by_their_routes(site: TaskSite) -> None:
    await site.made()
    await site.ask("POST", "/v1/tasks/batch", json=[{"type": "t"}])
    assert ("/v1/tasks", "POST", "202") in site.metrics.requests
    assert ("/v1/tasks/batch", "POST", "202") in site.metrics.requests


# --- Look ---------------------------------------------------------------------------------------------------------


async def test_a_list_is_filtered_and_comes_in_pages(site: TaskSite) -> None:
    made = [await site.made({"type": f"t{n}", "queue": f"q{n % 2}",
    "args": {"name": f"invoice {n}"}}) for n in range(5)]
    await site.ask("POST", f"/v1/tasks/{made[0]['id']}/cancel")

    async def types(query: str) -> list[str]:
        answer = await site.ask("GET", f"/v1/tasks?{query}")
        assert answer.status_code == 200, answer.text
        return [task["type"] for task in answer.json()["tasks"]]

    assert await types("") == ["t4", "t3", "t2", "t1", "t0"]
    assert await types("status=cancelled&status=dead") == ["t0"]
    assert await types("type=t1&type=t3") == ["t3", "t1"]
    assert await types("queue=q0&status=queued") == ["t4", "t2"]
    assert await types("q=INVOICE&q=3") == ["t3"]
    assert await types("since=1h&until=2127-01-01T00:00:00Z&limit=1") == ["t4"]
    assert await types("owner=admin&offset=4") == ["t0"]
    assert await types("owner=nobody") == []
    first = (await site.ask("GET", "/v1/tasks?limit=3")).json()
    last = (await site.ask("GET", f"/v1/tasks?limit=3&cursor={first['next_cursor']}")).json()
    assert [task["type"] for task in last["tasks"]] == ["t1", "t0"]
    assert "next_cursor" not in last


@pytest.mark.parametrize(
    "query",
    ["colour=red", "status=lost", "limit=0", "limit=1001", "limit=x", "offset=10001", "cursor=x", "cursor=%00",
    "since=soon",
     "since=", "owner=a&owner=b", "q=", "type=%00", "q=%ff", "limit=1&limit=2", "until=9999-99-99T00:00:00Z",
     "q=a&" * 17 + "q=b", "type=" + "x" * 257, "since=1e999"],
)  # fmt: skip
async def test_a_bad_question_is_400(site: TaskSite, query: str) -> None:
    assert (await site.ask("GET", f"/v1/tasks?{query}")).status_code == 400


async def test_a_wait_ends_with_the_task(site: TaskSite) -> None:
    task = await site.leased()
    waiting = asyncio.create_task(site.ask("GET", f"/v1/tasks/{task['id']}?wait=20s"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert (await site.say(task, "complete", result=15)).status_code == 200
    answer = await asyncio.wait_for(waiting, 5)
    assert (answer.json()["status"], answer.json()["result"]) == ("succeeded", 15)


async def test_a_wait_ends_with_its_time_and_with_the_server(site: TaskSite) -> None:
    task = await site.made()
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}?wait=0.05")).json()["status"] == "queued"
    waiting = [
        asyncio.create_task(site.ask("GET", f"/v1/tasks/{task['id']}?wait=50s")),
        asyncio.create_task(site.ask("POST", "/v1/queues/empty/lease", json={"wait": "50s"})),
    ]
    await asyncio.sleep(0.05)
    site.features.desk.stop()
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].json() == {"tasks": []}


@pytest.mark.parametrize("wait", ["61", "61s", "2m", "-1", "soon", "9" * 30, "1e9"])
async def test_a_wait_of_more_than_a_minute_is_refused(site: TaskSite, wait: str) -> None:
    task = await site.made()
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}?wait={wait}")).status_code == 400
    assert (await site.ask("POST", "/v1/queues/default/lease", json={"wait": wait})).status_code == 422


async def test_who_hangs_up_while_waiting_for_a_lease_gets_no_task(site: TaskSite) -> None:
    scope = scope_of("POST", "/v1/queues/default/lease", headers=[(b"content-type", b"application/json")])
    gone = asyncio.Event()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b'{"wait": 50}', "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None: ...

    request = asyncio.create_task(site.app(scope, receive, send))  # type: ignore[arg-type]  # an ASGI callable
    await asyncio.sleep(0.05)
    gone.set()
    await asyncio.wait_for(request, 5)
    assert (await site.leased())["attempt"] == 1


# --- Whose it is --------------------------------------------------------------------------------------------------

VERBS: list[tuple[str, str, Any]] = [
    ("GET", "", None), ("GET", "?wait=1", None), ("PATCH", "", {"priority": 1}), ("POST", "/cancel", None),
    ("POST", "/retry", None), ("DELETE", "", None), ("POST", "/heartbeat", {"lease": 1}),
    ("POST", "/complete", {"lease": 1}), ("POST", "/fail", {"lease": 1, "error": "x"}),
    ("POST", "/release", {"lease": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "end", "body"), VERBS)
async def test_another_owners_task_is_not_there_with_any_verb(
    site: TaskSite, method: str, end: str, body: Any
) -> None:
    task = await site.leased(key="user")
    answers = [
        await site.ask(method, f"/v1/tasks/{name}{end}", key="other", **({"json": body} if body else {}))
        for name in (task["id"], NOWHERE, "nonsense", "%00")
    ]
    for answer in answers:
        assert_problem(answer, 404, "unknown-task")
    assert answers[0].json()["detail"].replace(task["id"], NOWHERE) == answers[1].json()["detail"]
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}", key="user")).json()["status"] == "running"


async def test_each_sees_and_leases_their_own_and_an_administrator_all(site: TaskSite) -> None:
    mine, theirs = await site.made(key="user"), await site.made(key="other")

    async def seen(key: str) -> list[str]:
        return [task["id"] for task in (await site.ask("GET", "/v1/tasks", key=key)).json()["tasks"]]

    assert (await seen("user"), await seen("other")) == ([mine["id"]], [theirs["id"]])
    assert await seen("admin") == [theirs["id"], mine["id"]]
    leased = (await site.ask("POST", "/v1/queues/default/lease", key="other", json={"max": 10})).json()["tasks"]
    assert [task["id"] for task in leased] == [theirs["id"]]
    queues = (await site.ask("GET", "/v1/queues", key="user")).json()["queues"]
    assert [(queue["depth"], queue["running"]) for queue in queues] == [(1, 0)]


# --- Change -------------------------------------------------------------------------------------------------------


async def test_a_waiting_task_is_changed_and_keeps_the_clients_json(site: TaskSite) -> None:
    task = await site.made({"type": "t", "args": {"a": 1}})
    args = b'{"n":   ' + DIGITS.encode() + b"}"
    answer = await site.ask("PATCH", f"/v1/tasks/{task['id']}", content=b'{"priority": 9, "args": ' + args + b"}",
                            headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == 200, answer.text[:300]
    assert b'"args":' + args in answer.content
    change = {"run_at": "2127-01-01T00:00:00Z", "args": {}}
    later = await site.ask("PATCH", f"/v1/tasks/{task['id']}", json=change)
    assert (later.json()["status"], later.json()["run_at"]) == ("scheduled", "2127-01-01T00:00:00.000000Z")
    assert later.json()["priority"] == 9
    now = await site.ask("PATCH", f"/v1/tasks/{task['id']}", json={"run_at": None})
    assert now.json()["status"] == "queued"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None), (b"", 400, None), (b"\xff", 400, None), (b'{"priority": NaN}', 400, None),
        (b'{"args": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, None), (b"[]", 422, None),
        (b'{"priority": 10}', 422, "priority"), (b'{"priority": null}', 422, "priority"),
        (b'{"args": []}', 422, "args"),
        (b'{"args": null}', 422, "args"), (b'{"status": "dead"}', 422, "status"),
        (b'{"run_at": "soon"}', 422, "run_at"),
        (b'{"run_at": ' + b"9" * 5_000 + b"}", 422, "run_at"), (b'{"args": {"a": "\\u0000"}}', 422, None),
        (b'{"args": {"a": "\\udc00"}}', 422, None), (b'{"args": {"a": "' + b"x" * 263_000 + b'"}}', 422, "args"),
        (b'{"args": {"a": "' + b"x" * 1_100_000 + b'"}}', 413, None), (b'{"run_at": true}', 422, "run_at"),
    ],
)  # fmt: skip
async def test_a_bad_change_is_refused(site: TaskSite, body: bytes, status: int, field: str | None) -> None:
    task = await site.made()
    answer = await site.ask("PATCH", f"/v1/tasks/{task['id']}", content=body,
                            headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == status, answer.text[:500]
    if field is not None:
        assert field in [item.get("field") for item in answer.json()["errors"]]
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}")).json() == task


async def test_wrong_args_for_a_known_handler_are_refused_in_a_change_too(site: TaskSite) -> None:
    task = await site.made({"type": "add", "args": {"a": 1, "b": 2}})
    problem = assert_problem(
        await site.ask("PATCH", f"/v1/tasks/{task['id']}", json={"args": {}}), 422, "invalid-task"
    )
    assert [item["field"] for item in problem["errors"]] == ["args.a", "args.b"]


async def test_cancel_retry_and_delete_go_by_the_state(site: TaskSite) -> None:
    task = await site.made()
    path = f"/v1/tasks/{task['id']}"
    assert_problem(await site.ask("DELETE", path), 409, "task-state")
    assert_problem(await site.ask("POST", f"{path}/retry"), 409, "task-state")
    assert (await site.ask("POST", f"{path}/cancel")).json()["status"] == "cancelled"
    assert_problem(await site.ask("PATCH", path, json={"priority": 1}), 409, "task-state")
    assert (await site.ask("POST", f"{path}/retry")).json()["status"] == "queued"
    done = await site.leased({"type": "t", "queue": "other"})
    await site.say(done, "complete")
    assert_problem(await site.ask("POST", f"/v1/tasks/{done['id']}/cancel"), 409, "task-state")
    assert (await site.ask("DELETE", f"/v1/tasks/{done['id']}")).json()["id"] == done["id"]
    assert_problem(await site.ask("GET", f"/v1/tasks/{done['id']}"), 404, "unknown-task")


async def test_a_bulk_action_is_a_task_that_says_what_it_does(site: TaskSite) -> None:
    asked = {"action": "cancel", "filter": {"type": ["a", "b"], "status": "queued", "since": "1d", "q": "x"}}
    answer = await site.ask("POST", "/v1/tasks/bulk", json=asked)
    assert answer.status_code == 202, answer.text
    args = answer.json()["args"]
    assert args["action"] == "cancel"
    assert (args["filter"]["types"], args["filter"]["statuses"]) == (["a", "b"], ["queued"])


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "action"), ({"action": "cancel"}, "filter"), ({"action": "eat", "filter": {}}, "action"),
     ({"action": "retry", "filter": {"x": 1}}, "filter.x"),
     ({"action": "retry", "filter": {"status": "lost"}}, "filter.status"),
     ({"action": "retry", "filter": {"q": ["a"] * 101}}, "filter.q"),
     ({"action": "retry", "filter": {"since": "x"}}, "filter.since"),
     ({"action": "retry", "filter": {"type": 5}}, "filter.type")],
)  # fmt: skip
async def test_a_bad_bulk_action_is_422(site: TaskSite, body: Any, field: str) -> None:
    answer = await site.ask("POST", "/v1/tasks/bulk", json=body)
    assert answer.status_code == 422
    assert [item["field"] for item in answer.json()["errors"]] == [field]


async def test_json_that_is_no_task_stays_what_it_is(site: TaskSite) -> None:
    """The raw ASGI answer, once: a head, a body, nothing else."""
    scope = scope_of("POST", "/v1/tasks", headers=[(b"content-type", b"application/json")])
    sent = await raw(site.app, scope, [b'{"type": "t"', b', "args": {"a": 1.0}}'])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert json.loads(body_of(sent))["args"] == {"a": 1.0}
