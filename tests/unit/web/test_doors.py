"""What every door does before its route is called, and with whatever comes out of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from headrace.errors import Overloaded
from headrace.operations.health import Readiness
from tests.unit.web.fakes import World, assert_problem, body_of, raw, scope_of

LIST = "/v1/buckets/default/events"


@pytest.fixture
def world() -> World:
    return World()


# --- Paths and methods --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1", "/v1/", "/v1/buckets/", "//v1/buckets", "/v1/buckets/default/", "/v1/buckets/a%2Fb",
     "/v1/buckets/default/events/", "/V1/buckets", "/v1/buckets/default/%2e%2e/x/y", "/static/", "/static/../app.py",
     "/static/%2e%2e/app.py", "/redoc"],
)  # fmt: skip
async def test_a_path_that_is_not_there_is_a_problem(world: World, path: str) -> None:
    assert (await world.ask("GET", path)).status_code == 404
    assert_problem(await world.ask("GET", path), 404, "no-such-path")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/buckets", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/v1/buckets/default", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("DELETE", LIST, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/v1/buckets/default/tail", "GET, OPTIONS"),
        ("HEAD", "/v1/buckets/default/tail", "GET, OPTIONS"),
        ("POST", "/health/live", "GET, HEAD, OPTIONS"),
        ("BREW", "/v1/status", "GET, HEAD, OPTIONS"),
        ("TRACE", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/static/docs/page.css", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_a_problem_that_says_which_there_are(
    world: World, method: str, path: str, allow: str
) -> None:
    answer = await world.ask(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    if method != "HEAD":
        assert_problem(answer, 405, "method-not-allowed")


async def test_options_says_which_methods_there_are_without_a_key(world: World) -> None:
    answer = await world.ask("OPTIONS", LIST, key=None)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("path", ["/sign-in", "/docs", "/openapi.json", "/health/live", "/v1/buckets", LIST])
async def test_head_is_answered_like_get(world: World, path: str) -> None:
    head, get = await world.ask("HEAD", path), await world.ask("GET", path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


# --- Credentials --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in", "/docs", "/openapi.json", "/health/live", "/health/ready", "/metrics"])
async def test_the_open_doors_need_no_key(world: World, path: str) -> None:
    assert (await world.ask("GET", path, key=None)).status_code == 200


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/buckets"), ("POST", "/v1/buckets"), ("GET", LIST), ("POST", LIST), ("GET", "/v1/status"),
     ("GET", "/v1/buckets/none/events"), ("GET", "/v1/buckets/default/tail"), ("GET", "/v1/backup"),
     ("POST", "/v1/restore"), ("GET", "/v1/dead-letters"), ("GET", f"{LIST}?nonsense=1")],
)  # fmt: skip
async def test_without_a_good_key_nothing_else_is_looked_at(
    world: World, key: str | None, method: str, path: str
) -> None:
    answer = await world.ask(method, path, key=key, content=b"{broken")
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_setting_closes_the_metrics() -> None:
    closed = World(metrics_open=False)
    assert_problem(await closed.ask("GET", "/metrics", key=None), 401, "unauthenticated")
    assert (await closed.ask("GET", "/metrics")).status_code == 200


async def test_a_bucket_that_one_may_not_see_is_not_there(world: World) -> None:
    assert_problem(await world.ask("GET", LIST, key="user"), 404, "unknown-bucket")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/backup"), ("POST", "/v1/restore"), ("GET", "/v1/dead-letters")]
)
async def test_the_doors_of_administrators_are_closed_to_others(world: World, method: str, path: str) -> None:
    answer = await world.ask(method, path, key="user", headers={"content-type": "application/x-tar"})
    assert_problem(answer, 403, "forbidden")


# --- Parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limits=3", "limits"), ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"),
        ("limit=", "limit"), ("limit=1e2", "limit"), ("limit=٣", "limit"), ("limit=" + "9" * 30, "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=10001", "offset"), ("order=up", "order"), ("cursor=", "cursor"), ("since=yesterday", "since"),
        ("level=loud", "level"), ("attr.=x", "attr."), ("attr=x", "attr"), ("Limit=3", "Limit"), ("=3", ""),
        ("q=%00", "q"),
    ],
)  # fmt: skip
async def test_a_bad_parameter_is_refused_by_its_name(world: World, query: str, field: str) -> None:
    answer = await world.ask("GET", f"{LIST}?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


async def test_an_offset_that_is_too_far_says_to_use_the_cursor(world: World) -> None:
    assert "cursor" in (await world.ask("GET", f"{LIST}?offset=10001")).json()["detail"]


@pytest.mark.parametrize("query", [b"q=%ff", b"q=\xff", b"&".join([b"q=x"] * 1001)])
async def test_a_query_string_that_cannot_be_read_is_refused(world: World, query: bytes) -> None:
    sent = await raw(world.app, scope_of("GET", LIST, query))
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("path", ["/health/live", "/v1/status", "/v1/buckets", "/metrics", "/docs"])
async def test_a_door_without_parameters_takes_none(world: World, path: str) -> None:
    assert_problem(await world.ask("GET", f"{path}?x=1"), 400, "bad-parameter")


async def test_the_parameters_of_a_page_reach_the_reader(world: World) -> None:
    answer = await world.ask("GET", f"{LIST}?limit=7&offset=2&order=asc&cursor=abc&level=error&attr.a.b=1&q=%C3%A9")
    assert answer.status_code == 200
    asked = world.reader.asked[0]
    assert (asked["limit"], asked["offset"], asked["order"], asked["cursor"]) == (7, 2, "asc", "abc")
    assert asked["filter"].levels == (4,)
    assert asked["filter"].attributes[0].path == "a.b"
    assert asked["filter"].texts[0][0].text == "é"


# --- Bodies -------------------------------------------------------------------------------------------------------

BROKEN = {
    "empty": b"", "truncated": b'{"name": "a', "not utf-8": b'{"name": "\xff\xfe"}', "only a bom": b"\xef\xbb\xbf",
    "nan": b'{"name": NaN', "deep": b"[" * 200_000, "5,000 digits": b'{"retention_days": ' + b"9" * 5_000 + b"}",
}  # fmt: skip
WRONG = {
    "an array": b"[]", "null": b"null", "a string": b'"x"', "no name": b"{}",
    "an unknown field": b'{"name": "a", "x": 1}',
    "a number for a name": b'{"name": 5}', "a name with a space": b'{"name": "a b"}', "upper case": b'{"name": "A"}',
    "a long name": b'{"name": "' + b"a" * 64 + b'"}', "a line break": b'{"name": "a\\n"}',
    "a lone surrogate": b'{"name": "\\ud800"}', "a surrogate for a field": b'{"name": "a", "\\ud800": 1}',
    "a fraction of a day": b'{"name": "a", "retention_days": 1.5}', "no day": b'{"name": "a", "retention_days": 0}',
    "text for days": b'{"name": "a", "retention_days": "9"}', "true for days": b'{"name": "a", "retention_days": true}',
    "1e999 days": b'{"name": "a", "retention_days": 1e999}',
}  # fmt: skip
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_body_that_cannot_be_parsed_is_400(world: World, body: bytes) -> None:
    answer = await world.ask("POST", "/v1/buckets", content=body, headers=JSON)
    assert_problem(answer, 400, "malformed-request")


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
async def test_a_body_that_is_not_valid_is_422(world: World, body: bytes) -> None:
    assert_problem(await world.ask("POST", "/v1/buckets", content=body, headers=JSON), 422, "invalid-request")


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}, {},
     {"content-type": "application/xml"}, {**JSON, "content-encoding": "gzip"}, {**JSON, "content-encoding": "br"}],
)  # fmt: skip
async def test_an_unknown_content_type_or_encoding_is_415(world: World, headers: dict[str, str]) -> None:
    answer = await world.ask("POST", "/v1/buckets", content=b'{"name": "a"}', headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")


async def test_a_bucket_is_made_whatever_the_spelling_of_the_content_type(world: World) -> None:
    answer = await world.ask(
        "POST", "/v1/buckets", content=b'{"name": "a"}', headers={"content-type": "Application/JSON; charset=utf-8"}
    )
    assert answer.status_code == 201
    assert answer.json() == {"name": "a", "description": "", "created_at": "2027-01-15T08:00:00.000000Z"}


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({}, {}),
        ({"retention_days": None}, {"retention_days": None}),
        ({"quota": {"bytes_per_day": None}}, {"quota": {"bytes_per_day": None}}),
        ({"description": "x", "quota": {}}, {"description": "x", "quota": {}}),
    ],
)
async def test_a_change_holds_only_what_was_given(world: World, body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert (await world.ask("PATCH", "/v1/buckets/default", json=body)).status_code == 200
    assert world.buckets.updates == [changes]


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(world: World) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"9" * 30)]
    scope = scope_of("POST", "/v1/buckets", headers=headers)
    sent = await raw(world.app, scope, chunks=[])  # not one byte of it is read
    assert sent[0]["status"] == 413
    assert b"/problems/too-large" in body_of(sent)


async def test_a_chunked_body_over_the_limit_is_refused_while_it_is_read() -> None:
    world = World(body_limit=1000)
    scope = scope_of(
        "POST", "/v1/buckets", headers=[(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    )
    endless = [b" " * 400] * 4 + [b"never read"]
    sent = await raw(world.app, scope, chunks=endless)
    assert sent[0]["status"] == 413
    assert b"/problems/too-large" in body_of(sent)


# --- Answers ------------------------------------------------------------------------------------------------------


async def test_every_answer_has_a_request_id_and_keeps_a_sane_one(world: World) -> None:
    made = (await world.ask("GET", "/health/live")).headers["x-request-id"]
    assert len(made) == 32
    kept = await world.ask("GET", "/nothing", headers={"x-request-id": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("given", [b"a b", b"x" * 129, b"", b"\x1b[31m", b"\xff", b"a\nb"])
async def test_an_odd_request_id_is_replaced(world: World, given: bytes) -> None:
    sent = await raw(world.app, scope_of("GET", "/health/live", headers=[(b"x-request-id", given)]))
    assert len(dict(sent[0]["headers"])[b"x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/health/live", "/nothing", LIST, "/docs", "/static/docs/init.js"])
async def test_every_answer_has_the_security_headers(world: World, path: str) -> None:
    headers = (await world.ask("GET", path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1
    assert "cache-control" in headers


async def test_an_unexpected_error_is_logged_once_with_its_trace_and_told_without(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.reader.error = ValueError("the secret is out")
    with caplog.at_level(logging.INFO):
        answer = await world.ask("GET", f"{LIST}?q=secretword")
    document = assert_problem(answer, 500, "internal-error")
    assert "secret is out" not in answer.text
    assert answer.headers["x-request-id"] in document["detail"]
    ours = [record for record in caplog.records if record.name.startswith("headrace")]
    assert len(ours) == 1
    assert ours[0].exc_info
    assert "secretword" not in str(vars(ours[0]))


async def test_overload_travels_back_as_503_with_a_time_to_wait(world: World) -> None:
    world.reader.error = Overloaded("too many reads at once", retry_after=2)
    answer = await world.ask("GET", LIST)
    assert_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"


async def test_not_ready_says_why_by_part(world: World) -> None:
    world.health.readiness = Readiness(ok=False, parts={"queue": "ok", "disk": "5 bytes are free"})
    answer = await world.ask("GET", "/health/ready", key=None)
    document = assert_problem(answer, 503, "not-ready")
    assert document["parts"] == {"queue": "ok", "disk": "5 bytes are free"}
    assert answer.headers["retry-after"]


async def test_requests_are_counted_by_route_and_never_by_path(world: World) -> None:
    for method, path in [("GET", LIST), ("GET", "/made/up/path"), ("BREW", "/v1/status"), ("GET", f"{LIST}?x=1")]:
        await world.ask(method, path)
    assert world.metrics.requests == [
        ("/v1/buckets/{bucket}/events", "GET", "200"),
        ("unmatched", "GET", "404"),
        ("/v1/status", "other", "405"),
        ("/v1/buckets/{bucket}/events", "GET", "400"),
    ]
    assert world.metrics.open == 0


async def test_the_access_log_has_a_line_for_each_request_but_for_probes_and_never_the_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(access_log=True)
    with caplog.at_level(logging.INFO, "headrace.access"):
        await world.ask("GET", f"{LIST}?q=secretword")
        await world.ask("GET", "/health/live")
    assert [getattr(record, "url.path") for record in caplog.records] == [LIST]
    line = vars(caplog.records[0])
    assert (line["http.response.status_code"], line["user.id"]) == (200, "admin")
    assert "secretword" not in str(line)
