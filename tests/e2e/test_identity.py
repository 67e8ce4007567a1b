"""Signing in, users and their passwords, over HTTP, with the mail that people get."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import assert_problem
from tests.support.people import (
    PASSWORD,
    Person,
    link_in,
    mails_to,
    newest_mail,
    person,
    sign_in,
    token_of,
    unused_name,
)
from tests.support.server import Server
from tests.support.waiting import becomes

ENV = {"HEADRACE_GUESSES_PER_ADDRESS": "100000"}  # all tests come from one address
BITES = 6.0  # seconds: whatever is taken away is dead within 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("identity") / "data", env=ENV)
    try:
        yield running.start()
        running.stop()
    finally:
        running.close()


@pytest.fixture
def root(site: Server) -> Iterator[httpx2.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def anyone(site: Server) -> Iterator[httpx2.Client]:
    with site.client(key="") as client:
        yield client


def register(anyone: httpx2.Client, name: str, **more: str) -> httpx2.Response:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **more}
    return anyone.post("/v1/auth/register", json=body)


def as_user(site: Server, somebody: Person) -> httpx2.Client:
    return site.client(key=somebody.access_token)


def dies(client: httpx2.Client, path: str = "/v1/users/me") -> None:
    """The client's credential is refused within 5 s."""
    becomes(lambda: client.get(path).status_code == 401, within=BITES)


# --- From the registration to the end of a session ----------------------------------------------------------------


def test_a_stranger_registers_verifies_and_signs_in(site: Server, anyone: httpx2.Client) -> None:
    name = unused_name()
    assert register(anyone, name, first_name="Ada").status_code == 202
    assert_problem(sign_in(site, name), 403, "not-verified")
    link = link_in(newest_mail(site, f"{name}@example.com"))
    assert link.startswith(f"{site.url}/verify?token=")
    assert anyone.post("/v1/auth/verify", json={"token": token_of(link)}).status_code == 204
    for login in (name, f"{name}@example.com", name.upper()):
        answer = sign_in(site, login)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "bearer"
        assert answer.headers["cache-control"] == "no-store"
    with site.client(key=answer.json()["access_token"]) as client:
        me = client.get("/v1/users/me").json()
    assert me | {"id": "", "created_at": ""} == {
        "id": "", "created_at": "", "username": name, "email": f"{name}@example.com", "role": "user",
        "first_name": "Ada", "verified": True,
    }  # fmt: skip


def test_looking_at_a_link_does_not_use_it_up_and_using_it_does(site: Server, anyone: httpx2.Client) -> None:
    name = unused_name()
    register(anyone, name)
    link = link_in(newest_mail(site, f"{name}@example.com"))
    for method in ("GET", "HEAD", "GET"):  # as mail programs do
        assert anyone.request(method, link).status_code == 200
    assert_problem(sign_in(site, name), 403, "not-verified")
    assert anyone.post("/v1/auth/verify", json={"token": token_of(link)}).status_code == 204
    for _ in range(2):
        assert_problem(anyone.post("/v1/auth/verify", json={"token": token_of(link)}), 410)


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 4_096, "é", "../..", "' or 1=1"])
def test_a_token_that_nobody_made_is_gone(anyone: httpx2.Client, token: str) -> None:
    assert_problem(anyone.post("/v1/auth/verify", json={"token": token}), 410)
    assert_problem(anyone.post("/v1/auth/password-reset/confirm", json={"token": token, "password": PASSWORD}), 410)


def test_names_and_addresses_that_are_taken_get_the_same_answer(site: Server, anyone: httpx2.Client) -> None:
    name = unused_name()
    first = register(anyone, name)
    assert first.status_code == 202
    again = [register(anyone, name), register(anyone, unused_name(), email=f"{name}@example.com"),
             register(anyone, name, email=f"{unused_name()}@example.com")]  # fmt: skip
    assert {(answer.status_code, answer.text) for answer in again} == {(202, first.text)}
    mail = newest_mail(site, f"{name}@example.com", count=2)
    assert "token=" not in mail.get_content()


def test_nobody_registers_a_role(anyone: httpx2.Client) -> None:
    document = assert_problem(register(anyone, unused_name(), role="admin"), 422)
    assert [error["field"] for error in document["errors"]] == ["role"]


BAD = [
    {"username": "a b"}, {"username": ""}, {"username": "-x"}, {"username": "x" * 64}, {"username": "ünal"},
    {"email": "nobody"}, {"email": "a@b@c.org"}, {"email": "a@b.org\r\nBcc: c@d.org"}, {"email": ""},
    {"password": "short"}, {"password": "x" * 1_025}, {"password": "password123"}, {"password": "\ud800" * 12},
    {"first_name": "a\nb"}, {"first_name": "x" * 101},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:40])
