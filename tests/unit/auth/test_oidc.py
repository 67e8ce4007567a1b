"""Users of an OpenID provider: whom their tokens are here, which role they have, and signing in through the browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from headrace.auth.oidc_arrivals import parse_role_map
from headrace.errors import OverQuota, Unauthenticated, Unusable
from headrace.model.principal import Role
from tests.support.openid_tokens import OpenIdTokens, Person, SigningKey
from tests.unit.auth.fakes_oidc import ADDRESS, CALLBACK, House, OpenSeal, challenge_of

ISSUER = "https://sign-in.example/realms/headrace"


@pytest.fixture(scope="module")
def signing_key() -> SigningKey:
    return OpenIdTokens(issuer=ISSUER).keys[0]


@pytest.fixture
def tokens(signing_key: SigningKey) -> OpenIdTokens:
    made = OpenIdTokens(issuer=ISSUER, alg="EdDSA")  # quick to make, and then replaced
    made.keys, made.alg = [signing_key], "RS256"
    return made


@pytest.fixture
def house(tokens: OpenIdTokens) -> House:
    return House(tokens)


# --- who it is here -------------------------------------------------------------------------------------------------


async def test_a_user_is_made_at_first_sight(house: House) -> None:
    account = await house.oidc.account_of(house.tokens.token(roles=["headrace-manager"]), "192.0.2.7")
    user = house.accounts.only()
    assert (user.username, user.email, user.role, user.verified) == ("ada", "ada@example.com", Role.MANAGER, True)
    assert (user.first_name, user.last_name, user.password_hash) == ("Ada", "Lovelace", None)
    assert account.user == user
    assert account.grants == {}
    (record,) = house.accounts.audited
    assert (record.action, record.target_id, record.target_type) == ("user.created", user.id, "user")
    assert record.attributes == {"username": "ada", "role": "manager", "provider": ISSUER, "address": "192.0.2.7"}


async def test_the_same_subject_is_the_same_user_whatever_else_changes(house: House) -> None:
    first = await house.oidc.account_of(house.tokens.token())
    again = await house.oidc.account_of(house.tokens.token(preferred_username="eve", email="eve@example.com"))
    assert again.user == first.user


async def test_ten_first_tokens_at_once_make_one_user(house: House) -> None:
    token = house.tokens.token()
    accounts = await asyncio.gather(*(house.oidc.account_of(token) for _ in range(10)))
    assert {account.user.id for account in accounts} == {house.accounts.only().id}
    assert len(house.accounts.audited) == 1


async def test_a_taken_username_gets_a_number(house: House) -> None:
    tokens = [house.tokens.token(sub=f"s-{number}", email=None) for number in range(11)]
    names = [(await house.oidc.account_of(token)).user.username for token in tokens]
    assert names[:9] == ["ada", *(f"ada-{number}" for number in range(2, 10))]
    assert len(set(names)) == 11


async def test_a_user_who_was_there_before_is_never_taken_over(house: House) -> None:
    house.accounts.others = {"ada", "ada@example.com"}
    user = (await house.oidc.account_of(house.tokens.token())).user
    assert (user.username, user.email) == ("ada-2", None)


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_email_that_the_provider_has_not_verified_is_left_out(house: House, verified: object) -> None:
    assert (await house.oidc.account_of(house.tokens.token(email_verified=verified))).user.email is None


async def test_an_email_is_spelt_as_that_of_any_other_user(house: House) -> None:
    user = (await house.oidc.account_of(house.tokens.token(email="Ada@B\u00fccher.example"))).user
    assert user.email == "ada@xn--bcher-kva.example"


async def test_made_up_codes_do_not_become_requests_to_the_provider_without_end(house: House) -> None:
    _, cookie = await house.oidc.begin()
    for _ in range(100):
        with pytest.raises(Unauthenticated):
            await house.finish(cookie, "made up")
    with pytest.raises(OverQuota):
        await house.finish(cookie, "made up")
    assert len(house.provider.redeemed) == 100


@pytest.mark.parametrize("email", ["no address", "a@b\r\nBcc: eve@example.com", 7, "a" * 300 + "@example.com"])
async def test_an_email_that_is_none_is_left_out(house: House, email: object) -> None:
    assert (await house.oidc.account_of(house.tokens.token(email=email))).user.email is None


@pytest.mark.parametrize(
    ("told", "username"),
    [
        ("Ada.Lovelace", "ada.lovelace"),
        ("ada@corp.example", "ada"),
        ("Zoë Ünal", "zoe-unal"),
        ("..--x", "user"),
        ("<script>", "script-"),
        ("a" * 100, "a" * 63),
        ("李雷", "user"),
        ("\ud800", "user"),
        (7, "user"),
        (None, "user"),
    ],
)
async def test_a_username_is_made_of_what_the_provider_calls_them(house: House, told: object, username: str) -> None:
    assert (await house.oidc.account_of(house.tokens.token(preferred_username=told))).user.username == username


async def test_names_that_are_no_text_are_left_out(house: House) -> None:
    user = (await house.oidc.account_of(house.tokens.token(given_name="Ada\r\nX: y", family_name=["L"]))).user
    assert (user.first_name, user.last_name) == (None, None)


async def test_a_disabled_user_is_refused(house: House) -> None:
    await house.oidc.account_of(house.tokens.token())
    user = house.accounts.only()
    house.accounts.users[user.id] = replace(user, disabled=True)
    with pytest.raises(Unauthenticated):
        await house.oidc.account_of(house.tokens.token())


# --- roles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "claims", "role"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["headrace-manager", "headrace-admin", "x"]}}, Role.ADMIN),
        ("realm_access.roles", {"realm_access": {"roles": ["admin", "manager", "HEADRACE-ADMIN"]}}, Role.USER),
        ("realm_access.roles", {"realm_access": {"roles": "headrace-admin"}}, Role.ADMIN),
        ("realm_access.roles", {"realm_access": {"roles": [["headrace-admin"], {"headrace-admin": 1}, 7]}}, Role.USER),
        ("realm_access.roles", {"realm_access": "headrace-admin"}, Role.USER),
        ("realm_access.roles", {"realm_access": None}, Role.USER),
        ("https://app.example/roles", {"https://app.example/roles": ["headrace-admin"]}, Role.ADMIN),
        ("access.my.app.roles", {"access": {"my.app": {"roles": ["headrace-manager"]}}}, Role.MANAGER),
        ("groups", {"groups": ["headrace-manager"]}, Role.MANAGER),
    ],
)
async def test_the_highest_mapped_role_of_the_claim_counts(
    tokens: OpenIdTokens, path: str, claims: dict[str, Any], role: Role
) -> None:
    house = House(tokens, roles_claim=path)
    assert (await house.oidc.account_of(tokens.token(**claims))).user.role is role


async def test_a_newer_token_changes_the_role_and_an_older_one_does_not(house: House) -> None:
    old = house.tokens.token(roles=["headrace-admin"])
    await house.oidc.account_of(house.tokens.token(roles=["headrace-admin"]))
    house.clock.seconds += 10
    demoted = await house.oidc.account_of(house.tokens.token(roles=[]))
    assert demoted.user.role is Role.USER
    assert (await house.oidc.account_of(old)).user.role is Role.USER
    record = house.accounts.audited[-1]
    assert (record.action, record.actor_id, record.actor_type) == ("user.updated", ISSUER, "identity_provider")
    assert record.attributes == {"role": {"from": "admin", "to": "user"}, "provider": ISSUER}


async def test_a_newer_token_of_the_same_role_makes_older_ones_old(house: House) -> None:
    """Else a token of a role that was taken away since could give it back."""
    await house.oidc.account_of(house.tokens.token(roles=[]))
    house.clock.seconds += 10
    promoted_once = house.tokens.token(roles=["headrace-admin"])
    house.clock.seconds += 10
    await house.oidc.account_of(house.tokens.token(roles=[]))
    assert (await house.oidc.account_of(promoted_once)).user.role is Role.USER
    assert [record.action for record in house.accounts.audited] == ["user.created"]


async def test_a_token_that_was_seen_writes_nothing(house: House) -> None:
    token = house.tokens.token()
    for _ in range(3):
        await house.oidc.account_of(token)
    assert house.accounts.writes == 0


def test_a_role_map_is_read_from_the_settings() -> None:
    assert parse_role_map("headrace-admin=admin, /staff=x/managers = manager,") == {
        "headrace-admin": Role.ADMIN,
        "/staff=x/managers": Role.MANAGER,
    }
    assert parse_role_map("") == {}


@pytest.mark.parametrize("text", ["admin", "x=root", "=admin", "x=admin,y"])
def test_a_role_map_that_cannot_be_meant_is_unusable(text: str) -> None:
    with pytest.raises(Unusable, match="HEADRACE_OIDC_ROLE_MAP"):
        parse_role_map(text)


async def test_the_person_at_the_provider_may_be_anyone(house: House) -> None:
    person = Person(sub="s-2", username="grace", email="grace@example.com", roles=["headrace-admin"])
    user = (await house.oidc.account_of(house.tokens.token(person=person))).user
    assert (user.username, user.role) == ("grace", Role.ADMIN)


# --- signing in through the browser ---------------------------------------------------------------------------------


async def begun(house: House) -> str:
    """The cookie of a sign-in that was begun."""
    return (await house.oidc.begin())[1]


async def stopped(house: House, cookie: str, **finish: Any) -> None:
    with pytest.raises(Unauthenticated):
        await house.finish(cookie, **finish)
    assert house.sessions == []
    assert house.accounts.users == {}


async def test_signing_in_makes_the_user_and_a_session(house: House) -> None:
    url, cookie = await house.oidc.begin()
    code = house.signed_in(roles=["headrace-admin"])
    assert await house.finish(cookie, code) == "session 1"
    assert house.sessions == [(house.accounts.only(), ADDRESS, "oidc")]
    assert house.accounts.only().role is Role.ADMIN  # which Keycloak tells in the access token only
    assert house.accounts.audited[0].attributes["address"] == ADDRESS
    assert url.endswith(house.provider.sent[0]["state"])


async def test_the_code_is_redeemed_with_the_verifier_of_the_challenge(house: House) -> None:
    cookie = await begun(house)
    await house.finish(cookie, house.signed_in())
    (code, redirect_uri, verifier), sent = house.provider.redeemed[0], house.provider.sent[0]
    assert (code, redirect_uri, challenge_of(verifier)) == ("code-1", CALLBACK, sent["challenge"])
    assert len(verifier) >= 43


async def test_no_two_sign_ins_share_a_secret(house: House) -> None:
    await begun(house)
    await begun(house)
    first, second = house.provider.sent
    assert all(first[name] != second[name] for name in ("state", "nonce", "challenge"))


async def test_a_disabled_user_gets_no_session(house: House) -> None:
    await house.oidc.account_of(house.tokens.token())
    user = house.accounts.only()
    house.accounts.users[user.id] = replace(user, disabled=True)
    cookie = await begun(house)
    with pytest.raises(Unauthenticated):
        await house.finish(cookie, house.signed_in())
    assert house.sessions == []


async def test_a_callback_that_somebody_else_began_is_refused(house: House) -> None:
    """Login CSRF: the victim's browser follows a link with the attacker's code and state."""
    victims = await begun(house)
    await begun(house)  # the attacker's
    await stopped(house, victims, code=house.signed_in())
    await stopped(house, "", code="code-1")
    assert house.provider.redeemed == []


async def test_a_code_put_into_another_sign_in_is_refused(house: House) -> None:
    """The nonce is of the sign-in that the code was made for, should the provider not check PKCE."""
    await begun(house)
    stolen = house.signed_in()
    cookie = await begun(house)
    await stopped(house, cookie, code=stolen)


async def test_a_callback_is_good_once(house: House) -> None:
    cookie = await begun(house)
    code = house.signed_in()
    await house.finish(cookie, code)
    with pytest.raises(Unauthenticated):
        await house.finish(cookie, code)
    assert len(house.sessions) == 1


@pytest.mark.parametrize("seconds", [601, -601])
async def test_a_state_cookie_of_another_time_is_refused(house: House, seconds: int) -> None:
    cookie = await begun(house)
    house.clock.seconds += seconds
    await stopped(house, cookie, code=house.signed_in())


@pytest.mark.parametrize("seconds", [600, -600])
async def test_a_state_cookie_is_good_for_ten_minutes(house: House, seconds: int) -> None:
    cookie = await begun(house)
    house.clock.seconds += seconds
    assert await house.finish(cookie, house.signed_in())


@pytest.mark.parametrize("cookie", ["", "x", "é", "=" * 9, "A" * 5_000, "eyJhIjoxfQ"])
async def test_a_cookie_that_is_not_ours_is_refused(house: House, cookie: str) -> None:
    await begun(house)
    await stopped(house, cookie, code=house.signed_in())


@pytest.mark.parametrize("content", [b"", b"1", b"{}", b"[]", b'["other-use","s","n","v",0]'])
async def test_what_was_sealed_for_another_use_is_no_state(house: House, content: bytes) -> None:
    await begun(house)
    sealed = base64.urlsafe_b64encode(OpenSeal().seal(content)).decode()
    await stopped(house, sealed, code=house.signed_in(), state="s")


@pytest.mark.parametrize("state", ["", "x", "\ud800"])
async def test_another_state_than_the_cookies_is_refused(house: House, state: str) -> None:
    await stopped(house, await begun(house), state=state)


async def test_an_answer_of_another_issuer_is_refused(house: House) -> None:
    """Mix-up (RFC 9207): the code of one provider must not be taken to another."""
    cookie = await begun(house)
    await stopped(house, cookie, code=house.signed_in(), issuer="https://evil.example")
    assert house.provider.redeemed == []
    assert await house.finish(cookie, issuer=ISSUER)


@pytest.mark.parametrize("code", ["", "x" * 5_000])
async def test_a_code_that_can_be_none_is_not_redeemed(house: House, code: str) -> None:
    await stopped(house, await begun(house), code=code)
    assert house.provider.redeemed == []


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": ["headrace", "other"], "azp": None},
        {"aud": ["headrace", "other"], "azp": "other"},
        {"azp": "other"},
        {"nonce": None},
        {"nonce": "other"},
        {"nonce": "\ud800"},
        {"at_hash": "other"},
        {"at_hash": 7},
        {"typ": "Bearer"},
        {"typ": "Refresh"},
        {"exp": 1},
        {"sub": None},
    ],
    ids=str,
)
async def test_an_id_token_with_such_a_claim_is_refused(house: House, claims: dict[str, Any]) -> None:
    cookie = await begun(house)
    await stopped(house, cookie, code=house.signed_in(id_claims=claims))


async def test_an_id_token_for_several_clients_is_good_when_we_asked_for_it(house: House) -> None:
    cookie = await begun(house)
    assert await house.finish(cookie, house.signed_in(id_claims={"aud": ["other", "headrace"]}))


@pytest.mark.parametrize("alg", ["ES384", "EdDSA"])
async def test_the_hash_of_the_access_token_is_of_the_algorithms_size(house: House, alg: str) -> None:
    house.tokens.rotate(alg=alg)
    cookie = await begun(house)
    code = house.signed_in()
    answer = house.provider.answers[code]
    digest = hashlib.new("sha384" if alg == "ES384" else "sha512", answer["access_token"].encode()).digest()
    at_hash = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    nonce = house.provider.sent[-1]["nonce"]
    house.provider.answers[code] = {**answer, "id_token": house.tokens.id_token(nonce=nonce, at_hash=at_hash)}
    assert await house.finish(cookie, code)


async def test_an_access_token_in_place_of_the_id_token_is_refused(house: House) -> None:
    cookie = await begun(house)
    code = house.signed_in()
    house.provider.answers[code] = {"id_token": house.tokens.token(nonce=house.provider.sent[-1]["nonce"])}
    await stopped(house, cookie, code=code)


async def test_without_an_id_token_nobody_is_signed_in(house: House) -> None:
    cookie = await begun(house)
    house.provider.answers["code-1"] = {"access_token": house.tokens.token()}
    await stopped(house, cookie)


@pytest.mark.parametrize("access_token", ["opaque", None, 7, {}])
async def test_an_access_token_that_is_not_for_us_to_read_gives_no_role(house: House, access_token: object) -> None:
    cookie = await begun(house)
    id_token = house.tokens.id_token(nonce=house.provider.sent[-1]["nonce"])
    house.provider.answers["code-1"] = {"id_token": id_token, "access_token": access_token}
    await house.finish(cookie)
    assert house.accounts.only().role is Role.USER


async def test_the_access_token_of_somebody_else_gives_no_role(house: House) -> None:
    cookie = await begun(house)
    await house.finish(cookie, house.signed_in(sub="somebody-else", roles=["headrace-admin"], username="eve"))
    assert house.accounts.only().role is Role.USER


async def test_a_role_in_the_id_token_counts_too(house: House) -> None:
    cookie = await begun(house)
    claims = {"realm_access": {"roles": ["headrace-manager"]}}
    await house.finish(cookie, house.signed_in(id_claims=claims))
    assert house.accounts.only().role is Role.MANAGER
