"""Access tokens of an OpenID provider: which are good, and every way that one is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from headrace.errors import Unauthenticated, Unavailable
from tests.support.openid_tokens import OpenIdTokens, SigningKey
from tests.unit.auth.fakes_oidc import House

ISSUER = "https://sign-in.example/realms/headrace"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


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


async def refused(house: House, token: str, code: str = "unauthenticated") -> str:
    """What is said of it."""
    with pytest.raises(Unauthenticated) as caught:
        await house.oidc.account_of(token)
    assert caught.value.code == code
    assert house.accounts.users == {}
    return caught.value.detail


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


# --- signatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_token_of_every_accepted_algorithm_is_good(house: House, alg: str) -> None:
    house.tokens.rotate(alg=alg)
    assert (await house.oidc.account_of(house.tokens.token())).user.username == "ada"


async def test_alg_none_is_refused(house: House) -> None:
    _, claims, _ = house.tokens.token().split(".")
    for none in ("none", "None", "NONE", ""):
        header = packed({"alg": none, "typ": "JWT", "kid": house.tokens.keys[0].kid})
        await refused(house, f"{header}.{claims}.")


@pytest.mark.parametrize("secret", ["pem", "der", "jwk"])
async def test_hs256_with_the_public_key_as_its_secret_is_refused(house: House, secret: str) -> None:
    key = house.tokens.keys[0]
    assert isinstance(key.key, RSAKey)
    bytes_of = {
        "pem": key.key.as_pem(private=False),
        "der": key.key.as_der(private=False),
        "jwk": json.dumps(key.public()).encode(),
    }
    _, claims, _ = house.tokens.token().split(".")
    signed = f"{packed({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{claims}"
    mac = hmac.new(bytes_of[secret], signed.encode(), hashlib.sha256).digest()
    await refused(house, f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


async def test_a_symmetric_key_in_the_set_signs_nothing(house: House) -> None:
    shared = SigningKey("shared", "HS256", OctKey.generate_key(256))
    house.provider.shown = {"keys": [{**shared.key.as_dict(private=True), "kid": "shared"}]}
    await refused(house, house.tokens.token(key=shared))


async def test_an_algorithm_of_another_key_type_is_refused(house: House) -> None:
    """The header says ES256 and names an RSA key, and the other way round."""
    rsa = house.tokens.keys[0]
    curve = house.tokens.rotate(alg="ES256")
    await refused(house, house.tokens.token(key=replace(curve, kid=rsa.kid)))
    await refused(house, house.tokens.token(key=replace(rsa, kid=curve.kid)))
    await refused(house, house.tokens.token(key=rsa, header={"alg": "ES256"}))
    await refused(house, house.tokens.token(key=curve, header={"alg": "RS256"}))


async def test_a_key_is_used_with_its_own_algorithm_only(house: House) -> None:
    await refused(house, house.tokens.token(key=replace(house.tokens.keys[0], alg="PS256")))


async def test_a_key_for_encryption_signs_nothing(house: House) -> None:
    rsa = house.tokens.keys[0]
    house.tokens.keys = []
    house.provider.shown = {"keys": [{**rsa.public(), "use": "enc"}]}
    house.provider.down = True
    with pytest.raises(Unavailable):
        await house.oidc.account_of(house.tokens.token(key=rsa))


async def test_a_short_rsa_key_is_not_used(house: House) -> None:
    weak = SigningKey("weak", "RS256", RSAKey.generate_key(1024))
    house.tokens.keys = [weak]
    house.provider.shown = house.tokens.key_set()
    await refused(house, house.tokens.token())


@pytest.mark.parametrize("field", ["crit", "jku", "jwk", "x5u", "x5c", "b64"])
async def test_a_header_that_brings_a_key_or_asks_for_more_is_refused(house: House, field: str) -> None:
    """Signed by a key that we do trust: the field alone is the reason."""
    values: dict[str, Any] = {
        "crit": ["exp"],
        "jku": "https://evil.example/certs",
        "jwk": house.tokens.keys[0].public(),
        "x5u": "https://evil.example/cert",
        "x5c": ["AAAA"],
        "b64": True,
    }
    said = await refused(house, house.tokens.token(header={field: values[field]}))
    assert "header fields" in said
    assert house.provider.asked == []


async def test_a_key_brought_along_in_the_header_is_not_believed(house: House) -> None:
    mine = SigningKey("mine", "RS256", RSAKey.generate_key(2048))
    await refused(house, house.tokens.token(key=mine, header={"jwk": mine.public()}))


async def test_a_token_that_was_changed_is_refused(house: House) -> None:
    header, claims, signature = house.tokens.token(roles=[]).split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    told["realm_access"]["roles"].append("headrace-admin")
    await refused(house, f"{header}.{packed(told)}.{signature}")


async def test_a_token_without_kid_is_checked_with_the_only_key_that_fits(house: House) -> None:
    assert await house.oidc.account_of(house.tokens.token(header={"kid": None}))


async def test_a_token_without_kid_is_refused_when_several_keys_fit(house: House) -> None:
    house.tokens.rotate()
    house.provider.shown = house.tokens.key_set()
    await refused(house, house.tokens.token(header={"kid": None}))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "é.é.é", "a" * 8_000, f"{packed([])}.{packed({})}.", f"{packed(['alg'])}.e.e"],
)
async def test_what_is_no_jwt_is_refused(house: House, token: str) -> None:
    await refused(house, token)


async def test_claims_nested_too_deep_are_refused(house: House) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5_000).rstrip(b"=").decode()
    await refused(house, f"{packed({'alg': 'RS256'})}.{deep}.AAAA")


async def test_a_token_over_8_kib_is_refused_unread(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.auth.oidc_signature.take_apart", lambda _: pytest.fail("it was read"))
    await refused(house, house.tokens.token(padding="x" * 8_192))
    await refused(house, "x" * 1_000_000)


# --- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iss": None},
        {"aud": "account"},
        {"aud": ["account", "other"]},
        {"aud": None},
        {"aud": {"headrace": 1}},
        {"aud": "xheadrace"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Offline"},
        {"typ": "DPoP"},
        {"typ": ["Bearer"]},
        {"at_hash": "x"},
        {"cnf": {"jkt": "x"}},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**4000},
        {"iat": None},
        {"iat": -1},
        {"nbf": "soon"},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"sub": "a\x00b"},
        {"sub": "\ud800"},
    ],
    ids=str,
)
async def test_a_token_with_such_a_claim_is_refused(house: House, overrides: dict[str, Any]) -> None:
    claims = json.loads(base64.urlsafe_b64decode(house.tokens.token().split(".")[1] + "=="))
    await refused(house, house.tokens.sign({**claims, **overrides}))


@pytest.mark.parametrize("typ", ["logout+jwt", "id+jwt", "jws", "dpop+jwt", 7])
async def test_a_token_of_another_header_type_is_refused(house: House, typ: object) -> None:
    await refused(house, house.tokens.token(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
async def test_a_token_of_a_fitting_header_type_is_good(house: House, typ: str | None) -> None:
    assert await house.oidc.account_of(house.tokens.token(header={"typ": typ}))


async def test_an_id_token_of_keycloak_is_no_access_token(house: House) -> None:
    await refused(house, house.tokens.id_token(nonce="n"))


async def test_an_id_token_that_does_not_say_so_is_no_access_token(house: House) -> None:
    """Nothing tells it from an access token but that it has no scope."""
    said = await refused(house, house.tokens.id_token(typ=None))
    assert "access token" in said


async def test_a_nonce_marks_an_id_token_unless_it_calls_itself_bearer(house: House) -> None:
    await refused(house, house.tokens.token(nonce="n", typ=None))
    assert await house.oidc.account_of(house.tokens.token(nonce="n"))  # Keycloak before 24


async def test_the_configured_audience_counts_and_the_client_id_no_more(tokens: OpenIdTokens) -> None:
    house = House(tokens, audience="https://api.example")
    await refused(house, tokens.token())
    assert await house.oidc.account_of(tokens.token(aud="https://api.example", typ=None, scope=None))


async def test_being_asked_for_by_our_client_does_not_make_a_token_ours(house: House) -> None:
    """`azp` is who asked, not for whom: Keycloak's default audience is `account`."""
    await refused(house, house.tokens.token(aud="account", azp="headrace"))