def test_a_registration_that_is_not_valid_names_the_field(anyone: httpx2.Client, bad: dict[str, str]) -> None:
    body = {"username": unused_name(), "email": "a@example.com", "password": PASSWORD, **bad}
    raw = json.dumps(body).encode()
    answer = anyone.post("/v1/auth/register", content=raw, headers={"content-type": "application/json"})
    document = assert_problem(answer, 422)
    assert [error["field"] for error in document["errors"]] == list(bad)


def test_a_password_may_not_be_the_name(anyone: httpx2.Client) -> None:
    name = unused_name()
    document = assert_problem(register(anyone, name, password=name), 422)
    assert document["errors"][0]["field"] == "password"


def test_unknown_user_and_wrong_password_are_answered_the_same(site: Server) -> None:
    somebody = person(site)
    names = (somebody.username, unused_name(), "\u202e", "' or 1=1")
    wrong = [sign_in(site, name, "not the password") for name in names]
    assert {answer.status_code for answer in wrong} == {401}
    assert len({answer.text for answer in wrong}) == 1
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in wrong)


def test_the_oauth2_form_signs_in(site: Server, anyone: httpx2.Client) -> None:
    somebody = person(site)
    form = {"grant_type": "password", "username": somebody.username, "password": PASSWORD, "client_id": "", "scope": ""}
    answer = anyone.post("/v1/auth/token", data=form, headers={"authorization": "Basic Og=="})
    assert answer.status_code == 200, answer.text
    with site.client(key=answer.json()["access_token"]) as client:
        assert client.get("/v1/users/me").json()["id"] == somebody.id
    assert_problem(anyone.post("/v1/auth/token", data=form | {"password": "wrong"}), 401)
    assert_problem(anyone.post("/v1/auth/token", data=form | {"grant_type": "implicit"}), 422)
    assert_problem(anyone.post("/v1/auth/token", json=form), 415)


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(site: Server, anyone: httpx2.Client) -> None:
    somebody = person(site)
    second = anyone.post("/v1/auth/refresh", json={"refresh_token": somebody.refresh_token})
    assert second.status_code == 200, second.text
    assert second.headers["cache-control"] == "no-store"
    with site.client(key=second.json()["access_token"]) as client:
        assert client.get("/v1/users/me").status_code == 200
        assert_problem(anyone.post("/v1/auth/refresh", json={"refresh_token": somebody.refresh_token}), 401)
        assert_problem(anyone.post("/v1/auth/refresh", json={"refresh_token": second.json()["refresh_token"]}), 401)
        dies(client)


@pytest.mark.parametrize("with_body", [False, True])
def test_who_signs_out_is_out(site: Server, anyone: httpx2.Client, with_body: bool) -> None:
    somebody = person(site)
    with as_user(site, somebody) as client:
        assert client.get("/v1/users/me").status_code == 200
        if with_body:
            left = anyone.post("/v1/auth/logout", json={"refresh_token": somebody.refresh_token})
        else:
            left = client.post("/v1/auth/logout")
        assert left.status_code == 204, left.text
        dies(client)
    assert_problem(anyone.post("/v1/auth/refresh", json={"refresh_token": somebody.refresh_token}), 401)
    assert_problem(anyone.post("/v1/auth/logout"), 401)


