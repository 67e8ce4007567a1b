"""/docs works offline, and /openapi.json tells of every door."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from headrace.web.api.root import STATIC
from headrace.web.console import render
from tests.unit.web.fakes import World

VENDORED = [sums.parent for place in (STATIC, render.STATIC) for sums in sorted(place.glob("*/SHA256SUMS"))]


@pytest.fixture
async def document() -> dict[str, Any]:
    found: dict[str, Any] = (await World().ask("GET", "/openapi.json")).json()
    return found


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_files_are_as_they_were_published_with_their_licence(folder: Any) -> None:
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del files["SHA256SUMS"]
    assert files == sums
    assert "LICENSE" in files


@pytest.mark.parametrize("path", ["/sign-in", "/forgot-password", "/docs", "/verify", "/reset-password", "/set-up"])
async def test_the_pages_load_nothing_from_elsewhere_and_run_no_inline_script(path: str) -> None:
    world = World()
    page = await world.ask("GET", path, key=None)
    loaded = re.findall(r'(?:src|link rel="stylesheet" href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/static/")
        assert (await world.ask("GET", address, key=None)).status_code == 200
    assert "<script>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


async def test_the_first_page_never_repeats_what_the_client_calls_the_host() -> None:
    page = await World().ask("GET", "/sign-in", headers={"host": "evil.example"})
    assert "evil.example" not in page.text
    assert "curl" in page.text


CALLS = [
    ("post", "/v1/buckets"), ("get", "/v1/buckets"), ("get", "/v1/buckets/{bucket}"), ("patch", "/v1/buckets/{bucket}"),
    ("delete", "/v1/buckets/{bucket}"), ("post", "/v1/buckets/{bucket}/events"), ("get", "/v1/buckets/{bucket}/events"),
    ("get", "/v1/buckets/{bucket}/events/{id}"), ("get", "/v1/buckets/{bucket}/histogram"),
    ("get", "/v1/buckets/{bucket}/facets"), ("get", "/v1/buckets/{bucket}/tail"),
    ("get", "/v1/buckets/{bucket}/export"), ("get", "/v1/dead-letters"),
    ("post", "/v1/dead-letters/replay"), ("get", "/health/live"), ("get", "/health/ready"),
    ("get", "/metrics"), ("get", "/v1/status"), ("get", "/v1/backup"), ("post", "/v1/restore"),
    ("get", "/v1/buckets/{bucket}/grants"), ("put", "/v1/buckets/{bucket}/grants/{user}"),
    ("delete", "/v1/buckets/{bucket}/grants/{user}"),
    *(("post", f"/v1/auth/{noun}") for noun in ("register", "verify", "login", "token", "refresh", "logout",
                                                "password-reset", "password-reset/confirm")),
    ("get", "/v1/auth/oidc/login"), ("get", "/v1/auth/oidc/callback"), ("get", "/.well-known/jwks.json"),
    ("get", "/v1/users/me"), ("patch", "/v1/users/me"), ("get", "/v1/users"), ("post", "/v1/users"),
    ("get", "/v1/users/{id}"), ("patch", "/v1/users/{id}"), ("delete", "/v1/users/{id}"),
    ("post", "/v1/users/{id}/setup-link"),
    ("get", "/v1/exports/{id}"),
    ("get", "/v1/keys"), ("post", "/v1/keys"), ("delete", "/v1/keys/{id}"), ("post", "/v1/viewer-tokens"),
    ("post", "/v1/signing-keys/rotate"), ("get", "/v1/usage"),
    ("get", "/v1/tasks"), ("post", "/v1/tasks"), ("post", "/v1/tasks/batch"), ("post", "/v1/tasks/bulk"),
    *((method, "/v1/tasks/{id}") for method in ("get", "patch", "delete")),
    *(("post", f"/v1/tasks/{{id}}/{verb}") for verb in ("cancel", "retry", "heartbeat", "complete", "fail", "release")),
    ("get", "/v1/queues"), ("patch", "/v1/queues/{queue}"), ("post", "/v1/queues/{queue}/lease"),
    ("get", "/v1/schedules"), ("post", "/v1/schedules"), ("post", "/v1/schedules/{id}/run"),
    *((method, "/v1/schedules/{id}") for method in ("get", "patch", "delete")),
]  # fmt: skip


async def test_the_document_has_every_call_and_no_other(document: dict[str, Any]) -> None:
    told = [(method, path) for path, operations in document["paths"].items() for method in operations]
    assert sorted(told) == sorted(CALLS)


async def test_every_operation_has_an_id_a_summary_and_answers_in_problems(document: dict[str, Any]) -> None:
    ids = []
    for operations in document["paths"].values():
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert operation["summary"]
            assert "503" in operation["responses"]
            if operation.get("security") != []:
                assert operation["responses"]["401"] == {"$ref": "#/components/responses/Unauthenticated"}
    assert len(set(ids)) == len(ids)
    assert "HTTPValidationError" not in str(document)


async def test_authorize_takes_a_key_or_the_password_of_a_user(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert document["security"] == [{name: []} for name in schemes]
    assert schemes["key"]["scheme"] == "bearer"
    door = document["paths"][schemes["password"]["flows"]["password"]["tokenUrl"]]["post"]
    assert set(door["requestBody"]["content"]) == {"application/x-www-form-urlencoded"}
    assert door["security"] == []


async def test_what_a_link_or_a_name_may_meet_is_documented(document: dict[str, Any]) -> None:
    def answers(method: str, path: str) -> set[str]:
        return set(document["paths"][path][method]["responses"])

    assert "410" in answers("post", "/v1/auth/verify") & answers("post", "/v1/auth/password-reset/confirm")
    assert "409" in answers("post", "/v1/users") & answers("patch", "/v1/users/{id}")
    assert {"401", "403", "429"} <= answers("post", "/v1/auth/login") & answers("post", "/v1/auth/token")
    assert "410" not in answers("post", "/v1/auth/login")


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(document))):
        node = document
        for step in reference.split("/"):
            node = node[step]


async def test_every_read_of_events_documents_every_filter(document: dict[str, Any]) -> None:
    filters = {"since", "until", "level", "min_level", "service", "action", "actor", "target", "outcome", "trace_id"}
    for noun in ("events", "histogram", "facets", "tail", "export"):
        operation = document["paths"][f"/v1/buckets/{{bucket}}/{noun}"]["get"]
        assert filters | {"q", "attr", "bucket"} <= {parameter["name"] for parameter in operation["parameters"]}, noun


async def test_the_write_door_documents_its_bodies_with_examples(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/buckets/{bucket}/events"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-ndjson"}
    assert set(content["application/json"]["examples"]) == {"one", "several"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        "bucket", "ack", "ids", "Idempotency-Key", "Content-Encoding",
    }  # fmt: skip
    assert set(operation["responses"]) == {"201", "202", *map(str, (400, 401, 403, 404, 413, 415, 422, 429, 503))}