@pytest.mark.parametrize(
    ("claim", "seconds", "is_good"),
    [
        *(("exp", -29, True), ("exp", -30, False)),
        *(("nbf", 30, True), ("nbf", 31, False)),
        *(("iat", 30, True), ("iat", 31, False)),
    ],
)
async def test_clocks_may_differ_by_30_seconds(house: House, claim: str, seconds: int, is_good: bool) -> None:
    now = int(house.tokens.now())
    token = house.tokens.token(**{claim: now + seconds})
    if is_good:
        assert await house.oidc.account_of(token)
    else:
        await refused(house, token, "expired-token" if claim == "exp" else "unauthenticated")


async def test_a_token_is_good_until_it_expires(house: House) -> None:
    token = house.tokens.token()
    await house.oidc.account_of(token)
    house.clock.seconds += 331
    with pytest.raises(Unauthenticated) as caught:
        await house.oidc.account_of(token)
    assert caught.value.code == "expired-token"


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_known_key_asks_for_no_newer_set(house: House) -> None:
    await house.oidc.account_of(house.tokens.token())
    assert house.provider.asked == [False]


async def test_a_rotated_key_is_found_in_a_newer_set(house: House) -> None:
    await house.oidc.account_of(house.tokens.token())
    house.tokens.rotate()
    assert await house.oidc.account_of(house.tokens.token())
    assert house.provider.asked == [False, False, True]


