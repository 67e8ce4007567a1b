"""Grants, API keys, viewer tokens, usage and the keys that sign, over HTTP; and that no secret turns up anywhere."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.people import PASSWORD, Person, link_in, newest_mail, person, sign_in, token_of, unused_name
from tests.support.server import Server
from tests.support.waiting import becomes

BITES = 6.0  # seconds: whatever is taken away is dead within 5


def until(status: int, ask: Any) -> httpx2.Response:
    """The first answer with this status, which comes within 5 s."""
    answers: list[httpx2.Response] = []

    def is_so() -> bool:
        answers.append(ask())
        return answers[-1].status_code == status

    becomes(is_so, within=BITES)
    return answers[-1]


@pytest.fixture
def somebody(shared_server: Server) -> Person:
    return person(shared_server)


@pytest.fixture
def theirs(shared_server: Server, somebody: Person) -> Iterator[httpx2.Client]:
    with shared_server.client(key=somebody.access_token) as client:
        yield client


def grant(bucket: TestBucket, user: Person, *permissions: str) -> None:
    answer = bucket.client.put(f"{bucket.path}/grants/{user.id}", json={"permissions": list(permissions)})
    assert answer.status_code == 200, answer.text


def make_key(client: httpx2.Client, bucket: str, *permissions: str, **more: Any) -> dict[str, Any]:
    body = {"name": "k", "grants": [{"bucket": bucket, "permissions": list(permissions)}], **more}
    answer = client.post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


# --- Grants -------------------------------------------------------------------------------------------------------


def test_a_new_user_may_see_nothing_until_it_is_granted_and_nothing_again_afterwards(
    bucket: TestBucket, somebody: Person, theirs: httpx2.Client
) -> None:
    assert theirs.get("/v1/buckets").json() == {"buckets": []}
    assert_problem(theirs.get(f"{bucket.path}/events"), 404)
    grant(bucket, somebody, "read")
    until(200, lambda: theirs.get(f"{bucket.path}/events"))
    assert_problem(theirs.post(f"{bucket.path}/events", json={"message": "x"}), 403)
    assert [one["name"] for one in theirs.get("/v1/buckets").json()["buckets"]] == [bucket.name]
    assert bucket.client.get(f"{bucket.path}/grants").json() == {
        "grants": [{"user": somebody.id, "username": somebody.username, "permissions": ["read"]}]
    }
    grant(bucket, somebody, "write", "read")
    until(202, lambda: theirs.post(f"{bucket.path}/events", json={"message": "x"}))
    assert bucket.client.delete(f"{bucket.path}/grants/{somebody.id}").status_code == 204
    until(404, lambda: theirs.get(f"{bucket.path}/events"))
    assert_problem(bucket.client.delete(f"{bucket.path}/grants/{somebody.id}"), 404)


def test_who_manages_a_bucket_grants_it_and_who_does_not_does_not(
    shared_server: Server, bucket: TestBucket, somebody: Person, theirs: httpx2.Client
) -> None:
    other = person(shared_server)
    path = f"{bucket.path}/grants/{other.id}"
    assert_problem(theirs.put(path, json={"permissions": ["read"]}), 404)
    grant(bucket, somebody, "read", "write")
    until(403, lambda: theirs.put(path, json={"permissions": ["read"]}))
    grant(bucket, somebody, "manage")
    until(200, lambda: theirs.put(path, json={"permissions": ["read"]}))
    assert theirs.delete(path).status_code == 204


@pytest.mark.parametrize("permission", ["write", "manage"])
def test_nobody_is_granted_to_write_to_the_audit(client: httpx2.Client, somebody: Person, permission: str) -> None:
    path = f"/v1/buckets/_audit/grants/{somebody.id}"
    assert_problem(client.put(path, json={"permissions": [permission]}), 403, "system-bucket")


def test_a_manager_makes_a_bucket_and_has_it(shared_server: Server) -> None:
    manager, stranger = person(shared_server, role="manager"), person(shared_server, role="manager")
    name = unused_name()
    keys = manager.access_token, stranger.access_token
    with shared_server.client(key=keys[0]) as mine, shared_server.client(key=keys[1]) as other:
        assert mine.post("/v1/buckets", json={"name": name}).status_code == 201
        assert mine.post(f"/v1/buckets/{name}/events", json={"message": "x"}).status_code == 202
        assert mine.get(f"/v1/buckets/{name}/grants").json()["grants"][0]["user"] == manager.id
        for method, noun in [("GET", ""), ("GET", "/events"), ("GET", "/grants"), ("POST", "/events"), ("PATCH", "")]:
            body = {} if method == "GET" else {"json": {"message": "x"} if noun else {"description": "mine"}}
            assert_problem(other.request(method, f"/v1/buckets/{name}{noun}", **body), 404)  # type: ignore[arg-type]
        assert name not in other.get("/v1/buckets").text


# --- API keys -----------------------------------------------------------------------------------------------------


def test_a_key_does_what_it_was_granted_and_no_more(shared_server: Server, bucket: TestBucket) -> None:
    for permission, reads, writes in (("read", 200, 403), ("write", 403, 202), ("manage", 200, 202)):
        with shared_server.client(key=make_key(bucket.client, bucket.name, permission)["key"]) as program:
            assert program.get(f"{bucket.path}/events").status_code == reads, permission
            assert program.post(f"{bucket.path}/events", json={"message": "x"}).status_code == writes, permission
            assert_problem(program.get("/v1/buckets/default/events"), 404)


def test_a_key_that_expires_is_dead_then(shared_server: Server, bucket: TestBucket) -> None:
    made = make_key(bucket.client, bucket.name, "read", expires_at=time.time() + 1.0)
    with shared_server.client(key=made["key"]) as program:
        assert program.get(f"{bucket.path}/events").status_code == 200
        time.sleep(1.1)
        assert_problem(program.get(f"{bucket.path}/events"), 401, "expired-key")


def test_a_revoked_key_is_dead_within_5_seconds_at_both_kinds_of_doors(
    shared_server: Server, bucket: TestBucket
) -> None:
    made = make_key(bucket.client, bucket.name, "read", "write")
    with shared_server.client(key=made["key"]) as program:
        assert program.get(f"{bucket.path}/events").status_code == 200
        assert program.post(f"{bucket.path}/events", json={"message": "x"}).status_code == 202
        assert bucket.client.delete(f"/v1/keys/{made['id']}").status_code == 204
        until(401, lambda: program.get(f"{bucket.path}/events"))
        until(401, lambda: program.post(f"{bucket.path}/events", json={"message": "x"}))
    assert_problem(bucket.client.delete(f"/v1/keys/{made['id']}"), 404)


def test_a_key_of_a_user_is_worth_no_more_than_its_owner_is_now(
    shared_server: Server, bucket: TestBucket, somebody: Person, theirs: httpx2.Client
) -> None:
    body = {"name": "k", "grants": [{"bucket": bucket.name, "permissions": ["write"]}]}
    assert_problem(theirs.post("/v1/keys", json=body), 404)
    grant(bucket, somebody, "read")
    until(403, lambda: theirs.post("/v1/keys", json=body))
    grant(bucket, somebody, "read", "write")
    made = until(201, lambda: theirs.post("/v1/keys", json=body)).json()
    with shared_server.client(key=made["key"]) as program:
        assert program.post(f"{bucket.path}/events", json={"message": "x"}).status_code == 202
        grant(bucket, somebody, "read")
        until(404, lambda: program.post(f"{bucket.path}/events", json={"message": "x"}))


def test_people_see_their_own_keys_and_administrators_all(
    shared_server: Server, bucket: TestBucket, somebody: Person, theirs: httpx2.Client
) -> None:
    grant(bucket, somebody, "read")
    until(200, lambda: theirs.get(f"{bucket.path}/events"))
    mine = make_key(theirs, bucket.name, "read", rate_limit=1_000)
    root = make_key(bucket.client, bucket.name, "read")
    listed = theirs.get("/v1/keys").json()["keys"]
    assert [key["id"] for key in listed] == [mine["id"]]
    assert listed[0] == {name: value for name, value in mine.items() if name != "key"}
    assert_problem(theirs.delete(f"/v1/keys/{root['id']}"), 404)
    ids = {key["id"] for key in bucket.client.get("/v1/keys", params={"limit": "1000"}).json()["keys"]}
    assert {mine["id"], root["id"]} <= ids
    with shared_server.client(key=mine["key"]) as program:
        assert [key["id"] for key in program.get("/v1/keys").json()["keys"]] == [mine["id"]]
        assert_problem(program.post("/v1/keys", json={"name": "more", "grants": []}), 403)
        assert program.delete(f"/v1/keys/{mine['id']}").status_code == 204
    assert theirs.get("/v1/keys").json() == {"keys": []}


@pytest.mark.parametrize(
    "change",
    [{"expires_at": 1}, {"expires_at": "2020-01-01T00:00:00Z"}, {"rate_limit": 0}, {"rate_limit": "9"}, {"name": ""},
     {"name": "a\nb"}, {"role": "admin"}, {"grants": None}, {"grants": [{"bucket": "default", "permissions": []}]},
     {"grants": [{"bucket": "default", "permissions": ["own"]}]}, {"owner": "x"}, {"key": "hr_mine"}],
)  # fmt: skip
def test_a_key_that_is_not_valid_is_422(client: httpx2.Client, change: dict[str, Any]) -> None:
    assert_problem(client.post("/v1/keys", json={"name": "k", "grants": [], **change}), 422)


# --- Viewer tokens ------------------------------------------------------------------------------------------------


def test_a_viewer_token_shows_its_part_of_a_bucket_and_nothing_else(shared_server: Server, bucket: TestBucket) -> None:
    bucket.record(*({"message": name, "attributes": {"tenant": name}} for name in ("acme", "other")))
    wanted = {"bucket": bucket.name, "filter": {"attr.tenant": "acme"}, "expires_in": "10m"}
    made = bucket.client.post("/v1/viewer-tokens", json=wanted)
    assert made.status_code == 201, made.text
    other = next(event["id"] for event in bucket.list() if event["message"] == "other")
    with shared_server.client(key=made.json()["token"]) as viewer:
        assert [event["message"] for event in viewer.get(f"{bucket.path}/events").json()["events"]] == ["acme"]
        wider = {"attr.tenant": "other"}
        assert viewer.get(f"{bucket.path}/events", params=wider).json() == {"events": []}
        assert_problem(viewer.get(f"{bucket.path}/events/{other}"), 404)
        assert_problem(viewer.post(f"{bucket.path}/events", json={"message": "x"}), 403)
        assert_problem(viewer.get("/v1/buckets/default/events"), 404)
        assert_problem(viewer.get("/v1/status"), 403, "viewer-token")
        assert_problem(viewer.post("/v1/viewer-tokens", json=wanted), 403, "viewer-token")


@pytest.mark.parametrize(
    "change",
    [{"expires_in": 0}, {"expires_in": "25h"}, {"expires_in": "soon"}, {"filter": {"colour": "red"}},
     {"filter": {"level": "loud"}}, {"filter": "acme"}, {"more": 1}],
)  # fmt: skip
def test_a_viewer_token_that_is_not_valid_is_422(client: httpx2.Client, change: dict[str, Any]) -> None:
    body = {"bucket": "default", "filter": {"attr.tenant": "acme"}, "expires_in": 60, **change}
    assert assert_problem(client.post("/v1/viewer-tokens", json=body), 422)["errors"]


# --- Usage and signing keys ---------------------------------------------------------------------------------------


def test_usage_counts_events_and_bytes_by_bucket_key_and_user(
    bucket: TestBucket, shared_server: Server, somebody: Person, theirs: httpx2.Client
) -> None:
    bucket.client.patch(bucket.path, json={"quota": {"bytes_per_day": 1_000_000}})
    grant(bucket, somebody, "read", "write")
    until(202, lambda: theirs.post(f"{bucket.path}/events", json={"message": "x"}))
    made = make_key(theirs, bucket.name, "write")
    with shared_server.client(key=made["key"]) as program:
        assert program.post(f"{bucket.path}/events", json=[{"message": "x"}] * 3).status_code == 202

    def lines(by: str, **wanted: Any) -> list[dict[str, Any]]:
        report = theirs.get("/v1/usage", params={"by": by, "since": "1d"}).json()
        assert report["by"] == by
        return [line for line in report["usage"] if wanted.items() <= line.items()]

    becomes(lambda: bool(lines("bucket", bucket=bucket.name, events=4)), within=30)  # written down every 5 s
    (line,) = lines("bucket", bucket=bucket.name, events=4)
    assert line["bytes"] > 0
    assert line["quota"] == {"bytes_per_day": 1_000_000}
    assert lines("key", key=made["id"], events=3)
    assert lines("user", user=somebody.id, events=4)


def test_a_rotated_key_signs_and_the_one_before_still_verifies(
    shared_server: Server, client: httpx2.Client, somebody: Person, theirs: httpx2.Client
) -> None:
    def kid(token: str) -> str:
        head = token.partition(".")[0]
        found: str = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
        return found

    rotated = client.post("/v1/signing-keys/rotate")
    assert rotated.status_code == 201, rotated.text
    assert theirs.get("/v1/users/me").status_code == 200
    newer = sign_in(shared_server, somebody.username).json()["access_token"]
    assert kid(newer) == rotated.json()["kid"] != kid(somebody.access_token)
    published = client.get("/.well-known/jwks.json")
    assert published.headers["cache-control"] == "public, max-age=300"
    keys = {key["kid"]: key for key in published.json()["keys"]}
    assert {kid(newer), kid(somebody.access_token)} <= keys.keys()
    assert all("d" not in key and key["crv"] == "Ed25519" for key in keys.values())


def test_without_an_openid_provider_there_is_none(client: httpx2.Client) -> None:
    for path in ("login", "callback?code=x&state=y"):
        assert_problem(client.get(f"/v1/auth/oidc/{path}"), 404, "no-openid-provider")


# --- What a secret must not do ------------------------------------------------------------------------------------


def test_no_secret_is_in_a_log_a_metric_an_error_or_the_audit(tmp_path: Any) -> None:
    env = {"HEADRACE_ACCESS_LOG": "1", "HEADRACE_LOG_LEVEL": "debug"}
    server = Server(tmp_path / "data", env=env)
    try:
        with server.start().client() as root, server.client(key="") as anyone:
            secrets, said = _everything(server, root, anyone)
            said += [root.get("/metrics").text, _audit(root)]
            server.stop()
    finally:
        server.close()
    said.append(server.log.read_text())
    assert "/v1/auth/login" in said[-1]  # it does log
    assert "user.login" in said[-2]
    assert len(secrets) > 12
    for name, secret in secrets.items():
        # Whole, and without what is public; a random token may have underscores of its own anywhere.
        of_key = secret.split("_", 2)[-1] if secret.startswith("hr_") else secret
        for part in {secret, of_key, secret.rpartition(".")[2]}:
            assert not [text for text in said if part in text], name


def _everything(
    server: Server, root: httpx2.Client, anyone: httpx2.Client
) -> tuple[dict[str, str], list[str]]:
    """Each way in and each way to fail; the secrets that were made, and what errors said."""
    name = unused_name()
    secrets = {"password": PASSWORD, "wrong": "wrong horse wrong staple", "new": "another ten drums"}
    secrets["admin"] = server.key
    address = f"{name}@example.com"
    anyone.post("/v1/auth/register", json={"username": name, "email": address, "password": PASSWORD})
    link = link_in(newest_mail(server, address))
    secrets["verify"] = token_of(link)
    anyone.get(link)
    failures = [anyone.post("/v1/auth/login", json={"username": name, "password": PASSWORD})]
    anyone.post("/v1/auth/verify", json={"token": secrets["verify"]})
    failures.append(anyone.post("/v1/auth/verify", json={"token": secrets["verify"]}))
    failures.append(sign_in(server, name, secrets["wrong"]))
    failures.append(anyone.post("/v1/auth/login", json={"username": 1, "password": secrets["wrong"]}))
    failures.append(anyone.post("/v1/auth/token", data={"username": name, "password": secrets["wrong"], "x": "y"}))
    pair = sign_in(server, name).json()
    secrets |= {"access": pair["access_token"], "refresh": pair["refresh_token"]}
    next_pair = anyone.post("/v1/auth/refresh", json={"refresh_token": secrets["refresh"]}).json()
    secrets |= {"access 2": next_pair["access_token"], "refresh 2": next_pair["refresh_token"]}
    failures.append(anyone.post("/v1/auth/refresh", json={"refresh_token": secrets["refresh"]}))
    anyone.post("/v1/auth/password-reset", json={"email": address})
    secrets["reset"] = token_of(link_in(newest_mail(server, address, count=2)))
    confirm = {"token": secrets["reset"], "password": secrets["new"]}
    failures.append(anyone.post("/v1/auth/password-reset/confirm", json=confirm | {"password": "short"}))
    anyone.post("/v1/auth/password-reset/confirm", json=confirm)
    failures.append(anyone.post("/v1/auth/password-reset/confirm", json=confirm))
    secrets["set-up"] = token_of(root.post("/v1/users", json={"username": unused_name()}).json()["setup_url"])
    made = make_key(root, "default", "read")
    secrets["key"] = made["key"]
    viewer = {"bucket": "default", "filter": {"attr.tenant": "acme"}, "expires_in": 60}
    secrets["viewer"] = root.post("/v1/viewer-tokens", json=viewer).json()["token"]
    for credential in ("access", "key", "viewer"):
        with server.client(key=secrets[credential]) as client:
            client.get("/v1/buckets/default/events")
            failures.append(client.post("/v1/buckets/_audit/events", json={"message": "x"}))
    root.delete(f"/v1/keys/{made['id']}")
    with server.client(key=secrets["key"]) as client:
        failures.append(client.get("/v1/status"))
    assert all(failure.status_code >= 400 for failure in failures), [one.status_code for one in failures]
    return secrets, [failure.text + str(failure.headers) for failure in failures]


def _audit(root: httpx2.Client) -> str:
    """All of `_audit`, once the newest record is in it."""
    for _ in range(100):
        text = root.get("/v1/buckets/_audit/export").text
        if "key.revoked" in text:
            return text
        time.sleep(0.1)
    raise AssertionError(text)
