"""What every adapter of `ports/identity_provider` promises, against a real provider on a port of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from headrace.adapters.oidc.identity_provider import OidcProvider
from headrace.errors import Unauthenticated, Unavailable
from headrace.kit.breaker import Breaker
from tests.support.openid_provider import OpenIdProvider
from tests.unit.control import HandClock

CALLBACK = "http://127.0.0.1:8000/v1/auth/oidc/callback"
VERIFIER = "a-verifier-of-at-least-43-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
MINUTE, HOUR = 60, 3_600


@pytest.fixture
def remote() -> Iterator[OpenIdProvider]:
    with OpenIdProvider(alg="ES256") as running:
        yield running


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def provider(remote: OpenIdProvider, clock: HandClock) -> AsyncIterator[OidcProvider]:
    made = OidcProvider(remote.issuer, "headrace", "", "openid profile", clock, breaker=breaker(clock))
    yield made
    await made.close()


def breaker(clock: HandClock) -> Breaker:
    return Breaker("The OpenID provider", clock.monotonic, Unavailable, lambda exc: isinstance(exc, Unavailable))


async def settled() -> None:
    """Lets what goes on behind an answer come to its end."""
    for _ in range(200):
        await asyncio.sleep(0.005)
        if len(asyncio.all_tasks()) == 1:
            return


def hasty(provider: OidcProvider, fault: str) -> None:
    """Five seconds are long in a test, but right where a machine is busy and nothing is slow on purpose."""
    if fault in ("slow", "drip"):
        provider._timeout_seconds = 0.2


async def code_of(provider: OidcProvider, redirect_uri: str = CALLBACK) -> str:
    """A code, as the browser brings it back."""
    url = await provider.authorization_url(redirect_uri=redirect_uri, state="s", nonce="n", challenge=CHALLENGE)
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(url)
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def kids(key_set: object) -> list[str]:
    assert isinstance(key_set, dict)
    return [key["kid"] for key in key_set["keys"] if key["use"] == "sig"]


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_the_keys_are_those_of_the_provider(provider: OidcProvider, remote: OpenIdProvider) -> None:
    assert kids(await provider.key_set(unknown_kid=False)) == [remote.keys[0].kid]


async def test_keys_are_fetched_once_for_many_who_ask_at_once(provider: OidcProvider, remote: OpenIdProvider) -> None:
    await asyncio.gather(*(provider.key_set(unknown_kid=False) for _ in range(50)))
    assert remote.fetches == {"discovery": 1, "jwks": 1}


async def test_a_flood_of_unknown_kids_costs_one_fetch_a_minute(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    await provider.key_set(unknown_kid=False)
    for _ in range(10):
        await asyncio.gather(*(provider.key_set(unknown_kid=True) for _ in range(20)))
        clock.seconds += 5.9
    assert remote.fetches["jwks"] == 1 + 1
    clock.seconds += 2
    await provider.key_set(unknown_kid=True)
    assert remote.fetches["jwks"] == 1 + 2


async def test_callers_who_leave_do_not_buy_more_fetches(provider: OidcProvider, remote: OpenIdProvider) -> None:
    await provider.key_set(unknown_kid=False)
    remote.faults["jwks"] = "slow"
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(provider.key_set(unknown_kid=True), 0.1)
    assert remote.fetches["jwks"] == 1 + 1


async def test_a_rotated_key_is_there_after_one_fetch(provider: OidcProvider, remote: OpenIdProvider) -> None:
    await provider.key_set(unknown_kid=False)
    rotated = remote.rotate()
    assert rotated.kid not in kids(await provider.key_set(unknown_kid=False))
    assert rotated.kid in kids(await provider.key_set(unknown_kid=True))


async def test_keys_older_than_ten_minutes_are_fetched_anew_behind_the_answer(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    await provider.key_set(unknown_kid=False)
    rotated = remote.rotate(keep=False)
    clock.seconds += 10 * MINUTE + 1
    await provider.key_set(unknown_kid=False)
    await settled()
    assert kids(await provider.key_set(unknown_kid=False)) == [rotated.kid]
    assert remote.fetches == {"discovery": 1, "jwks": 2}


async def test_while_the_provider_is_down_the_keys_stay_and_newer_ones_are_unavailable(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    before = kids(await provider.key_set(unknown_kid=False))
    remote.stop()
    clock.seconds += HOUR + 1
    for _ in range(3):
        assert kids(await provider.key_set(unknown_kid=False)) == before
        await settled()
        with pytest.raises(Unavailable):
            await provider.key_set(unknown_kid=True)


async def test_keys_of_a_provider_that_is_gone_for_a_day_are_used_no_more(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    await provider.key_set(unknown_kid=False)
    remote.stop()
    clock.seconds += 24 * HOUR + 1
    with pytest.raises(Unavailable):
        await provider.key_set(unknown_kid=False)


async def test_a_slow_provider_delays_nobody_who_has_keys(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    await provider.key_set(unknown_kid=False)
    remote.faults["jwks"] = "slow"
    clock.seconds += 10 * MINUTE + 1
    await asyncio.wait_for(provider.key_set(unknown_kid=False), 0.2)


@pytest.mark.parametrize("document", ["discovery", "jwks"])
@pytest.mark.parametrize("fault", ["down", "slow", "drip", "huge", "redirect", "nonsense", "list"])
async def test_a_faulty_answer_is_unavailable(
    provider: OidcProvider, remote: OpenIdProvider, document: str, fault: str
) -> None:
    remote.faults[document] = fault
    hasty(provider, fault)
    with pytest.raises(Unavailable):
        await provider.key_set(unknown_kid=False)


async def test_a_provider_that_calls_itself_otherwise_is_unavailable(
    provider: OidcProvider, remote: OpenIdProvider
) -> None:
    remote.faults["discovery"] = "wrong-issuer"
    with pytest.raises(Unavailable, match="HEADRACE_OIDC_ISSUER"):
        await provider.key_set(unknown_kid=False)
    assert "jwks" not in remote.fetches


@pytest.mark.parametrize("endpoint", [None, 7, "", "ftp://x/", "file:///etc/passwd", "http:///x", "http://[", "/certs"])
async def test_an_endpoint_that_is_no_address_is_unavailable(
    provider: OidcProvider, remote: OpenIdProvider, endpoint: object
) -> None:
    remote.configuration["jwks_uri"] = endpoint
    with pytest.raises(Unavailable, match="jwks_uri"):
        await provider.key_set(unknown_kid=False)


async def test_a_failed_fetch_is_not_repeated_within_five_seconds(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    remote.faults["jwks"] = "down"
    for unknown_kid in (False, True) * 5:
        with pytest.raises(Unavailable):
            await provider.key_set(unknown_kid=unknown_kid)
        clock.seconds += 0.4
    assert remote.fetches["jwks"] == 1
    remote.faults.clear()
    clock.seconds += 2
    assert await provider.key_set(unknown_kid=False)


async def test_an_unknown_kid_that_found_the_provider_down_may_ask_again_soon(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    await provider.key_set(unknown_kid=False)
    rotated = remote.rotate()
    remote.faults["jwks"] = "down"
    with pytest.raises(Unavailable):
        await provider.key_set(unknown_kid=True)
    remote.faults.clear()
    clock.seconds += 6
    assert rotated.kid in kids(await provider.key_set(unknown_kid=True))


# --- signing in -----------------------------------------------------------------------------------------------------


async def test_the_browser_is_sent_with_all_that_the_code_flow_needs(
    provider: OidcProvider, remote: OpenIdProvider
) -> None:
    url = await provider.authorization_url(redirect_uri=CALLBACK, state="s&x", nonce="n", challenge=CHALLENGE)
    assert url.startswith(f"{remote.issuer}/protocol/openid-connect/auth?")
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["headrace"],
        "redirect_uri": [CALLBACK],
        "scope": ["openid profile"],
        "state": ["s&x"],
        "nonce": ["n"],
        "code_challenge": [CHALLENGE],
        "code_challenge_method": ["S256"],
    }


async def test_a_query_of_the_endpoint_is_kept(provider: OidcProvider, remote: OpenIdProvider) -> None:
    remote.configuration["authorization_endpoint"] = "https://sign-in.example/auth?tenant=a"
    url = await provider.authorization_url(redirect_uri=CALLBACK, state="s", nonce="n", challenge=CHALLENGE)
    assert url.startswith("https://sign-in.example/auth?tenant=a&response_type=code&")


async def test_a_code_is_worth_tokens_once(provider: OidcProvider) -> None:
    code = await code_of(provider)
    answer = await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)
    assert {"access_token", "id_token"} <= answer.keys()
    with pytest.raises(Unauthenticated):
        await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)


@pytest.mark.parametrize("wrong", [{"code": "guessed"}, {"verifier": "x" * 43}, {"redirect_uri": "https://evil.example"}])
async def test_a_code_with_something_wrong_beside_it_is_refused(provider: OidcProvider, wrong: dict[str, str]) -> None:
    code = await code_of(provider)
    with pytest.raises(Unauthenticated):
        await provider.redeem(**{"code": code, "redirect_uri": CALLBACK, "verifier": VERIFIER, **wrong})


async def test_a_client_secret_is_sent_as_the_standard_says(clock: HandClock) -> None:
    """Colons, spaces and other letters have to survive (RFC 6749, 2.3.1)."""
    with OpenIdProvider(alg="ES256", client_id="head race:1", client_secret="s3:cr et/ü&+%") as remote:
        provider = OidcProvider(remote.issuer, remote.client_id, remote.client_secret, "openid", clock)
        code = await code_of(provider)
        assert await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)
        await provider.close()


async def test_a_wrong_client_secret_is_our_fault_and_not_the_users(remote: OpenIdProvider, clock: HandClock) -> None:
    remote.client_secret = "right"
    provider = OidcProvider(remote.issuer, "headrace", "wrong-secret", "openid", clock)
    code = await code_of(provider)
    with pytest.raises(Unavailable, match="invalid_client") as caught:
        await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)
    assert "wrong-secret" not in caught.value.detail
    await provider.close()


@pytest.mark.parametrize("fault", ["down", "slow", "drip", "huge", "redirect", "nonsense", "list"])
async def test_a_faulty_token_endpoint_is_unavailable(
    provider: OidcProvider, remote: OpenIdProvider, fault: str
) -> None:
    code = await code_of(provider)
    remote.faults["token"] = fault
    hasty(provider, fault)
    with pytest.raises(Unavailable):
        await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)


async def test_a_provider_that_is_not_there_is_unavailable(provider: OidcProvider, remote: OpenIdProvider) -> None:
    remote.stop()
    with pytest.raises(Unavailable):
        await code_of(provider)


async def test_a_provider_that_hangs_is_left_alone_for_a_while_and_then_asked_again(
    provider: OidcProvider, remote: OpenIdProvider, clock: HandClock
) -> None:
    code = await code_of(provider)
    remote.faults["token"] = "slow"
    hasty(provider, "slow")
    for _ in range(5):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)
    with pytest.raises(Unavailable, match="left alone"):
        await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)
    remote.faults.clear()
    clock.seconds += 3
    assert await provider.redeem(code=code, redirect_uri=CALLBACK, verifier=VERIFIER)


async def test_a_provider_that_refuses_codes_is_there(provider: OidcProvider) -> None:
    for _ in range(8):
        with pytest.raises(Unauthenticated):
            await provider.redeem(code="made-up", redirect_uri=CALLBACK, verifier=VERIFIER)


async def test_a_secure_issuer_is_never_asked_over_plain_http(clock: HandClock) -> None:
    """The configuration may move the endpoints to another host, but not from https to http."""
    provider = OidcProvider("https://sign-in.example", "headrace", "", "openid", clock)
    with pytest.raises(Unavailable):
        provider._check_address("jwks_uri", "http://sign-in.example/certs")
    provider._check_address("jwks_uri", "https://keys.example/certs")
