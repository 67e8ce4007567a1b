"""The tasks that run inside of the server, over HTTP: exports with their files, digests, the warming of caches."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest

from headrace.model.metric import RECENT_LOOKUPS
from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.people import Person, person
from tests.support.server import Server
from tests.support.waiting import becomes

NOON = "2026-11-20T12:00:00Z"


def run(client: httpx2.Client, type: str, headers: dict[str, str] | None = None, **args: Any) -> dict[str, Any]:
    """The finished task."""
    sent = client.post("/v1/tasks", json={"type": type, "args": args}, headers=headers)
    assert sent.status_code == 202, sent.text
    task: dict[str, Any] = client.get(f"/v1/tasks/{sent.json()['id']}", params={"wait": "30s"}, headers=headers).json()
    return task


def succeeded(client: httpx2.Client, type: str, headers: dict[str, str] | None = None, **args: Any) -> dict[str, Any]:
    task = run(client, type, headers, **args)
    assert task["status"] == "succeeded", task
    return task


@pytest.fixture
def reader(shared_server: Server, client: httpx2.Client, bucket: TestBucket) -> Person:
    """A user who may read the bucket."""
    somebody = person(shared_server)
    granted = client.put(f"{bucket.path}/grants/{somebody.id}", json={"permissions": ["read"]})
    assert granted.status_code == 200, granted.text
    return somebody


def as_(somebody: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {somebody.access_token}"}


def test_an_export_is_the_file_that_its_result_says(client: httpx2.Client, bucket: TestBucket) -> None:
    bucket.record(*[{"message": f"event {number}", "time": NOON} for number in range(2_500)])
    result = succeeded(client, "events.export", bucket=bucket.name)["result"]
    answer = client.get(result["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == f'attachment; filename="headrace-{bucket.name}.ndjson"'
    assert int(answer.headers["content-length"]) == len(answer.content) == result["bytes"]
    assert hashlib.sha256(answer.content).hexdigest() == result["sha256"]
    messages = {json.loads(line)["message"] for line in answer.content.splitlines()}
    assert messages == {f"event {number}" for number in range(2_500)}
    assert result["events"] == 2_500


def test_head_tells_of_the_file_without_sending_it(client: httpx2.Client, bucket: TestBucket) -> None:
    bucket.record({"message": "x"})
    result = succeeded(client, "events.export", bucket=bucket.name, format="csv")["result"]
    head = client.head(result["url"])
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == result["bytes"]
    assert head.headers["content-type"].startswith("text/csv")


def test_a_filter_and_a_format_are_taken(client: httpx2.Client, bucket: TestBucket) -> None:
    bucket.record(*[{"message": level, "level": level, "attributes": {"n": 1}} for level in ("info", "error", "debug")])
    wanted = {"level": ["error", "info"], "attr.n": "1", "since": "24h"}
    result = succeeded(client, "events.export", bucket=bucket.name, format="parquet", filter=wanted)["result"]
    table = pq.read_table(io.BytesIO(client.get(result["url"]).content))
    assert sorted(table.column("message").to_pylist()) == ["error", "info"]


def test_args_that_are_not_good_are_told_by_field(client: httpx2.Client, bucket: TestBucket) -> None:
    args = {"bucket": bucket.name, "filter": {"level": "loud"}, "fromat": "csv"}
    problem = assert_problem(client.post("/v1/tasks", json={"type": "events.export", "args": args}), 422)
    assert [error["field"] for error in problem["errors"]] == ["args.fromat"]
    del args["fromat"]
    problem = assert_problem(client.post("/v1/tasks", json={"type": "events.export", "args": args}), 422)
    assert [error["field"] for error in problem["errors"]] == ["args.filter.level"]


@pytest.mark.parametrize("type", ["events.export", "report.digest"])
def test_who_may_not_see_the_bucket_is_told_that_it_is_not_there(
    client: httpx2.Client, shared_server: Server, bucket: TestBucket, type: str
) -> None:
    stranger = as_(person(shared_server))
    task = {"type": type, "args": {"bucket": bucket.name}}
    assert_problem(client.post("/v1/tasks", json=task, headers=stranger), 404, "unknown-bucket")
    batch = client.post("/v1/tasks/batch", json=[task, {"type": "add", "args": {"a": 1, "b": 2}}], headers=stranger)
    assert [error["code"] for error in batch.json()["errors"]] == ["unknown-bucket"]


def test_a_file_is_not_there_for_strangers_nor_for_an_owner_who_lost_the_right_to_read(
    client: httpx2.Client, shared_server: Server, bucket: TestBucket, reader: Person
) -> None:
    bucket.record({"message": "x"})
    url = succeeded(client, "events.export", as_(reader), bucket=bucket.name)["result"]["url"]
    assert client.get(url, headers=as_(reader)).status_code == 200
    assert client.get(url).status_code == 200  # an administrator sees every task and every bucket
    assert_problem(client.get(url, headers=as_(person(shared_server))), 404)
    assert client.delete(f"{bucket.path}/grants/{reader.id}").status_code == 204
    assert_problem(client.get(url, headers=as_(reader)), 404)


def test_a_task_whose_owner_lost_the_right_to_read_fails_for_good(
    client: httpx2.Client, bucket: TestBucket, reader: Person
) -> None:
    bucket.record({"message": "x"})
    task = {"type": "report.digest", "args": {"bucket": bucket.name}, "delay": "1s"}
    sent = client.post("/v1/tasks", json=task, headers=as_(reader))
    assert client.delete(f"{bucket.path}/grants/{reader.id}").status_code == 204
    ended = client.get(f"/v1/tasks/{sent.json()['id']}", params={"wait": "30s"}, headers=as_(reader)).json()
    assert (ended["status"], ended["attempt"]) == ("failed", 1)
    assert "no bucket" in ended["error"]


def test_a_file_that_is_gone_is_told(client: httpx2.Client, shared_server: Server, bucket: TestBucket) -> None:
    result = succeeded(client, "events.export", bucket=bucket.name)["result"]
    (shared_server.data_dir / "exports" / result["file"]).unlink()
    assert_problem(client.get(result["url"]), 410, "export-gone")


def test_what_is_no_finished_export_has_no_file(client: httpx2.Client, bucket: TestBucket) -> None:
    later = {"type": "events.export", "args": {"bucket": bucket.name}, "delay": "1h"}
    waiting = client.post("/v1/tasks", json=later).json()["id"]
    assert_problem(client.get(f"/v1/exports/{waiting}"), 409)
    added = client.post("/v1/tasks", json={"type": "add", "args": {"a": 1, "b": 2}}).json()["id"]
    assert_problem(client.get(f"/v1/exports/{added}"), 404)
    assert_problem(client.get("/v1/exports/nothing"), 404)
    assert client.post(f"/v1/tasks/{waiting}/cancel").status_code == 200
    assert_problem(client.get(f"/v1/exports/{waiting}"), 409)


def test_a_digest_says_what_happened_on_the_day(client: httpx2.Client, bucket: TestBucket) -> None:
    paid = {"time": NOON, "level": "info", "service": "billing", "action": "invoice.paid", "actor": {"id": "ada"}}
    bucket.record(*[paid] * 3, {"time": NOON, "level": "error", "message": "\x1b[31mno\nroute"})
    result = succeeded(client, "report.digest", bucket=bucket.name, day="2026-11-20")["result"]
    assert result["events"] == 4
    for part in ("Friday 2026-11-20 (UTC)", "4 events", "invoice.paid", "ada", "12:00 to 12:59", "1x", "no"):
        assert part in result["text"]
    assert "\x1b" not in result["text"]


def test_a_digest_of_yesterday_in_another_time_zone(client: httpx2.Client, bucket: TestBucket) -> None:
    result = succeeded(client, "report.digest", bucket=bucket.name, timezone="Asia/Tokyo")["result"]
    assert result["events"] == 0
    assert "Nothing happened on this day." in result["text"]


def test_the_system_warms_the_caches_every_day(client: httpx2.Client, shared_server: Server) -> None:
    schedules = client.get("/v1/schedules").json()["schedules"]
    (warming,) = [one for one in schedules if one["name"] == "cache warming"]
    assert (warming["owner"], warming["cron"], warming["enabled"]) == ("system", "30 5 * * *", True)
    task = client.post(f"/v1/schedules/{warming['id']}/run").json()
    ended = client.get(f"/v1/tasks/{task['id']}", params={"wait": "30s"}).json()
    assert (ended["status"], ended["result"]["left_out"]) == ("succeeded", 0)
    assert ended["result"]["buckets"] >= 3
    somebody = as_(person(shared_server))
    assert_problem(client.post("/v1/tasks", json={"type": "cache.warm"}, headers=somebody), 403)


@pytest.mark.embedded("the recent cache is in the process that stores the events")
def test_the_first_page_after_a_restart_comes_from_the_recent_cache(server: Server) -> None:
    with server.client() as client:
        lines = "\n".join(json.dumps({"message": f"event {number}"}) for number in range(50))
        path = "/v1/buckets/default/events"
        sent = client.post(
            path, content=lines, headers={"content-type": "application/x-ndjson"}, params={"ack": "stored"}
        )
        assert sent.status_code == 201
    server.stop()
    begun = len(server.log.read_text())
    server.start()
    with server.client() as client:
        becomes(lambda: "caches are warm" in server.log.read_text()[begun:], within=30)
        assert len(client.get(path, params={"limit": 20}).json()["events"]) == 20
        assert lookups(client) == {"hit": 1}


def lookups(client: httpx2.Client) -> dict[str, int]:
    name = f"headrace_{RECENT_LOOKUPS.name}_total"
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f'{name}{{result="')]
    counts = {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}
    return {result: count for result, count in counts.items() if count}
