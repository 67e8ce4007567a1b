"""`headrace users`, `headrace keys` and the grants of `headrace buckets`, as an administrator and as a user."""

from __future__ import annotations

import re

import httpx2
import pytest

from tests.e2e.cli.command import Cli
from tests.support.people import PASSWORD, Person, person, sign_in, token_of, unused_name
from tests.support.server import Server


def columns(cli: Cli, *words: object) -> dict[str, list[str]]:
    """The lines of a table, by their first cell; cells have two spaces between them."""
    lines = [re.split(r"\s{2,}", line) for line in cli(*words).stdout.decode().splitlines()[1:]]
    return {line[0]: line for line in lines}


def key_of(cli: Cli, *words: object, **more: str) -> str:
    return cli("keys", "create", *words, **more).stdout.decode().strip()


def status(server: Server, credential: str, path: str = "/v1/users/me", method: str = "GET") -> int:
    with server.client(key=credential) as client:
        return client.request(method, path).status_code


@pytest.fixture
def ada(cli: Cli) -> Person:
    return person(cli.server)


@pytest.fixture
def mia(cli: Cli) -> Person:
    return person(cli.server, role="manager")


# --- Users --------------------------------------------------------------------------------------------------------


def test_a_new_user_sets_a_password_by_the_link_that_is_all_of_standard_output(cli: Cli) -> None:
    name = unused_name()
    done = cli("users", "create", name, "--email", f"{name}@example.com", "--role", "manager", "--first-name", "Ada")
    link = done.stdout.decode().strip()
    assert link.startswith(f"{cli.server.url}/set-up?token=")
    assert name.encode() in done.stderr
    with cli.server.client(key="") as anyone:
        body = {"token": token_of(link), "password": PASSWORD}
        assert anyone.post("/v1/auth/password-reset/confirm", json=body).status_code == 204
    assert sign_in(cli.server, name).status_code == 200
    assert columns(cli, "users", "list", "-q", name)[name][1:4] == ["manager", "active", f"{name}@example.com"]


def test_a_user_is_shown_by_name_in_any_case_address_or_id(cli: Cli, ada: Person) -> None:
    shown = {cli("users", "show", name).stdout for name in (
        ada.username, ada.username.upper(), f"{ada.username}@example.com", ada.id,
    )}  # fmt: skip
    assert len(shown) == 1
    assert ada.id.encode() in shown.pop()


def test_a_name_that_is_only_like_that_of_a_user_is_nobodys(cli: Cli, ada: Person) -> None:
    for name in (ada.username[:-1], ada.username[1:], "", "%"):
        assert b"there is no user" in cli("users", "show", name, expect=4).stderr


def test_roles_are_set(cli: Cli, ada: Person) -> None:
    cli("users", "set-role", ada.username, "manager")
    assert columns(cli, "users", "list", "-q", ada.username)[ada.username][1] == "manager"
    assert status(cli.server, ada.access_token, "/v1/users") == 200
    cli("users", "set-role", ada.username, "emperor", expect=2)


def test_a_disabled_user_is_out_at_once_and_comes_in_again_when_enabled(cli: Cli, ada: Person) -> None:
    assert status(cli.server, ada.access_token) == 200
    cli("users", "disable", ada.username)
    assert status(cli.server, ada.access_token) == 401
    assert columns(cli, "users", "list", "-q", ada.username)[ada.username][2] == "disabled"
    cli("users", "enable", ada.username)
    assert sign_in(cli.server, ada.username).status_code == 200


def test_a_deletion_asks_first(cli: Cli, ada: Person) -> None:
    cli("users", "delete", ada.username, stdin=b"n\n", expect=1)
    cli("users", "show", ada.username)
    cli("users", "delete", ada.username, "--yes")
    cli("users", "show", ada.username, expect=4)
    assert status(cli.server, ada.access_token) == 401


def test_who_is_no_admin_is_told_so(cli: Cli, ada: Person, mia: Person) -> None:
    assert b"administrator" in cli("users", "list", "--key", ada.access_token, expect=4).stderr
    assert b"administrator" in cli("users", "set-role", mia.id, "admin", "--key", mia.access_token, expect=4).stderr


# --- Keys ---------------------------------------------------------------------------------------------------------


def test_the_key_alone_is_on_standard_output_and_does_what_was_granted(cli: Cli) -> None:
    done = cli("keys", "create", "deploy", "--grant", f"{cli.bucket}:write", "--expires", "90d", "--rate-limit", 1000)
    key = done.stdout.decode().strip()
    assert re.fullmatch(r"hr_[a-z2-7]+_[a-z2-7]+", key)
    assert f"{cli.bucket}:write".encode() in done.stderr
    assert key.rpartition("_")[2].encode() not in done.stderr
    cli.send("--key", key, stdin=b"hello\n")
    cli("query", "--key", key, expect=4)
    row = columns(cli, "keys", "list")[key.split("_")[1]]
    assert row[1] == "deploy"
    assert row[4:] == ["1000", f"{cli.bucket}:write"]


