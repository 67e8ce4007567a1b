"""Sessions of browsers: what a cookie is worth, for how long, and that it is no refresh token."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.auth.authenticate import Authenticator
from headrace.auth.browser import BrowserSessions, csrf_token
from headrace.auth.guard import Guard
from headrace.auth.sign_in import SignIn, SignInOptions
from headrace.errors import OverQuota, Unauthenticated, Unavailable
from headrace.kit.times import DAY, HOUR, SECOND
from headrace.model.principal import USER
from headrace.ports.limiter import Limit
from tests.unit.auth.fakes_signin import ADA, PASSWORD, FakePasswords, FakeTokens, HeldLimiter, People, hashed
from tests.unit.control import HandClock

HERE = "192.0.2.7"
LIFETIME = 30 * DAY // SECOND


class Desk:
    def __init__(self, *, lifetime: int = LIFETIME) -> None:
        self.clock, self.people = HandClock(), People(ADA)
        people: Any = self.people
        tokens: Any = FakeTokens()
        guard = Guard(HeldLimiter(self.clock), Limit("account", 3, 900), Limit("address", 100, 900))
        nobody: Any = SimpleNamespace(find_key=None, find_account=None)
        self.authenticator = Authenticator(nobody, people, nobody, tokens, nobody, None, nobody, self.clock)
        options = SignInOptions(False, lifetime)
        hashes: Any = FakePasswords()
        self.sign_in = SignIn(
            people, people, hashes, tokens, guard, people, self.clock, options, self.authenticator.forget
        )
        self.browser = BrowserSessions(people, self.sign_in, self.authenticator, self.clock)

    async def cookie(self) -> str:
        return await self.browser.sign_in("ada", PASSWORD, HERE)

    @property
    def session(self) -> Any:
        (session,) = self.people.sessions.values()
        return session


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_cookie_is_its_user(desk: Desk) -> None:
    principal = await desk.browser.principal_of(await desk.cookie())
    assert (principal.id, principal.kind, principal.session_id) == (ADA.id, USER, desk.session.id)


async def test_signing_in_is_audited_and_guarded_as_at_the_other_door(desk: Desk) -> None:
    with pytest.raises(Unauthenticated):
        await desk.browser.sign_in("ada", "wrong", HERE)
    await desk.cookie()
    assert desk.people.actions() == ["user.login_failed", "user.login"]
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await desk.browser.sign_in("ada", "wrong", HERE)
    with pytest.raises(OverQuota):
        await desk.cookie()


async def test_each_sign_in_is_a_session_of_its_own(desk: Desk) -> None:
    assert await desk.cookie() != await desk.cookie()
    assert len(desk.people.sessions) == 2


async def test_the_secret_of_a_cookie_is_no_refresh_token(desk: Desk) -> None:
    cookie = await desk.cookie()
    with pytest.raises(Unauthenticated):
        await desk.sign_in.refresh(cookie, HERE)
    with pytest.raises(Unauthenticated):
        await desk.sign_in.refresh(cookie.replace("hrb_", "hrr_"), HERE)


async def test_a_refresh_token_is_no_cookie(desk: Desk) -> None:
    pair = await desk.sign_in.login("ada", PASSWORD, HERE)
    for text in (pair.refresh_token, pair.refresh_token.replace("hrr_", "hrb_"), pair.access_token):
        with pytest.raises(Unauthenticated):
            await desk.browser.principal_of(text)


@pytest.mark.parametrize("wrong", ["", "hrb_", "hrb_" + "a" * 32 + "_" + "b" * 43, "x" * 5_000, "hrb_é"])
async def test_made_up_cookies_are_nobodys(desk: Desk, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(wrong)


async def test_the_id_of_a_session_is_not_enough(desk: Desk) -> None:
    cookie = await desk.cookie()
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(cookie[:37] + "b" * 43)
    assert await desk.browser.principal_of(cookie)  # trying did not end it


async def test_signing_out_shows_at_once(desk: Desk) -> None:
    cookie = await desk.cookie()
    await desk.browser.principal_of(cookie)
    await desk.browser.end(cookie, HERE)
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(cookie)
    await desk.browser.end(cookie, HERE)  # twice is fine
    assert desk.people.actions() == ["user.login", "user.logout"]


async def test_what_another_process_ended_is_over_within_5_seconds(desk: Desk) -> None:
    cookie = await desk.cookie()
    await desk.browser.principal_of(cookie)
    desk.people.sessions.clear()
    desk.clock.seconds += 5
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(cookie)


async def test_whoever_is_disabled_is_out_within_5_seconds(desk: Desk) -> None:
    cookie = await desk.cookie()
    await desk.browser.principal_of(cookie)
    desk.people.change(ADA.id, disabled=True)
    desk.clock.seconds += 5
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(cookie)


async def test_a_session_that_is_used_lasts_and_is_written_once_an_hour(desk: Desk) -> None:
    cookie = await desk.cookie()
    began = desk.session.expires_at
    for _ in range(59):
        desk.clock.seconds += 60
        await desk.browser.principal_of(cookie)
    assert desk.session.expires_at == began
    desk.clock.seconds += 60
    await desk.browser.principal_of(cookie)
    assert desk.session.expires_at == began + HOUR
    desk.clock.seconds += 60
    await desk.browser.principal_of(cookie)
    assert desk.session.expires_at == began + HOUR


async def test_a_session_that_nobody_uses_ends(desk: Desk) -> None:
    cookie = await desk.cookie()
    desk.clock.seconds += LIFETIME
    with pytest.raises(Unauthenticated):
        await desk.browser.principal_of(cookie)


async def test_a_short_session_slides_too() -> None:
    desk = Desk(lifetime=60)
    cookie = await desk.cookie()
    for _ in range(10):
        desk.clock.seconds += 20
        await desk.browser.principal_of(cookie)


async def test_while_the_database_is_away_a_known_session_stays(desk: Desk) -> None:
    cookie = await desk.cookie()
    await desk.browser.principal_of(cookie)
    desk.people.down = True
    desk.clock.seconds += 600
    assert await desk.browser.principal_of(cookie)
    with pytest.raises(Unavailable):
        await desk.browser.principal_of("hrb_" + "a" * 32 + "_" + "b" * 43)


async def test_a_password_that_changed_while_one_signed_in_lets_nobody_in(desk: Desk) -> None:
    user = desk.people.users[ADA.id]
    desk.people.change(ADA.id, password_hash=hashed("another one"))
    with pytest.raises(Unavailable):
        await desk.browser.begin(user, HERE, "password")


async def test_the_token_of_forms_is_of_the_session_and_tells_nothing_of_it(desk: Desk) -> None:
    cookie, other = await desk.cookie(), await desk.cookie()
    assert csrf_token(cookie) == csrf_token(cookie) != csrf_token(other)
    assert cookie.split("_", 2)[-1] not in csrf_token(cookie)  # a random secret may have underscores of its own
    assert desk.people.sessions
    digests = {session.secret_sha256.hex() for session in desk.people.sessions.values()}
    assert csrf_token(cookie) not in digests