async def test_a_key_that_was_taken_out_of_the_set_is_good_no_more(house: House) -> None:
    token = house.tokens.token()
    await house.oidc.account_of(token)
    house.tokens.rotate(keep=False)
    await house.oidc.account_of(house.tokens.token())
    with pytest.raises(Unauthenticated):
        await house.oidc.account_of(token)


async def test_with_the_provider_down_known_keys_are_good_and_others_are_unavailable(house: House) -> None:
    house.provider.down = True
    assert await house.oidc.account_of(house.tokens.token())
    unknown = SigningKey("unknown", "EdDSA", OpenIdTokens(alg="EdDSA").keys[0].key)
    with pytest.raises(Unavailable):
        await house.oidc.account_of(house.tokens.token(key=unknown))


async def test_only_a_token_that_may_be_good_asks_for_keys(house: House) -> None:
    unknown = SigningKey("unknown", "EdDSA", OpenIdTokens(alg="EdDSA").keys[0].key)
    await refused(house, house.tokens.token(key=unknown, exp=1), "expired-token")
    await refused(house, house.tokens.token(key=unknown, iss="https://evil.example"))
    assert house.provider.asked == []


@pytest.mark.parametrize(
    "odd", [{}, {"keys": None}, {"keys": [None, 7, {}, {"kty": "RSA"}, {"kty": ["RSA"]}]}], ids=str
)
async def test_odd_keys_in_the_set_do_no_harm(house: House, odd: dict[str, Any]) -> None:
    house.provider.shown = odd
    assert await house.oidc.account_of(house.tokens.token())


async def test_a_broken_key_does_not_hide_the_good_one_beside_it(house: House) -> None:
    good = house.tokens.keys[0].public()
    house.provider.shown = {"keys": [{**good, "n": "?"}, {**good, "e": 3}, good]}
    assert await house.oidc.account_of(house.tokens.token())
    assert house.provider.asked == [False]


async def test_no_error_repeats_the_token(house: House) -> None:
    token = house.tokens.token(aud="account", sub="secret-subject")
    said = await refused(house, token)
    assert not any(part in said for part in token.split("."))
    assert "secret-subject" not in said
