"""The doors of identity: what they take, what they hand on, what they answer, and what they never say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from headrace.auth.oidc import Arrived
from headrace.errors import Gone, Invalid, ItemError, Unauthenticated
from headrace.kit.times import SECOND
from headrace.model.account import ApiKey, Grant, UsageLine
from headrace.model.principal import Permission, Role
from tests.unit.web.fakes import NOW, assert_problem
from tests.unit.web.fakes_identity import ADA, USER_ID, IdentityWorld

LOGIN = {"username": "ada", "password": "a long secret"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
READ, WRITE = Permission.READ, Permission.WRITE


@pytest.fixture
def world() -> IdentityWorld:
    return IdentityWorld()


# --- Signing in ---------------------------------------------------------------------------------------------------


async def test_a_login_answers_the_pair_and_nobody_may_keep_it(world: IdentityWorld) -> None:
    answer = await world.ask("POST", "/v1/auth/login", key=None, json=LOGIN)
    assert answer.status_code == 200
    assert answer.json() == {
        "access_token": "access-1", "token_type": "bearer", "expires_in": 900, "refresh_token": "hrr_1_refresh",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert world.sign_in.calls == [("login", ("ada", "a long secret", "127.0.0.1"), {})]


async def test_the_oauth2_form_answers_the_same(world: IdentityWorld) -> None:
    form = {"grant_type": "password", "username": "ada", "password": "p&=ä", "scope": "", "client_id": "x"}
    answer = await world.ask("POST", "/v1/auth/token", key=None, data=form)
    assert answer.status_code == 200
    assert answer.json()["access_token"] == "access-1"
    assert answer.headers["cache-control"] == "no-store"
    assert world.sign_in.calls[0][1][:2] == ("ada", "p&=ä")


async def test_a_form_goes_in_at_one_door_only_and_json_not_there(world: IdentityWorld) -> None:
    body = b"username=ada&password=long"
    assert_problem(
        await world.ask("POST", "/v1/auth/login", key=None, content=body, headers=FORM), 415, "unsupported-media-type"
    )
    assert_problem(await world.ask("POST", "/v1/auth/token", key=None, json=LOGIN), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "body",
    [b"grant_type=client_credentials&username=a&password=b", b"username=a", b"", b"username=a&password=b&role=admin",
     b"username=&password="],
)  # fmt: skip
async def test_a_form_that_is_not_the_password_grant_is_refused(world: IdentityWorld, body: bytes) -> None:
    answer = await world.ask("POST", "/v1/auth/token", key=None, content=body, headers=FORM)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.sign_in.calls == []


async def test_the_header_that_an_oauth2_client_adds_for_itself_is_ignored(world: IdentityWorld) -> None:
    headers = {**FORM, "authorization": "Basic Og=="}
    answer = await world.ask(
        "POST", "/v1/auth/token", key=None, content=b"username=ada&password=long", headers=headers
    )
    assert answer.status_code == 200


async def test_a_wrong_password_is_401_with_the_scheme(world: IdentityWorld) -> None:
    world.sign_in.answers["login"] = Unauthenticated("The user name or the password is wrong.")
    answer = await world.ask("POST", "/v1/auth/login", key=None, json=LOGIN)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


SECRET = "hunter2-hunter2"
WITH_SECRETS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/auth/login", {"username": 1, "password": SECRET}),
    ("POST", "/v1/auth/login", {"username": "ada", "password": {"a": SECRET}}),
    ("POST", "/v1/auth/login", {"username": "ada", "password": SECRET * 1_000}),
    ("POST", "/v1/auth/register", {"username": "ada", "email": 5, "password": SECRET}),
    ("POST", "/v1/auth/register", {"username": "ada", "email": "a@b.org", "password": SECRET, "role": "admin"}),
    ("POST", "/v1/auth/refresh", {"refresh_token": [SECRET]}),
    ("POST", "/v1/auth/verify", {"token": SECRET, "more": SECRET}),
    ("POST", "/v1/auth/password-reset/confirm", {"token": SECRET}),
    ("POST", "/v1/users", {"username": "ada", "password": SECRET, "verified": "yes"}),
    ("PATCH", "/v1/users/me", {"password": SECRET, "current_password": 7}),
]


@pytest.mark.parametrize(("method", "path", "body"), WITH_SECRETS)
async def test_a_refusal_never_repeats_a_secret(world: IdentityWorld, method: str, path: str, body: Any) -> None:
    answer = await world.ask(method, path, json=body)
    assert_problem(answer, 422, "invalid-request")
    assert SECRET not in answer.text


async def test_registering_is_202_and_the_same_for_all_and_a_role_is_refused(world: IdentityWorld) -> None:
    body = {"username": "ada", "email": "ada@example.com", "password": "a long secret"}
    answer = await world.ask("POST", "/v1/auth/register", key=None, json=body)
    assert answer.status_code == 202
    assert "ada" not in answer.text
    assert world.registration.calls == [
        ("register", ("ada", "ada@example.com", "a long secret", None, None, "127.0.0.1"), {})
    ]
    refused = await world.ask("POST", "/v1/auth/register", key=None, json={**body, "role": "admin"})
    assert assert_problem(refused, 422, "invalid-request")["errors"][0]["field"] == "role"


@pytest.mark.parametrize(
    ("path", "body", "call"),
    [
        ("verify", {"token": "t"}, ("verify", ("t", "127.0.0.1"))),
        ("password-reset/confirm", {"token": "t", "password": "new"}, ("reset", ("t", "new", "127.0.0.1"))),
    ],
)
async def test_a_link_is_204_once_and_410_when_it_is_gone(
    world: IdentityWorld, path: str, body: dict[str, str], call: tuple[str, tuple[str, ...]]
) -> None:
    answer = await world.ask("POST", f"/v1/auth/{path}", key=None, json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert world.registration.calls == [(*call, {})]
    world.registration.answers[call[0]] = Gone("This link was used already.")
    assert_problem(await world.ask("POST", f"/v1/auth/{path}", key=None, json=body), 410, "gone")


async def test_asking_for_a_reset_says_nothing(world: IdentityWorld) -> None:
    answer = await world.ask("POST", "/v1/auth/password-reset", key=None, json={"email": "ada@example.com"})
    assert answer.status_code == 202
    assert "ada" not in answer.text


async def test_an_access_token_signs_its_session_out(world: IdentityWorld) -> None:
    answer = await world.ask("POST", "/v1/auth/logout", key="ada")
    assert (answer.status_code, answer.content) == (204, b"")
    name, (session_id, principal, address), _ = world.sign_in.calls[0]
    assert (name, session_id, principal.name, address) == ("logout", "s1", "ada", "127.0.0.1")


async def test_a_refresh_token_signs_its_session_out(world: IdentityWorld) -> None:
    answer = await world.ask("POST", "/v1/auth/logout", key=None, json={"refresh_token": "hrr_x"})
    assert answer.status_code == 204
    assert world.sign_in.calls == [("logout_by_refresh", ("hrr_x", "127.0.0.1"), {})]


@pytest.mark.parametrize(
    ("key", "more", "status"),
    [(None, {}, 401), ("admin", {}, 403), ("wrong", {}, 401), (None, {"json": {}}, 422),
     (None, {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415), (None, {"content": b""}, 401)],
)  # fmt: skip
async def test_nobody_else_signs_out(world: IdentityWorld, key: str | None, more: Any, status: int) -> None:
    answer = await world.ask("POST", "/v1/auth/logout", key=key, **more)
    assert answer.status_code == status, answer.text
    assert world.sign_in.calls == []


# --- Users --------------------------------------------------------------------------------------------------------


async def test_me_is_the_user(world: IdentityWorld) -> None:
    answer = await world.ask("GET", "/v1/users/me", key="ada")
    assert answer.json() == {
        "id": USER_ID, "username": "ada", "email": "ada@example.com", "role": "user", "first_name": "Ada",
        "created_at": "2027-01-15T08:00:00.000000Z", "verified": True,
    }  # fmt: skip


async def test_nobody_is_called_me(world: IdentityWorld) -> None:
    answer = await world.ask("DELETE", "/v1/users/me")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"
    assert (await world.ask("GET", "/v1/users/me2")).status_code == 200
    assert world.metrics.requests[-1] == ("/v1/users/{id}", "GET", "200")


async def test_an_api_key_is_told_who_it_is_and_has_nothing_to_change(world: IdentityWorld) -> None:
    answer = await world.ask("GET", "/v1/users/me")
    assert answer.json() == {"id": "admin", "username": "bootstrap", "role": "admin", "verified": True}
    assert_problem(await world.ask("PATCH", "/v1/users/me", json={"first_name": "x"}), 403, "not-a-user")
    assert world.users.calls == []


async def test_a_change_hands_on_what_was_given_and_no_more(world: IdentityWorld) -> None:
    mine = {"last_name": None, "password": "new", "current_password": "old"}
    await world.ask("PATCH", "/v1/users/me", key="ada", json=mine)
    assert world.users.calls[0][1][1] == mine
    await world.ask("PATCH", f"/v1/users/{USER_ID}", json={"disabled": True, "quota": {"events_per_second": None}})
    assert world.users.calls[1][1][1:3] == (USER_ID, {"disabled": True, "quota": {"events_per_second": None}})


@pytest.mark.parametrize("field", ["role", "disabled", "quota", "verified", "id", "username"])
async def test_nobody_gives_themselves_more(world: IdentityWorld, field: str) -> None:
    answer = await world.ask("PATCH", "/v1/users/me", key="ada", json={field: "admin"})
    assert assert_problem(answer, 422, "invalid-request")["errors"][0]["field"] == field


async def test_a_page_of_users_leads_to_the_next(world: IdentityWorld) -> None:
    world.users.answers["list"] = [ADA, ADA]
    page = (await world.ask("GET", "/v1/users", params={"limit": "1", "q": "ad"})).json()
    assert len(page["users"]) == 1
    assert world.users.calls[0][1][1:] == (None, 2, "ad")
    await world.ask("GET", "/v1/users", params={"cursor": page["next_cursor"]})
    assert world.users.calls[1][1][1:] == (USER_ID, 101, None)


@pytest.mark.parametrize("query", ["cursor=x", "cursor=", "cursor=YTE6", "limit=0", "limit=1001", "q=", "q=%00", "a=5"])
async def test_a_question_that_cannot_be_is_400(world: IdentityWorld, query: str) -> None:
    assert (await world.ask("GET", f"/v1/users?{query}")).status_code == 400


async def test_a_user_made_without_a_password_gets_a_place_to_choose_one(world: IdentityWorld) -> None:
    answer = await world.ask("POST", "/v1/users", json={"username": "ada", "email": "ada@example.com"})
    assert answer.status_code == 201
    assert answer.json()["setup_url"] == "https://h/set-up?token=t"
    asked = world.users.calls[0][2]
    assert (asked["role"], asked["password"], asked["verified"]) == (Role.USER, None, True)


async def test_a_deleted_user_is_204(world: IdentityWorld) -> None:
    assert (await world.ask("DELETE", f"/v1/users/{USER_ID}")).status_code == 204


# --- Grants, keys, viewer tokens, usage ---------------------------------------------------------------------------


async def test_grants_are_put_listed_and_deleted(world: IdentityWorld) -> None:
    grant = Grant(USER_ID, "ada", frozenset((WRITE, READ)))
    world.grants.answers |= {"put": grant, "list": [grant]}
    told = {"user": USER_ID, "username": "ada", "permissions": ["read", "write"]}
    path = f"/v1/buckets/default/grants/{USER_ID}"
    assert (await world.ask("PUT", path, json={"permissions": ["write", "read"]})).json() == told
    assert world.grants.calls[0][1][1:4] == ("default", USER_ID, frozenset((READ, WRITE)))
    assert (await world.ask("GET", "/v1/buckets/default/grants")).json() == {"grants": [told]}
    assert (await world.ask("DELETE", path)).status_code == 204


@pytest.mark.parametrize("body", [{}, {"permissions": None}, {"permissions": ["own"]}, {"permissions": "read"}])
async def test_a_grant_of_nothing_known_is_422(world: IdentityWorld, body: Any) -> None:
    answer = await world.ask("PUT", f"/v1/buckets/default/grants/{USER_ID}", json=body)
    assert_problem(answer, 422, "invalid-request")


KEY = ApiKey("mfrggzdfmztwq2lk", "billing", b"", Role.USER, NOW, owner_id=USER_ID, rate_limit=10)


async def test_a_key_is_shown_once(world: IdentityWorld) -> None:
    world.keys.answers |= {"create": (KEY, "hr_mfrggzdfmztwq2lk_s"), "list": [(KEY, {"default": frozenset((READ,))})]}
    body = {"name": "billing", "grants": [{"bucket": "default", "permissions": ["read"]}], "rate_limit": 10}
    made = (await world.ask("POST", "/v1/keys", json=body)).json()
    told = {
        "id": KEY.id, "name": "billing", "role": "user", "owner": USER_ID, "rate_limit": 10,
        "grants": [{"bucket": "default", "permissions": ["read"]}], "created_at": "2027-01-15T08:00:00.000000Z",
    }  # fmt: skip
    assert made == told | {"key": "hr_mfrggzdfmztwq2lk_s"}
    assert (await world.ask("GET", "/v1/keys")).json() == {"keys": [told]}
    assert (await world.ask("DELETE", f"/v1/keys/{KEY.id}")).status_code == 204


@pytest.mark.parametrize(
    ("given", "us"),
    [("2127-01-01T00:00:00Z", 4_954_435_200), ("2127-01-01T02:00:00+02:00", 4_954_435_200),
     (4_954_435_200, 4_954_435_200), ("4954435200", 4_954_435_200), (4_954_435_200_000, 4_954_435_200)],
)  # fmt: skip
async def test_an_expiry_is_any_time_that_the_contract_knows(world: IdentityWorld, given: Any, us: int) -> None:
    world.keys.answers["create"] = (KEY, "hr_x")
    await world.ask("POST", "/v1/keys", json={"name": "k", "grants": [], "expires_at": given})
    assert world.keys.calls[0][1][3] == us * SECOND


NO_TIMES = ['"soon"', '"2127-01-01T00:00:00"', "true", "[]", '""', "1e400", "1" * 4_000, "1" * 5_000, "-1e30", "1e30"]


@pytest.mark.parametrize("given", NO_TIMES, ids=lambda text: text[:12])
async def test_an_expiry_that_is_no_time_is_refused(world: IdentityWorld, given: str) -> None:
    content = f'{{"name": "k", "grants": [], "expires_at": {given}}}'
    answer = await world.ask("POST", "/v1/keys", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_viewer_token_is_made_of_a_bucket_a_filter_and_a_time(world: IdentityWorld) -> None:
    wanted = {"attr.tenant": "acme", "level": ["error", "critical"]}
    body = {"bucket": "default", "filter": wanted, "expires_in": "10m"}
    answer = await world.ask("POST", "/v1/viewer-tokens", json=body)
    assert answer.status_code == 201
    assert answer.json() == {"token": "v.t.k", "expires_at": "2027-01-15T08:00:00.000000Z"}
    _, (_, bucket, within, seconds, _), _ = world.viewer_tokens.calls[0]
    assert (bucket.name, within, seconds) == ("default", wanted, 600)


@pytest.mark.parametrize("change", [{"filter": {"q": 5}}, {"filter": []}, {"expires_in": "soon"}, {"expires_in": True},
                                    {"expires_in": None}, {"bucket": "No"}, {"key": "x"}])  # fmt: skip
async def test_a_viewer_token_of_anything_else_is_422(world: IdentityWorld, change: dict[str, Any]) -> None:
    body = {"bucket": "default", "filter": {"q": "a"}, "expires_in": 60, **change}
    assert_problem(await world.ask("POST", "/v1/viewer-tokens", json=body), 422, "invalid-request")


async def test_usage_is_told_by_day(world: IdentityWorld) -> None:
    world.usage.answers["report"] = [UsageLine(20_777, "1", "default", 5, 900, {"bytes_per_day": 1_000})]
    answer = await world.ask("GET", "/v1/usage", params={"since": "2026-11-20T00:00:00Z"})
    assert answer.json() == {"by": "bucket", "usage": [
        {"day": "2026-11-20", "bucket": "default", "events": 5, "bytes": 900, "quota": {"bytes_per_day": 1_000}},
    ]}  # fmt: skip
    world.usage.answers["report"] = [UsageLine(20_777, USER_ID, "ada", 5, 900)]
    assert (await world.ask("GET", "/v1/usage", params={"by": "user"})).json() == {"by": "user", "usage": [
        {"day": "2026-11-20", "user": USER_ID, "name": "ada", "events": 5, "bytes": 900},
    ]}  # fmt: skip
    assert (await world.ask("GET", "/v1/usage", params={"by": "level"})).status_code == 400


async def test_only_an_administrator_rotates_the_signing_key(world: IdentityWorld) -> None:
    assert (await world.ask("POST", "/v1/signing-keys/rotate")).json() == {"kid": "k2"}
    assert_problem(await world.ask("POST", "/v1/signing-keys/rotate", key="user"), 403, "forbidden")


async def test_the_public_keys_are_open_and_may_be_kept_five_minutes(world: IdentityWorld) -> None:
    answer = await world.ask("GET", "/.well-known/jwks.json", key=None)
    assert answer.json() == {"keys": []}
    assert answer.headers["cache-control"] == "public, max-age=300"


# --- The OpenID provider ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base_url", "secure"), [("http://127.0.0.1:8000", False), ("https://headrace.example", True)])
async def test_the_browser_is_sent_to_the_provider_with_a_cookie(base_url: str, secure: bool) -> None:
    answer = await IdentityWorld(base_url=base_url).ask("GET", "/v1/auth/oidc/login", key=None)
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://idp.example/auth?state=s"
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("headrace_oidc=sealed;")
    assert {"httponly", "path=/v1/auth/oidc", "samesite=lax"} <= set(cookie.split("; "))
    assert ("secure" in cookie.split("; ")) == secure


async def test_coming_back_answers_the_pair_and_takes_the_cookie_away(world: IdentityWorld) -> None:
    query = {"code": "c", "state": "s", "iss": "https://idp.example", "session_state": "x"}
    headers = {"cookie": "headrace_oidc=sealed"}
    answer = await world.ask("GET", "/v1/auth/oidc/callback", key=None, params=query, headers=headers)
    assert answer.json()["access_token"] == "access-1"
    assert answer.headers["cache-control"] == "no-store"
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert world.oidc is not None
    assert world.oidc.calls == [("finish", ("c", "s", "sealed", "127.0.0.1"), {"issuer": "https://idp.example"})]
    assert world.sign_in.calls == [("begin_session", (ADA, "127.0.0.1", "oidc"), {})]


async def test_coming_back_to_the_console_begins_a_session_in_a_cookie(world: IdentityWorld) -> None:
    assert world.oidc is not None
    world.oidc.answers["finish"] = Arrived(ADA, "/explore?q=a")
    query = {"code": "c", "state": "s"}
    headers = {"cookie": "headrace_oidc=sealed; headrace_session=hrb_old"}
    answer = await world.ask("GET", "/v1/auth/oidc/callback", key=None, params=query, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/explore?q=a")
    session, state = answer.headers.get_list("set-cookie")
    assert session.startswith("headrace_session=hrb_new; HttpOnly;")
    assert state.startswith("headrace_oidc=")
    assert "max-age=0" in state.lower()
    assert world.browser.calls == [("begin", (ADA, "127.0.0.1", "oidc"), {}), ("end", ("hrb_old", "127.0.0.1"), {})]
    assert world.sign_in.calls == []


@pytest.mark.parametrize(
    ("wanted", "sealed"),
    [("/explore?q=a", "/explore?q=a"), ("https://evil.example", "/"), ("//evil.example", "/"), ("/" + "a" * 2000, "/")],
)
async def test_the_way_back_leads_nowhere_else(world: IdentityWorld, wanted: str, sealed: str) -> None:
    await world.ask("GET", "/v1/auth/oidc/login", key=None, params={"next": wanted})
    assert world.oidc is not None
    assert world.oidc.calls == [("begin", (sealed,), {})]


async def test_a_refusal_of_the_provider_is_401_and_leaves_the_cookie(world: IdentityWorld) -> None:
    answer = await world.ask("GET", "/v1/auth/oidc/callback", key=None, params={"error": "access_denied", "state": "s"})
    assert_problem(answer, 401, "oidc-refused")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["login", "callback"])
async def test_without_a_provider_there_is_none(world: IdentityWorld, path: str) -> None:
    answer = await world.without_provider().ask("GET", f"/v1/auth/oidc/{path}", key=None)
    assert_problem(answer, 404, "no-openid-provider")


# --- The pages of links -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/verify", "/reset-password", "/set-up"])
async def test_a_page_of_a_link_changes_nothing_says_nothing_and_is_strict(world: IdentityWorld, path: str) -> None:
    page = await world.ask("GET", f"{path}?token=seCret&utm_source=mail", key=None)
    assert page.status_code == 200
    assert world.registration.calls == []
    assert "seCret" not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    policy = set(page.headers["content-security-policy"].split("; "))
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'none'"} <= policy
    assert not re.search(r"<script>| style=| on[a-z]+=", page.text)
    for address in re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page.text):
        if address.startswith("#"):  # of the page itself: what must be there before it is shown
            continue
        assert address.startswith("/static/console/")
        assert (await world.ask("GET", address, key=None)).status_code == 200


async def test_a_page_with_a_password_shows_it_to_no_address_bar(world: IdentityWorld) -> None:
    page = (await world.ask("GET", "/reset-password", key=None)).text
    assert 'method="post"' in page  # without the script a browser would put the fields into the URL
    assert 'autocomplete="new-password"' in page
    assert re.search(r'<label for="password">', page)


async def test_an_error_of_a_rule_names_the_field(world: IdentityWorld) -> None:
    world.registration.answers["reset"] = Invalid("no", items=[ItemError("too-short", "at least 10", field="password")])
    body = {"token": "t", "password": "short"}
    answer = await world.ask("POST", "/v1/auth/password-reset/confirm", key=None, json=body)
    assert assert_problem(answer, 422, "invalid-request")["errors"] == [
        {"field": "password", "code": "too-short", "detail": "at least 10"}
    ]
