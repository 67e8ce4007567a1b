"""Tokens that are good, and everything that people have tried instead."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from headrace.auth.token_claims import header_of
from headrace.auth.tokens import AccessClaims, ViewerClaims
from headrace.errors import Invalid, Unauthenticated
from tests.unit.auth.fakes_tokens import ISSUER, SESSION_ID, USER_ID, VIEWER_CLAIMS, Mint, a_mint, b64, unb64
from tests.unit.control import NOW

KID = "01890a5d-ac96-774b-bcce-000000000000"
HOW = ["replace", "insert", "delete"]
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
async def mint() -> Mint:
    return await a_mint()


async def refusal(mint: Mint, text: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await mint.tokens.verify(text)
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # it may quote the token
    return caught.value


async def test_an_access_token_says_who_signed_in_until_when(mint: Mint) -> None:
    issued = await mint.tokens.issue(USER_ID, SESSION_ID)
    claims = await mint.tokens.verify(issued.text)
    assert isinstance(claims, AccessClaims)
    assert (claims.user_id, claims.session_id) == (USER_ID, SESSION_ID)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 900_000_000)
    assert issued.expires_in == 900
    assert issued.text not in repr(issued)


async def test_an_access_token_has_the_promised_form(mint: Mint) -> None:
    header, payload, _ = ((await mint.access()).split("."))
    claims = json.loads(unb64(payload))
    assert json.loads(unb64(header)) == {"alg": "EdDSA", "typ": "at+jwt", "kid": mint.keys.rows[0].id}
    assert claims | {"jti": ""} == mint.claims(jti="")


async def test_each_token_has_an_id_of_its_own(mint: Mint) -> None:
    assert len({(await mint.tokens.verify(await mint.access())).id for _ in range(20)}) == 20


async def test_a_viewer_token_says_what_may_be_read(mint: Mint) -> None:
    claims = await mint.tokens.verify(await mint.viewer(60))
    assert isinstance(claims, ViewerClaims)
    assert claims.pairs == (("attr.tenant", "acmé"), ("level", "info"))
    assert (claims.id, claims.bucket_id, claims.maker_kind, claims.maker_id) == (VIEWER_CLAIMS.id, 3, "user", USER_ID)
    assert claims.expires_at == NOW + 60_000_000


async def test_a_viewer_token_that_could_not_be_sent_is_not_made(mint: Mint) -> None:
    claims = ViewerClaims(USER_ID, 3, (("q", "x" * 6_000),), "user", USER_ID, NOW + 60_000_000)
    with pytest.raises(Invalid) as caught:
        await mint.tokens.issue_viewer(claims, 60)
    assert caught.value.items[0].field == "filter"


async def test_a_viewer_token_expires_when_it_was_said_to_though_the_clock_went_on(mint: Mint) -> None:
    said = replace(VIEWER_CLAIMS, expires_at=NOW + 60_000_000)
    mint.clock.seconds = 0.5
    assert (await mint.tokens.verify(await mint.tokens.issue_viewer(said, 60))).expires_at == NOW + 60_000_000
    far = replace(VIEWER_CLAIMS, expires_at=NOW + 3_600_000_000)
    assert (await mint.tokens.verify(await mint.tokens.issue_viewer(far, 60))).expires_at == NOW + 61_000_000


@pytest.mark.parametrize("lifetime", [0, -1, 86_401])
async def test_a_viewer_token_lives_at_most_a_day(mint: Mint, lifetime: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        await mint.viewer(lifetime)


async def test_a_token_is_good_to_its_last_second_and_then_it_is_told_so(mint: Mint) -> None:
    text = await mint.access()
    mint.clock.seconds = 899.999
    await mint.tokens.verify(text)
    mint.clock.seconds = 900
    assert (await refusal(mint, text)).code == "expired-token"


async def test_an_expired_token_with_anything_else_wrong_is_only_refused(mint: Mint) -> None:
    text = await mint.access()
    wrong = mint.signed(mint.header(), mint.claims(aud="another"))
    mint.clock.seconds = 901
    for bad in (text[:-1] + ("A" if text[-1] != "A" else "Q"), wrong):
        assert (await refusal(mint, bad)).code == "unauthenticated"


@pytest.mark.parametrize("back", [31, 3_600, 86_400, 3_000_000_000])
async def test_a_token_of_a_clock_that_was_ahead_is_refused(mint: Mint, back: int) -> None:
    text = await mint.access()
    mint.clock.seconds = -min(back, NOW // 1_000_000)
    assert (await refusal(mint, text)).code == "unauthenticated"


async def test_a_clock_that_was_ahead_by_30_s_is_forgiven(mint: Mint) -> None:
    text = await mint.access()
    mint.clock.seconds = -30
    assert await mint.tokens.verify(text)


async def test_a_clock_that_runs_a_day_ahead_expires_tokens_and_goes_on(mint: Mint) -> None:
    text = await mint.access()
    mint.clock.seconds = 86_400
    assert (await refusal(mint, text)).code == "expired-token"
    assert await mint.tokens.verify(await mint.access())


async def test_what_the_attacks_begin_with_is_good(mint: Mint) -> None:
    assert isinstance(await mint.tokens.verify(mint.signed(mint.header(), mint.claims())), AccessClaims)
    viewer = mint.signed(mint.header(typ="viewer+jwt"), mint.viewer_claims())
    assert isinstance(await mint.tokens.verify(viewer), ViewerClaims)


def unsigned(mint: Mint, alg: str, signature: str = "") -> str:
    return f"{b64(json.dumps(mint.header(alg=alg)).encode())}.{b64(json.dumps(mint.claims()).encode())}.{signature}"


def raw_header(mint: Mint) -> bytes:
    return json.dumps(mint.header()).encode()


def hmac_signed(mint: Mint, secret: bytes, alg: str = "HS256") -> str:
    text = unsigned(mint, alg).rstrip(".")
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def raw(mint: Mint) -> bytes:
    return mint.private_key().public_key().public_bytes_raw()


def encoded(mint: Mint, encoding: Encoding) -> bytes:
    return mint.private_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def jwk_of(public: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(public)}


def with_own_key(mint: Mint, **more: object) -> str:
    """Signed by the attacker, who brings the key along."""
    own = Ed25519PrivateKey.generate()
    header = mint.header(jwk=jwk_of(own.public_key().public_bytes_raw()), **more)
    return mint.signed(header, mint.claims(), own)


def with_header(**changes: object) -> Callable[[Mint], str]:
    return lambda mint: mint.signed(mint.header(**changes), mint.claims())


def with_claims(**changes: object) -> Callable[[Mint], str]:
    return lambda mint: mint.signed(mint.header(), mint.claims(**changes))


def with_view(**changes: object) -> Callable[[Mint], str]:
    return lambda mint: mint.signed(mint.header(typ="viewer+jwt"), mint.viewer_claims(**changes))


def with_raw_claims(change: Callable[[str], str]) -> Callable[[Mint], str]:
    return lambda mint: mint.signed(mint.header(), change(json.dumps(mint.claims())).encode())


def without(claim: str) -> Callable[[Mint], str]:
    return with_raw_claims(lambda raw: json.dumps({k: v for k, v in json.loads(raw).items() if k != claim}))


def shifted(claim: str, seconds: int) -> Callable[[Mint], str]:
    return with_claims(**{claim: NOW // 1_000_000 + seconds})


URL = "https://attacker.example/keys.json"
ATTACKS: dict[str, Callable[[Mint], str]] = {
    "nothing": lambda mint: "",
    "dots": lambda mint: "..",
    "none": lambda mint: unsigned(mint, "none"),
    "none with a signature": lambda mint: unsigned(mint, "none", "A" * 86),
    "None": lambda mint: unsigned(mint, "None", "A" * 86),
    "HS256, raw public key": lambda mint: hmac_signed(mint, raw(mint)),
    "HS256, public key as PEM": lambda mint: hmac_signed(mint, encoded(mint, Encoding.PEM)),
    "HS256, public key as DER": lambda mint: hmac_signed(mint, encoded(mint, Encoding.DER)),
    "HS256, public key as JWK": lambda mint: hmac_signed(mint, json.dumps(jwk_of(raw(mint))).encode()),
    "HMAC called EdDSA": lambda mint: hmac_signed(mint, raw(mint), "EdDSA"),
    "the other name of the algorithm": with_header(alg="Ed25519"),
    "Ed448": with_header(alg="Ed448"),
    "ES256": with_header(alg="ES256"),
    "algorithm in lower case": with_header(alg="eddsa"),
    "algorithm of a wrong type": with_header(alg=["EdDSA"]),
    "crit": with_header(crit=["exp"]),
    "crit, empty": with_header(crit=[]),
    "b64": with_header(b64=True),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "jku": with_header(jku=URL),
    "jwk": lambda mint: mint.signed(mint.header(jwk=jwk_of(raw(mint))), mint.claims()),
    "jwk of the attacker's": with_own_key,
    "jwk of the attacker's under another kid": lambda mint: with_own_key(mint, kid=KID),
    "x5u": with_header(x5u=URL),
    "x5c": with_header(x5c=["MIIB"]),
    "x5t": with_header(x5t="abc"),
    "zip": with_header(zip="DEF"),
    "cty": with_header(cty="JWT"),
    "any header field of no meaning": with_header(note="hello"),
    "typ JWT": with_header(typ="JWT"),
    "typ with application/": with_header(typ="application/at+jwt"),
    "typ of a wrong type": with_header(typ=None),
    "access claims as viewer": with_header(typ="viewer+jwt"),
    "viewer claims as access": lambda mint: mint.signed(mint.header(), mint.viewer_claims()),
    "both kinds of claims": lambda mint: mint.signed(mint.header(), mint.claims() | mint.viewer_claims()),
    "unknown kid": with_header(kid=KID),
    "kid as a path": with_header(kid="../../../../dev/null"),
    "kid as SQL": with_header(kid="' OR '1'='1"),
    "kid of a wrong type": with_header(kid=["x"]),
    "kid null": with_header(kid=None),
    "header is no object": lambda mint: mint.signed(b'["EdDSA"]', mint.claims()),
    "header is no JSON": lambda mint: mint.signed(b"{", mint.claims()),
    "header nested deeply": lambda mint: mint.signed(b"[" * 190, mint.claims()),
    "header named twice": lambda mint: mint.signed(raw_header(mint)[:-1] + b', "alg": "EdDSA"}', mint.claims()),
    "header with a byte order mark": lambda mint: mint.signed(b"\xef\xbb\xbf" + raw_header(mint), mint.claims()),
    "another issuer": with_claims(iss="https://attacker.example"),
    "issuer with a slash more": with_claims(iss=ISSUER + "/"),
    "issuer in a list": with_claims(iss=[ISSUER]),
    "another audience": with_claims(aud="another"),
    "our audience among others": with_claims(aud=["headrace", "another"]),
    "our audience in a list": with_claims(aud=["headrace"]),
    "no audience": with_claims(aud=None),
    "sub is no UUID": with_claims(sub="admin"),
    "sub is a number": with_claims(sub=1),
    "sub in upper case": with_claims(sub=USER_ID.upper()),
    "sub with a line break": with_claims(sub=USER_ID + "\n"),
    "sid is a number": with_claims(sid=7),
    "sid is null": with_claims(sid=None),
    "sid is a list": with_claims(sid=[SESSION_ID]),
    "sid is an object": with_claims(sid={"id": SESSION_ID}),
    "sid is true": with_claims(sid=True),
    "jti is a number": with_claims(jti=7),
    "a claim more": with_claims(role="admin"),
    "exp with a fraction": with_claims(exp=NOW / 1_000_000 + 60.5),
    "exp as a float": with_claims(exp=float(NOW // 1_000_000 + 60)),
    "exp as text": with_claims(exp=str(NOW // 1_000_000 + 60)),
    "exp true": with_claims(exp=True),
    "exp null": with_claims(exp=None),
    "exp 0": with_claims(exp=0),
    "exp negative": with_claims(exp=-1),
    "exp huge": with_claims(exp=10**30),
    "exp as 1e400": with_raw_claims(lambda raw: raw[:-1].replace('"exp"', '"was"') + ', "exp": 1e400}'),
    "exp infinite": with_claims(exp=float("inf")),
    "exp not a number": with_claims(exp=float("nan")),
    "exp of 5000 digits": with_raw_claims(lambda raw: raw[:-1].replace('"exp"', '"was"') + f', "exp": {"9" * 5_000}}}'),
    "exp beyond a day": shifted("exp", 86_402),
    "exp before iat": shifted("exp", -1),
    "not yet valid": shifted("nbf", 31),
    "from the future": shifted("iat", 31),
    "iat negative": with_claims(iat=-1),
    "nbf as a float": with_claims(nbf=1.0),
    "claims are no object": lambda mint: mint.signed(mint.header(), b"[]"),
    "claims are no JSON": lambda mint: mint.signed(mint.header(), b"{"),
    "claims are no UTF-8": lambda mint: mint.signed(mint.header(), b'{"sub": "\xff"}'),
    "claims in UTF-16": lambda mint: mint.signed(mint.header(), json.dumps(mint.claims()).encode("utf-16")),
    "half a surrogate pair": with_view(pairs=[["q", "\ud800"]]),
    "claims nested deeply": lambda mint: mint.signed(mint.header(), b'{"a":' * 900 + b"1" + b"}" * 900),
    "claims nested more deeply": lambda mint: mint.signed(mint.header(), b"[" * 5_800),
    "huge nested claims": lambda mint: mint.signed(mint.header(), b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "the same claim twice": with_raw_claims(lambda raw: f'{raw[:-1]}, "sub": "{USER_ID}"}}'),
    "claims and rubbish": with_raw_claims(lambda raw: raw + "x"),
    "bucket is text": with_view(bucket="3"),
    "bucket is true": with_view(bucket=True),
    "bucket is a float": with_view(bucket=3.0),
    "bucket is 0": with_view(bucket=0),
    "pairs are an object": with_view(pairs={"attr.tenant": "acme"}),
    "pairs are null": with_view(pairs=None),
    "a pair of three": with_view(pairs=[["a", "b", "c"]]),
    "a pair of text": with_view(pairs=["ab"]),
    "a pair with a number": with_view(pairs=[["a", 1]]),
    "a maker of another kind": with_view(maker_kind="viewer"),
    "a maker of a wrong type": with_view(maker_kind=["user"]),
    "a maker that is none": with_view(maker_id="a b"),
    "1 MB": lambda mint: mint.signed(mint.header(), mint.claims(note="x" * 750_000)),
    "1 MB of A": lambda mint: "A" * 1_000_000,
    "1 MB of dots": lambda mint: "." * 1_000_000,
    "1 MB of header": lambda mint: "A" * 1_000_000 + ".e30." + "A" * 86,
} | {f"without {claim}": without(claim) for claim in ("iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti")}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_it_is_refused(mint: Mint, attack: Callable[[Mint], str]) -> None:
    plain = await refusal(mint, "plainly wrong")
    error = await refusal(mint, attack(mint))
    assert (error.code, error.detail, error.items) == ("unauthenticated", plain.detail, ())


def damages(text: str, other: str) -> Iterator[str]:
    """What can be done to a good token's text, with another good token at hand."""
    header, payload, signature = text.split(".")
    other_header, other_payload, other_signature = other.split(".")
    yield f"{header}.{payload}.{other_signature}"
    yield f"{header}.{other_payload}.{signature}"
    yield f"{other_header}.{payload}.{signature}"
    yield from (text[:end] for end in range(len(text)))
    yield from (text[start:] for start in range(1, len(text)))
    yield from (f"{text}.", f".{text}", f"{text}.{signature}", text.replace(".", "..", 1), f"{header}..{signature}")
    yield from (f"{text}=", f"{text}==", f"{text}\n", f" {text}", f"{text} ", f"{text}\0", f"{text}A", f"{text}é")
    yield from (text.replace("e", "е", 1), text.replace(".", "\uff0e", 1), text.replace("0", "０", 1))
    yield from (f"{header}=.{payload}.{signature}", f"{header}.{payload}=.{signature}", f"\ud800{text}")
    yield f"{header}.{payload}\n.{signature}"