def test_grants_may_be_several_and_a_time_may_be_the_end(cli: Cli) -> None:
    key = key_of(
        cli, "reader", "-g", f"{cli.bucket}: write,read", "-g", "_audit:read", "--expires", "2127-01-01T00:00:00Z"
    )
    assert columns(cli, "keys", "list")[key.split("_")[1]][3:] == [
        "2127-01-01T00:00:00", "-", f"_audit:read {cli.bucket}:read,write",
    ]  # fmt: skip


def test_a_user_makes_keys_within_their_grants_and_sees_only_these(cli: Cli, ada: Person) -> None:
    cli("buckets", "grant", cli.bucket, ada.username, "read")
    mine = key_of(cli, "mine", "-g", f"{cli.bucket}:read", "--key", ada.access_token)
    assert columns(cli, "keys", "list", "--key", ada.access_token).keys() == {mine.split("_")[1]}
    cli("keys", "create", "more", "-g", f"{cli.bucket}:write", "--key", ada.access_token, expect=4)
    cli("keys", "create", "more", "-g", "_audit:read", "--key", ada.access_token, expect=4)
    cli("keys", "create", "more", "-g", f"{cli.bucket}:read", "--key", mine, expect=4)


def test_a_key_is_dead_when_its_owner_is_disabled_and_worth_nothing_without_the_grant(cli: Cli, ada: Person) -> None:
    cli("buckets", "grant", cli.bucket, ada.username, "read,write")
    key = key_of(cli, "mine", "-g", f"{cli.bucket}:read", "--key", ada.access_token)
    cli("query", "--key", key)
    cli("buckets", "revoke", cli.bucket, ada.username)
    cli("query", "--key", key, expect=4)
    cli("users", "disable", ada.username)
    assert status(cli.server, key) == 401


def test_a_revoked_key_is_dead_and_gone(cli: Cli) -> None:
    key = key_of(cli, "short", "-g", f"{cli.bucket}:read")
    public = key.split("_")[1]
    assert status(cli.server, key) == 200
    cli("keys", "revoke", public)
    assert status(cli.server, key) == 401
    assert public not in columns(cli, "keys", "list")
    cli("keys", "revoke", public, expect=4)
    cli("keys", "revoke", "../users", expect=4)


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["--grant", "billing"], 2),
        (["--grant", ":read"], 2),
        (["--grant", "default:"], 2),
        (["--grant", "default:reed"], 2),
        (["--grant", "no-such-bucket:read"], 4),
        (["--grant", "_audit:write"], 4),
        (["--expires", "soon"], 2),
        (["--expires", "2020-01-01T00:00:00Z"], 4),
        (["--rate-limit", "0"], 2),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(cli: Cli, words: list[str], exit_code: int) -> None:
    done = cli("keys", "create", "bad", *words, expect=exit_code)
    assert done.stdout == b""
    assert done.stderr


def test_tokens_that_are_out_stay_good_when_the_signing_key_is_changed(cli: Cli, ada: Person) -> None:
    with cli.server.client(key="") as anyone:
        before = _kids(anyone)
        said = cli("keys", "rotate-signing").stdout.decode()
        (new,) = _kids(anyone) - before
    assert new in said
    assert status(cli.server, ada.access_token) == 200
    cli("keys", "rotate-signing", "--key", ada.access_token, expect=4)


def _kids(anyone: httpx2.Client) -> set[str]:
    return {key["kid"] for key in anyone.get("/.well-known/jwks.json").json()["keys"]}


# --- Grants -------------------------------------------------------------------------------------------------------


def test_grants_are_given_listed_and_taken_away(cli: Cli, ada: Person) -> None:
    cli("query", "--key", ada.access_token, expect=4)
    cli("buckets", "grant", cli.bucket, ada.username, "write,read")
    assert columns(cli, "buckets", "grants", cli.bucket)[ada.username][1:] == ["read,write", ada.id]
    cli("query", "--key", ada.access_token)
    cli("buckets", "revoke", cli.bucket, ada.username)
    assert columns(cli, "buckets", "grants", cli.bucket) == {}
    cli("query", "--key", ada.access_token, expect=4)
    cli("buckets", "revoke", cli.bucket, ada.username, expect=4)


def test_a_manager_makes_a_bucket_and_hands_out_grants_on_it_at_once(cli: Cli, ada: Person, mia: Person) -> None:
    name = f"{cli.bucket}-of-mia"
    cli("buckets", "create", name, "--key", mia.access_token)
    try:
        cli("buckets", "grant", name, ada.username, "manage", "--key", mia.access_token)
        cli("buckets", "grant", name, mia.id, "read", "--key", ada.access_token)  # she cannot look names up
        assert b"manager" in cli("buckets", "create", f"{name}-2", "--key", ada.access_token, expect=4).stderr
        assert b"no bucket" in cli("buckets", "grants", cli.bucket, "--key", ada.access_token, expect=4).stderr
    finally:
        cli("buckets", "delete", name, "--yes")


def test_permissions_are_known_ones(cli: Cli, ada: Person) -> None:
    cli("buckets", "grant", cli.bucket, ada.username, "own", expect=2)
    cli("buckets", "grant", "_audit", ada.username, "write", expect=4)
