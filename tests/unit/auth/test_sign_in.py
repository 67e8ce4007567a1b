"""Signing in, refreshing and signing out: what each answer gives away, and what ends a session."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.auth.guard import Guard
from headrace.auth.sign_in import SignIn, SignInOptions, TokenPair
from headrace.errors import Forbidden, HeadraceError, Overloaded, OverQuota, Unauthenticated, Unavailable
from headrace.kit.times import DAY, SECOND
from headrace.model.account import User
from headrace.model.principal import Principal, Role
from headrace.ports.limiter import Limit
from tests.unit.auth.fakes_signin import ADA, PASSWORD, FakePasswords, FakeTokens, People, hashed
from tests.unit.control import HandClock

HERE = "203.0.113.7"
MONTH = 30 * 86_400


class Desk:
    """A SignIn with what is around it."""

    def __init__(self, *users: User, require_verified: bool = True) -> None:
        self.people = People(*users)
        self.passwords = FakePasswords()
        self.clock = HandClock()
        self.guard = Guard(MemoryLimiter(self.clock), Limit("account", 10, 900), Limit("address", 100, 900))
        self.sign_in = SignIn(
            self.people,  # type: ignore[arg-type]
            self.people,
            self.passwords,  # type: ignore[arg-type]
            FakeTokens(),  # type: ignore[arg-type]
            self.guard,
            self.people,  # type: ignore[arg-type]
            self.clock,
            SignInOptions(require_verified, MONTH),
        )

    async def login(self, name: str = "ada", password: str = PASSWORD, address: str = HERE) -> TokenPair:
        return await self.sign_in.login(name, password, address)

    async def refused(self, name: str = "ada", password: str = "wrong", address: str = HERE) -> HeadraceError:
        with pytest.raises(HeadraceError) as refused:
            await self.login(name, password, address)
        return refused.value


@pytest.fixture
def desk() -> Desk:
    return Desk(ADA)


def session_of(pair: TokenPair) -> str:
    return pair.access_token.split(":")[2]


# --- login


@pytest.mark.parametrize("name", ["ada", "ADA", " ada ", "ada@example.com", "Ada@Example.COM"])
async def test_people_sign_in_by_username_or_email_in_any_case(desk: Desk, name: str) -> None:
    pair = await desk.login(name)
    assert pair.access_token.startswith(f"access:{ADA.id}:")
    assert pair.expires_in == 900


async def test_a_sign_in_is_a_session_that_is_audited_with_it(desk: Desk) -> None:
    pair = await desk.login()
    session = desk.people.sessions[session_of(pair)]
    assert (session.user_id, session.expires_at - session.created_at) == (ADA.id, 30 * DAY)
    (record,) = desk.people.audited
    assert (record.action, record.actor_id, record.target_id, record.outcome) == (
        "user.login",
        ADA.id,
        ADA.id,
        "success",
    )
    assert record.attributes["address"] == HERE
    assert desk.people.commits == 1


async def test_only_a_digest_of_the_refresh_token_is_kept_and_nothing_prints_a_secret(desk: Desk) -> None:
    pair = await desk.login()
    secret = pair.refresh_token.rpartition("_")[2]
    assert secret not in repr((desk.people.sessions, desk.people.audited, pair))
    assert pair.access_token not in repr(pair)


async def test_unknown_names_and_wrong_passwords_are_told_the_same_after_the_same_work(desk: Desk) -> None:
    told = []
    for name in ("ada", "nobody", "nobody@example.com", "x" * 5_000, "nul\0", "\ud800", ""):
        before = (desk.passwords.worked, desk.people.commits)
        error = await desk.refused(name)
        work = (desk.passwords.worked - before[0], desk.people.commits - before[1])
        told.append((type(error), error.code, error.detail, work))
    assert set(told) == {(Unauthenticated, "unauthenticated", told[0][2], (1, 1))}


async def test_a_name_that_can_be_nobodys_does_not_reach_the_database(desk: Desk) -> None:
    for name in ("x" * 5_000, "nul\0", "\ud800", ""):
        await desk.refused(name)
    assert desk.people.asked == []


async def test_a_name_that_only_looks_alike_is_another_name(desk: Desk) -> None:
    """A collation that ignores accents must not give each account many names with ten guesses each."""
    assert isinstance(await desk.refused("áda", PASSWORD), Unauthenticated)


@pytest.mark.parametrize("changed", [{"password_hash": None}, {"disabled": True}, {"verified": False}])
async def test_with_a_wrong_password_every_account_is_told_the_same(changed: dict[str, object]) -> None:
    desk = Desk(replace(ADA, **changed))  # type: ignore[arg-type]
    error = await desk.refused()
    assert (error.code, desk.passwords.worked) == ("unauthenticated", 1)


async def test_the_right_password_of_an_unverified_account_is_told_so(desk: Desk) -> None:
    desk.people.change(ADA.id, verified=False)
    error = await desk.refused(password=PASSWORD)
    assert (type(error), error.code) == (Forbidden, "not-verified")
    assert desk.people.sessions == {}


async def test_unverified_accounts_get_in_where_that_is_allowed() -> None:
    desk = Desk(replace(ADA, verified=False), require_verified=False)
    assert await desk.login()


async def test_the_right_password_of_a_disabled_account_is_told_so(desk: Desk) -> None:
    desk.people.change(ADA.id, disabled=True)
    error = await desk.refused(password=PASSWORD)
    assert (type(error), error.code) == (Forbidden, "disabled")
    assert desk.people.sessions == {}


async def test_a_failure_is_audited_by_id_and_never_by_what_was_typed(desk: Desk) -> None:
    await desk.refused("ada")
    await desk.refused("my-secret-password", "ada")
    known, unknown = desk.people.audited
    assert (known.action, known.outcome, known.target_id, known.actor_type) == (
        "user.login_failed",
        "failure",
        ADA.id,
        "anonymous",
    )
    assert (unknown.target_id, unknown.attributes) == ("unknown", {"address": HERE, "reason": "unknown-account"})
    assert "my-secret-password" not in repr(desk.people.audited)


async def test_the_reason_of_a_refusal_is_audited(desk: Desk) -> None:
    desk.people.change(ADA.id, disabled=True)
    await desk.refused(password=PASSWORD)
    assert desk.people.audited[0].attributes["reason"] == "disabled"


async def test_old_hashes_are_renewed_silently_and_end_no_session(desk: Desk) -> None:
    first = await desk.login()
    desk.people.change(ADA.id, password_hash=hashed(PASSWORD, "old"))
    await desk.login()
    assert desk.people.users[ADA.id].password_hash == hashed(PASSWORD)
    assert session_of(first) in desk.people.sessions
    assert desk.people.actions() == ["user.login", "user.login"]


async def test_a_hash_that_cannot_be_renewed_keeps_nobody_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> bool:
        raise Unavailable("busy")

    desk.people.change(ADA.id, password_hash=hashed(PASSWORD, "old"))
    monkeypatch.setattr(desk.people, "replace_hash", refuse)
    assert await desk.login()


@pytest.mark.parametrize("changed", [{"password_hash": hashed("new one")}, {"disabled": True}])
async def test_what_changes_while_a_password_is_hashed_counts(desk: Desk, changed: dict[str, object]) -> None:
    desk.passwords.then = lambda: desk.people.change(ADA.id, **changed)
    assert isinstance(await desk.refused(password=PASSWORD), Forbidden | Unavailable)
    assert desk.people.sessions == {}


async def test_of_fifty_guesses_at_once_ten_are_hashed(desk: Desk) -> None:
    errors = await asyncio.gather(*(desk.refused("ada", f"guess {n}", f"203.0.113.{n}") for n in range(50)))
    assert desk.passwords.worked == 10
    assert sum(isinstance(error, OverQuota) for error in errors) == 40


async def test_a_locked_account_is_told_the_same_whether_it_exists(desk: Desk) -> None:
    for name in ("ada", "nobody"):
        for _ in range(10):
            await desk.refused(name)
    known, unknown = await desk.refused("ada", PASSWORD), await desk.refused("nobody", PASSWORD)
    assert (type(known), known.code, known.detail) == (OverQuota, "too-many-attempts", unknown.detail)
    assert desk.passwords.worked == 20


async def test_spellings_of_one_name_share_its_guesses(desk: Desk) -> None:
    for name in ("ada@example.com", "ADA@example.com", " Ada@EXAMPLE.com") * 4:
        last = await desk.refused(name)
    assert isinstance(last, OverQuota)


async def test_the_right_password_clears_the_failures_before_it(desk: Desk) -> None:
    for _ in range(3):
        for _ in range(9):
            await desk.refused()
        await desk.login()


async def test_right_but_not_verified_is_no_failure_to_the_guard(desk: Desk) -> None:
    desk.people.change(ADA.id, verified=False)
    codes = [(await desk.refused(password=PASSWORD)).code for _ in range(30)]
    assert codes == ["not-verified"] * 10 + ["too-many-attempts"] * 20
    desk.people.change(ADA.id, verified=True)
    assert await desk.login()


@pytest.mark.parametrize("change", [{"verified": False}, {"disabled": True}])
async def test_who_knows_the_password_but_is_shut_out_cannot_fill_the_audit(
    desk: Desk, change: dict[str, bool]
) -> None:
    desk.people.change(ADA.id, **change)
    for _ in range(30):
        await desk.refused(password=PASSWORD)
    assert len(desk.people.audited) == 10


async def test_an_outage_locks_nobody_out(desk: Desk) -> None:
    desk.people.down = True
    for _ in range(30):
        assert isinstance(await desk.refused(password=PASSWORD), Unavailable)
    desk.people.down = False
    desk.passwords.refusing = Overloaded("busy")
    for _ in range(30):
        assert isinstance(await desk.refused(password=PASSWORD), Overloaded)
    desk.passwords.refusing = None
    assert await desk.login()


# --- refresh


async def test_a_refresh_token_is_good_once_and_slides_the_end_of_the_session(desk: Desk) -> None:
    first = await desk.login()
    desk.clock.seconds += 20 * 86_400
    second = await desk.sign_in.refresh(first.refresh_token, HERE)
    assert second.refresh_token != first.refresh_token
    assert session_of(second) == session_of(first)
    assert desk.people.sessions[session_of(first)].expires_at == desk.clock.now() + MONTH * SECOND
    desk.clock.seconds += 20 * 86_400
    assert await desk.sign_in.refresh(second.refresh_token, HERE)


async def refuse_refresh(desk: Desk, token: str) -> HeadraceError:
    with pytest.raises(HeadraceError) as refused:
        await desk.sign_in.refresh(token, HERE)
    return refused.value


async def test_an_old_refresh_token_ends_the_session(desk: Desk) -> None:
    first = await desk.login()
    second = await desk.sign_in.refresh(first.refresh_token, HERE)
    assert isinstance(await refuse_refresh(desk, first.refresh_token), Unauthenticated)
    assert isinstance(await refuse_refresh(desk, second.refresh_token), Unauthenticated)
    assert desk.people.sessions == {}
    reuse = desk.people.audited[-1]
    assert (reuse.action, reuse.target_id, reuse.outcome) == ("session.reuse_detected", ADA.id, "failure")


async def test_of_two_refreshes_at_once_one_is_reuse(desk: Desk) -> None:
    pair = await desk.login()
    both = await asyncio.gather(
        *(desk.sign_in.refresh(pair.refresh_token, HERE) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["TokenPair", "Unauthenticated"]
    assert desk.people.sessions == {}
    assert desk.people.actions() == ["user.login", "session.reuse_detected"]


async def test_only_the_session_of_the_token_ends(desk: Desk) -> None:
    first, other = await desk.login(), await desk.login()
    await desk.sign_in.refresh(first.refresh_token, HERE)
    await refuse_refresh(desk, first.refresh_token)
    assert list(desk.people.sessions) == [session_of(other)]


async def test_an_expired_session_cannot_be_refreshed(desk: Desk) -> None:
    pair = await desk.login()
    desk.clock.seconds += MONTH
    error = await refuse_refresh(desk, pair.refresh_token)
    assert (type(error), error.code) == (Unauthenticated, "expired-token")


async def test_a_disabled_user_cannot_refresh(desk: Desk) -> None:
    pair = await desk.login()
    desk.people.change(ADA.id, disabled=True)
    assert isinstance(await refuse_refresh(desk, pair.refresh_token), Unauthenticated)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token.upper(),
        lambda token: token + "A",
        lambda token: token[:-1],
        lambda token: f" {token}",
        lambda token: token + "\n",
        lambda token: token.replace("hrr_", "hr_"),
        lambda token: token[:12] + "-" + token[12:],
        lambda token: "",
        lambda token: "hrr_" + "٣" * 32 + token[36:],
        lambda token: token * 1_000,
    ],
)
async def test_what_has_not_the_form_of_a_refresh_token_touches_no_session(desk: Desk, spoil: object) -> None:
    pair = await desk.login()
    assert isinstance(await refuse_refresh(desk, spoil(pair.refresh_token)), Unauthenticated)  # type: ignore[operator]
    assert await desk.sign_in.refresh(pair.refresh_token, HERE)


async def test_guessing_refresh_tokens_is_limited_by_address_and_refreshing_is_not(desk: Desk) -> None:
    pair = await desk.login()
    for _ in range(150):
        pair = await desk.sign_in.refresh(pair.refresh_token, HERE)
    guess = f"hrr_{'0' * 32}_{'A' * 43}"
    errors = [type(await refuse_refresh(desk, guess)) for _ in range(101)]
    assert errors == [Unauthenticated] * 100 + [OverQuota]


# --- logout


def principal(user_id: str = ADA.id, kind: str = "user") -> Principal:
    return Principal(id=user_id, kind=kind, name="ada", role=Role.USER)


async def test_a_logout_ends_the_session_and_is_audited_once(desk: Desk) -> None:
    pair = await desk.login()
    for _ in range(2):
        await desk.sign_in.logout(session_of(pair), principal(), HERE)
    assert desk.people.sessions == {}
    assert desk.people.actions() == ["user.login", "user.logout"]
    assert isinstance(await refuse_refresh(desk, pair.refresh_token), Unauthenticated)


@pytest.mark.parametrize("other", [principal("somebody-else"), principal(kind="api_key")])
async def test_nobody_ends_the_session_of_another(desk: Desk, other: Principal) -> None:
    pair = await desk.login()
    await desk.sign_in.logout(session_of(pair), other, HERE)
    assert session_of(pair) in desk.people.sessions


async def test_a_logout_by_refresh_token_ends_the_session(desk: Desk) -> None:
    pair = await desk.login()
    await desk.sign_in.logout_by_refresh(pair.refresh_token, HERE)
    assert desk.people.sessions == {}
    assert (desk.people.audited[-1].action, desk.people.audited[-1].actor_id) == ("user.logout", ADA.id)


async def test_a_logout_with_a_token_that_is_good_for_nothing_is_fine(desk: Desk) -> None:
    pair = await desk.login()
    for token in ("", "hrr_", f"hrr_{'0' * 32}_{'A' * 43}"):
        await desk.sign_in.logout_by_refresh(token, HERE)
    assert session_of(pair) in desk.people.sessions


async def test_a_logout_with_an_old_token_is_reuse(desk: Desk) -> None:
    first = await desk.login()
    await desk.sign_in.refresh(first.refresh_token, HERE)
    await desk.sign_in.logout_by_refresh(first.refresh_token, HERE)
    assert desk.people.sessions == {}
    assert desk.people.actions()[-1] == "session.reuse_detected"


async def test_another_way_of_showing_who_one_is_begins_a_session_too(desk: Desk) -> None:
    await desk.sign_in.begin_session(ADA, HERE, "oidc")
    assert desk.people.audited[0].attributes["how"] == "oidc"