def test_a_forgotten_password_is_replaced_by_mail(site: Server, anyone: httpx2.Client) -> None:
    somebody = person(site)
    address = f"{somebody.username}@example.com"
    known = anyone.post("/v1/auth/password-reset", json={"email": address})
    unknown = anyone.post("/v1/auth/password-reset", json={"email": f"{unused_name()}@example.com"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert known.status_code == 202
    link = link_in(newest_mail(site, address))
    assert link.startswith(f"{site.url}/reset-password?token=")
    assert anyone.get(link).status_code == 200
    confirm = {"token": token_of(link), "password": "short"}
    refused = assert_problem(anyone.post("/v1/auth/password-reset/confirm", json=confirm), 422)
    assert refused["errors"][0]["field"] == "password"
    with as_user(site, somebody) as client:
        assert client.get("/v1/users/me").status_code == 200
        chosen = confirm | {"password": "another ten drums"}
        assert anyone.post("/v1/auth/password-reset/confirm", json=chosen).status_code == 204
        assert_problem(anyone.post("/v1/auth/password-reset/confirm", json=chosen), 410)
        dies(client)
    assert_problem(sign_in(site, somebody.username), 401)
    assert sign_in(site, somebody.username, "another ten drums").status_code == 200


def test_a_newer_link_replaces_the_one_before(site: Server, anyone: httpx2.Client) -> None:
    somebody = person(site)
    address = f"{somebody.username}@example.com"
    links = []
    for count in (1, 2):
        assert anyone.post("/v1/auth/password-reset", json={"email": address}).status_code == 202
        links.append(link_in(newest_mail(site, address, count=count)))
    assert links[0] != links[1], "one mail came twice"
    confirm = {"password": "another ten drums"}
    first, second = ({"token": token_of(link), **confirm} for link in links)
    assert_problem(anyone.post("/v1/auth/password-reset/confirm", json=first), 410)
    assert_problem(anyone.post("/v1/auth/verify", json={"token": second["token"]}), 410)  # not what it is for
    assert anyone.post("/v1/auth/password-reset/confirm", json=second).status_code == 204


# --- Oneself ------------------------------------------------------------------------------------------------------


def test_people_change_their_names_and_no_more(site: Server) -> None:
    somebody = person(site)
    with as_user(site, somebody) as client:
        changed = client.patch("/v1/users/me", json={"first_name": "Ada", "last_name": "King"})
        assert changed.status_code == 200, changed.text
        assert client.get("/v1/users/me").json()["last_name"] == "King"
        assert "last_name" not in client.patch("/v1/users/me", json={"last_name": None}).json()
        for field in ("role", "disabled", "quota", "verified", "id"):
            assert_problem(client.patch("/v1/users/me", json={field: "admin"}), 422)
        assert client.get("/v1/users/me").json()["role"] == "user"


def test_a_new_password_needs_the_present_one(site: Server) -> None:
    somebody = person(site)
    new = {"password": "another ten drums"}
    with as_user(site, somebody) as client:
        assert client.patch("/v1/users/me", json=new).status_code in (401, 403, 422)
        assert client.patch("/v1/users/me", json=new | {"current_password": "wrong"}).status_code in (401, 403, 422)
        changed = client.patch("/v1/users/me", json=new | {"current_password": PASSWORD})
        assert changed.status_code == 200, changed.text
    assert_problem(sign_in(site, somebody.username), 401)
    assert sign_in(site, somebody.username, "another ten drums").status_code == 200


def test_an_api_key_is_told_who_it_is(root: httpx2.Client) -> None:
    me = root.get("/v1/users/me").json()
    assert (me["role"], me["verified"]) == ("admin", True)
    assert_problem(root.patch("/v1/users/me", json={"first_name": "x"}), 403, "not-a-user")


# --- Administration -----------------------------------------------------------------------------------------------


def test_an_administrator_makes_a_user_who_chooses_the_password(
    site: Server, root: httpx2.Client, anyone: httpx2.Client
) -> None:
    name = unused_name()
    made = root.post("/v1/users", json={"username": name, "email": f"{name}@example.com", "role": "manager"})
    assert made.status_code == 201, made.text
    link = made.json()["setup_url"]
    assert link.startswith(f"{site.url}/set-up?token=")
    assert anyone.get(link).status_code == 200
    assert mails_to(site, f"{name}@example.com") == []
    confirm = {"token": token_of(link), "password": PASSWORD}
    assert anyone.post("/v1/auth/password-reset/confirm", json=confirm).status_code == 204
    assert_problem(anyone.post("/v1/auth/password-reset/confirm", json=confirm), 410)
    assert sign_in(site, name).status_code == 200
    assert "setup_url" not in root.get(f"/v1/users/{made.json()['id']}").json()


def test_a_name_or_address_that_is_taken_is_a_conflict_for_administrators(root: httpx2.Client) -> None:
    name = unused_name()
    body = {"username": name, "email": f"{name}@example.com"}
    assert root.post("/v1/users", json=body).status_code == 201
    assert_problem(root.post("/v1/users", json=body | {"email": f"{unused_name()}@example.com"}), 409, "username-taken")
    assert_problem(root.post("/v1/users", json=body | {"username": unused_name()}), 409, "email-taken")


def test_users_are_listed_page_by_page_and_found(site: Server, root: httpx2.Client) -> None:
    for _ in range(3):
        assert root.post("/v1/users", json={"username": unused_name()}).status_code == 201
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = root.get("/v1/users", params={"limit": "2", **cursor}).json()
        assert len(page["users"]) <= 2
        seen += [user["username"] for user in page["users"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen))
    somebody = person(site)
    found = root.get("/v1/users", params={"q": somebody.username.upper()}).json()["users"]
    assert [user["id"] for user in found] == [somebody.id]


def test_a_disabled_user_is_out_within_seconds_and_everywhere(
    site: Server, root: httpx2.Client, anyone: httpx2.Client
) -> None:
    somebody = person(site)
    with as_user(site, somebody) as client:
        key = client.post("/v1/keys", json={"name": "k", "grants": []}).json()["key"]
        with site.client(key=key) as program:
            assert program.get("/v1/buckets").status_code == 200
            assert root.patch(f"/v1/users/{somebody.id}", json={"disabled": True}).json()["disabled"] is True
            dies(client)
            dies(program, "/v1/buckets")
    assert_problem(anyone.post("/v1/auth/refresh", json={"refresh_token": somebody.refresh_token}), 401)
    assert sign_in(site, somebody.username).status_code in (401, 403)
    root.patch(f"/v1/users/{somebody.id}", json={"disabled": False})
    assert sign_in(site, somebody.username).status_code == 200


def test_a_deleted_user_is_gone_and_so_are_the_keys(site: Server, root: httpx2.Client) -> None:
    somebody = person(site)
    with as_user(site, somebody) as client:
        key = client.post("/v1/keys", json={"name": "k", "grants": []}).json()["key"]
        assert root.delete(f"/v1/users/{somebody.id}").status_code == 204
        dies(client)
    with site.client(key=key) as program:
        dies(program, "/v1/buckets")
    assert_problem(root.get(f"/v1/users/{somebody.id}"), 404)
    assert_problem(root.delete(f"/v1/users/{somebody.id}"), 404)


def test_a_role_bites_within_seconds(site: Server, root: httpx2.Client) -> None:
    somebody = person(site)
    with as_user(site, somebody) as client:
        assert client.post("/v1/buckets", json={"name": unused_name()}).status_code == 403
        assert root.patch(f"/v1/users/{somebody.id}", json={"role": "manager"}).status_code == 200
        becomes(lambda: client.post("/v1/buckets", json={"name": unused_name()}).status_code == 201, within=BITES)


def test_the_last_administrator_stays(site: Server, root: httpx2.Client) -> None:
    admins = [user["id"] for user in root.get("/v1/users", params={"limit": "1000"}).json()["users"]
              if user["role"] == "admin"]  # fmt: skip
    last = person(site, role="admin")
    for other in admins:
        assert root.delete(f"/v1/users/{other}").status_code == 204
    assert_problem(root.patch(f"/v1/users/{last.id}", json={"role": "user"}), 409, "last-admin")
    assert_problem(root.patch(f"/v1/users/{last.id}", json={"disabled": True}), 409, "last-admin")


@pytest.mark.parametrize("user_id", ["x", str(uuid.UUID(int=0)), "%00", "me2", "..%2f"])
def test_a_user_that_is_not_there_is_404(root: httpx2.Client, user_id: str) -> None:
    for method, body in (("GET", None), ("PATCH", {"role": "user"}), ("DELETE", None)):
        assert_problem(root.request(method, f"/v1/users/{user_id}", json=body), 404)


# --- Guessing -----------------------------------------------------------------------------------------------------


def test_ten_wrong_passwords_close_the_door_to_a_name_whether_it_exists_or_not(site: Server) -> None:
    somebody = person(site)
    for name in (somebody.username, unused_name()):
        answers = [sign_in(site, name, "wrong wrong wrong") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]
        assert_problem(answers[-1], 429)
        assert int(answers[-1].headers["retry-after"]) > 0
        assert answers[-1].headers["ratelimit-policy"]
        assert answers[-1].headers["ratelimit"]
    assert sign_in(site, somebody.username).status_code == 429  # the right one, too: nobody learns that it is right


def test_links_and_sessions_that_have_expired_are_good_for_nothing(tmp_path: Path) -> None:
    soon = {f"HEADRACE_{name}_SECONDS": "1" for name in ("VERIFY_LINK", "RESET_LINK", "SETUP_LINK", "SESSION")}
    server = Server(tmp_path / "data", env=soon).start()
    try:
        ada = person(server)
        with server.client(key="") as anyone, server.client() as admin:
            setup = admin.post(f"/v1/users/{ada.id}/setup-link").json()["setup_url"]
            email = admin.get(f"/v1/users/{ada.id}").json()["email"]
            assert anyone.post("/v1/auth/password-reset", json={"email": email}).status_code == 202
            reset = token_of(link_in(newest_mail(server, email)))
            name = unused_name()
            new = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            assert anyone.post("/v1/auth/register", json=new).status_code == 202
            verify = token_of(link_in(newest_mail(server, new["email"])))
            time.sleep(1.2)
            assert_problem(anyone.post("/v1/auth/verify", json={"token": verify}), 410)
            for token in (reset, token_of(setup)):
                asked = {"token": token, "password": f"{PASSWORD} again"}
                assert_problem(anyone.post("/v1/auth/password-reset/confirm", json=asked), 410)
            assert_problem(anyone.post("/v1/auth/refresh", json={"refresh_token": ada.refresh_token}), 401)
            late = anyone.get("/v1/users/me", headers={"authorization": f"Bearer {ada.access_token}"})
            assert_problem(late, 401)
    finally:
        server.close()