async def test_a_damaged_token_is_refused(mint: Mint) -> None:
    plain = await refusal(mint, "plainly wrong")
    for bad in damages(await mint.access(), await mint.viewer()):
        error = await refusal(mint, bad)
        assert (error.code, error.detail) == ("unauthenticated", plain.detail), bad


async def test_a_second_spelling_of_the_same_signature_is_refused(mint: Mint) -> None:
    text = await mint.access()
    same = [text[:-1] + last for last in BASE64URL if last != text[-1]]
    twins = [bad for bad in same if unb64(bad.rsplit(".", 1)[1]) == unb64(text.rsplit(".", 1)[1])]
    assert len(twins) == 15
    for bad in same:
        await refusal(mint, bad)
    for bad in twins:  # by us, whatever joserfc makes of it
        with pytest.raises(ValueError, match="compact"):
            header_of(bad)


async def test_a_token_over_8_kib_is_refused_whoever_signed_it(mint: Mint) -> None:
    def sized(length: int) -> str:
        claims = mint.viewer_claims(pairs=[["q", "x" * length]])
        return mint.signed(mint.header(typ="viewer+jwt"), json.dumps(claims, separators=(",", ":")).encode())

    fits = max((sized(length) for length in range(5_600, 5_900) if len(sized(length)) <= 8_192), key=len)
    assert await mint.tokens.verify(fits)
    longer = min((sized(length) for length in range(5_600, 5_900) if len(sized(length)) > 8_192), key=len)
    assert (await refusal(mint, longer)).code == "unauthenticated"


async def test_the_algorithm_is_checked_before_the_signature_and_with_it(mint: Mint) -> None:
    from headrace.auth.eddsa import TokenKey

    key = TokenKey.new(KID)
    good, other = mint.signed(mint.header(), b"{}"), mint.signed(mint.header(alg="Ed25519"), b"{}")
    with pytest.raises(ValueError, match="not as we make it"):
        header_of(other)
    held = TokenKey(KID, OKPKey.import_key(mint.private_key()))
    assert (held.opened(good), held.opened(other), key.opened(good)) == (b"{}", None, None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2_000), change=st.characters(codec=None), how=st.sampled_from(HOW))
async def test_a_change_of_one_character_is_refused(mint: Mint, place: int, change: str, how: str) -> None:
    text = await mint.access()
    at = place % len(text)
    changed = text[:at] + ("" if how == "delete" else change) + text[at + (how != "insert") :]
    if changed != text:
        assert (await refusal(mint, changed)).code == "unauthenticated"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2_000), change=st.sampled_from(BASE64URL + ".=+/"))
async def test_so_is_one_that_keeps_to_the_alphabet(mint: Mint, place: int, change: str) -> None:
    text = await mint.viewer()
    at = place % len(text)
    changed = text[:at] + change + text[at + 1 :]
    if changed != text:
        assert (await refusal(mint, changed)).code == "unauthenticated"


async def test_a_token_of_another_server_is_refused(mint: Mint) -> None:
    other = await a_mint()
    assert (await refusal(mint, await other.access())).code == "unauthenticated"
    forged = other.signed(other.header(kid=mint.keys.rows[0].id), other.claims())
    assert (await refusal(mint, forged)).code == "unauthenticated"
