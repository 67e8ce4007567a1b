"""Registering and the links in mail: nobody learns who has an account, and a link is good once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.auth.guard import Guard
from headrace.auth.registration import Registration, RegistrationOptions
from headrace.auth.sign_in import LOGIN
from headrace.errors import Conflict, Forbidden, Gone, HeadraceError, Invalid, OverQuota, Unavailable
from headrace.model.account import User
from headrace.model.principal import Role
from headrace.ports.limiter import Limit
from headrace.ports.notifier import Mail
from tests.unit.auth.fakes_signin import ADA, PASSWORD, FakePasswords, Outgoing, People, hashed
from tests.unit.control import HandClock

HERE = "203.0.113.7"
BASE = "https://headrace.example.com/app"
NEW_PASSWORD = "quite another password"


class Desk:
    """A Registration with what is around it."""

    def __init__(self, *users: User, is_open: bool = True) -> None:
        self.people = People(*users)
        self.passwords = FakePasswords()
        self.clock = HandClock()
        self.post = Outgoing()
        self.guard = Guard(MemoryLimiter(self.clock), Limit("account", 10, 900), Limit("address", 100, 900))
        self.registration = Registration(
            self.people,  # type: ignore[arg-type]
            self.people,
            self.passwords,  # type: ignore[arg-type]
            self.post,  # type: ignore[arg-type]
            self.guard,
            self.people,  # type: ignore[arg-type]
            self.clock,
            RegistrationOptions(is_open, 86_400, 3_600, BASE + "/"),
        )

    async def register(self, username: str = "grace", email: str = "grace@example.com", **other: Any) -> None:
        form = {"password": PASSWORD, "first_name": None, "last_name": None, "address": HERE} | other
        await self.registration.register(username, email, **form)

    async def asked_reset(self, email: str = "ada@example.com") -> Mail | None:
        before = len(self.post.mails)
        await self.registration.ask_reset(email, HERE)
        await self.post.write()
        return self.post.mails[-1] if len(self.post.mails) > before else None

    async def reset_token(self) -> str:
        mail = await self.asked_reset()
        assert mail is not None
        return token_in(mail, "reset-password")

    def user(self, username: str) -> User:
        return next(user for user in self.people.users.values() if user.username == username)


def token_in(mail: Mail, page: str) -> str:
    found = re.search(rf"^{re.escape(BASE)}/{page}\?token=([A-Za-z0-9_-]{{43}})$", mail.text, re.MULTILINE)
    assert found is not None, mail.text
    return found[1]


async def error_of(call: Awaitable[None]) -> HeadraceError:
    with pytest.raises(HeadraceError) as refused:
        await call
    return refused.value


@pytest.fixture
def desk() -> Desk:
    return Desk(ADA)


# --- register


async def test_a_new_user_is_not_verified_and_gets_a_link_that_does_it(desk: Desk) -> None:
    await desk.register("Grace", "Grace@Example.com", first_name=" Grace ", last_name="Hopper")
    user = desk.user("grace")
    assert (user.email, user.first_name, user.last_name) == ("grace@example.com", "Grace", "Hopper")
    assert (user.role, user.verified, user.password_hash) == (Role.USER, False, hashed(PASSWORD))
    (mail,) = desk.post.mails
    assert mail.to == "grace@example.com"
    await desk.registration.verify(token_in(mail, "verify"), HERE)
    assert desk.user("grace").verified
    assert desk.people.actions() == ["user.registered", "user.verified"]
    assert desk.people.audited[1].actor_id == user.id


TAKEN = {
    "free": ("grace", "grace@example.com"),
    "email": ("grace", "ada@example.com"),
    "name": ("ada", "grace@example.com"),
    "both": ("ada", "ada@example.com"),
}


@pytest.mark.parametrize("which", TAKEN)
async def test_whatever_is_taken_the_work_is_the_same_and_one_mail_goes_out(desk: Desk, which: str) -> None:
    await desk.register(*TAKEN[which])
    assert (desk.passwords.worked, desk.people.commits, len(desk.post.mails)) == (1, 1, 1)
    assert desk.post.mails[0].to == TAKEN[which][1]


async def test_whose_address_is_taken_learns_it_by_mail_and_nothing_changes(desk: Desk) -> None:
    await desk.register(*TAKEN["email"], password=NEW_PASSWORD)
    assert "already" in desk.post.mails[0].subject
    assert "token=" not in desk.post.mails[0].text
    assert list(desk.people.users.values()) == [ADA]
    assert (desk.people.audited[0].outcome, desk.people.audited[0].actor_type) == ("failure", "anonymous")


async def test_whose_name_is_taken_learns_it_by_mail_and_nothing_changes(desk: Desk) -> None:
    await desk.register(*TAKEN["name"])
    assert "taken" in desk.post.mails[0].subject
    assert list(desk.people.users.values()) == [ADA]


async def test_of_two_who_register_the_same_at_once_one_is_told_that_it_is_taken(desk: Desk) -> None:
    await asyncio.gather(desk.register(), desk.register())
    assert len(desk.people.users) == 2
    subjects = sorted(mail.subject for mail in desk.post.mails)
    assert subjects == ["Verify your e-mail address", "You already have an account"]


async def test_nothing_that_a_stranger_typed_is_in_the_mail(desk: Desk) -> None:
    typed = {"first_name": "Buy gold", "last_name": "at evil.example"}
    await desk.register("win.evil.example", "grace@example.com", **typed)
    await desk.register("win.evil.example", "victim@example.com", **typed)
    for mail in desk.post.mails:
        assert "evil" not in mail.subject + mail.text
        assert "gold" not in mail.subject + mail.text


async def test_closed_registration_is_forbidden_before_anything_is_looked_at() -> None:
    desk = Desk(is_open=False)
    error = await error_of(desk.register("", "", password=""))
    assert (type(error), error.code) == (Forbidden, "registration-closed")


async def test_everything_that_is_wrong_is_shown_at_once(desk: Desk) -> None:
    error = await error_of(
        desk.register("-", "nobody", password="short", first_name="a\r\nb", last_name="x" * 1_000)
    )
    assert isinstance(error, Invalid)
    fields = {item.field for item in error.items}
    assert fields == {"username", "email", "password", "first_name", "last_name"}
    assert (desk.passwords.worked, desk.people.commits, desk.post.mails) == (0, 0, [])


@pytest.mark.parametrize(
    "email", ["ada@example.com\r\nBcc: eve@example.com", "a@b.de\n", "a@b.de, c@d.de", "@", "a@b@c"]
)
async def test_what_is_no_address_is_refused(desk: Desk, email: str) -> None:
    error = await error_of(desk.register("grace", email))
    assert [item.field for item in error.items] == ["email"]
    assert isinstance(await error_of(desk.registration.ask_reset(email, HERE)), Invalid)


async def test_a_password_like_the_name_is_refused(desk: Desk) -> None:
    error = await error_of(desk.register("grace-hopper", password="Grace-Hopper"))
    assert [item.code for item in error.items] == ["like-username"]


async def test_one_address_is_not_buried_in_mail(desk: Desk) -> None:
    for n in range(10):
        await desk.register(f"grace{n}", "ada@example.com", address=f"203.0.113.{n}")
    assert isinstance(await error_of(desk.register("grace", "ada@example.com", address="203.0.113.99")), OverQuota)
    assert (len(desk.post.mails), desk.passwords.worked) == (10, 10)


async def test_one_sender_cannot_register_without_end(desk: Desk) -> None:
    for n in range(100):
        await desk.register(f"grace{n}", f"grace{n}@example.com")
    assert isinstance(await error_of(desk.register("last", "last@example.com")), OverQuota)


async def test_a_registration_that_we_could_not_do_counts_for_nothing(desk: Desk) -> None:
    desk.people.down = True
    for _ in range(20):
        assert isinstance(await error_of(desk.register()), Unavailable)
    desk.people.down = False
    await desk.register()
    assert len(desk.post.mails) == 1


# --- verify


async def verify_token(desk: Desk) -> str:
    await desk.register()
    return token_in(desk.post.mails[-1], "verify")


async def test_a_link_is_good_once(desk: Desk) -> None:
    token = await verify_token(desk)
    await desk.registration.verify(token, HERE)
    assert isinstance(await error_of(desk.registration.verify(token, HERE)), Gone)


async def test_a_link_expires(desk: Desk) -> None:
    token = await verify_token(desk)
    desk.clock.seconds += 86_400
    assert isinstance(await error_of(desk.registration.verify(token, HERE)), Gone)
    assert not desk.user("grace").verified


@pytest.mark.parametrize(
    "token", ["", "x", "A" * 43, "A" * 44, "ü" * 43, "A" * 1_000_000, "A" * 42 + "\n", "\ud800" * 43]
)
async def test_what_is_no_link_of_ours_is_gone(desk: Desk, token: str) -> None:
    assert isinstance(await error_of(desk.registration.verify(token, HERE)), Gone)
    assert isinstance(await error_of(desk.registration.reset(token, NEW_PASSWORD, HERE)), Gone)
    assert desk.passwords.worked == 0


async def test_a_link_is_good_for_its_own_purpose_only(desk: Desk) -> None:
    verify = await verify_token(desk)
    assert isinstance(await error_of(desk.registration.reset(verify, NEW_PASSWORD, HERE)), Gone)
    reset = await desk.reset_token()
    assert isinstance(await error_of(desk.registration.verify(reset, HERE)), Gone)


async def test_only_digests_of_tokens_are_kept(desk: Desk) -> None:
    token = await verify_token(desk)
    assert token not in repr((desk.people.links, desk.people.audited))


@pytest.mark.parametrize("door", ["verify", "reset"])
async def test_guessing_links_is_limited_by_address(desk: Desk, door: str) -> None:
    calls: dict[str, Callable[[], Awaitable[None]]] = {
        "verify": lambda: desk.registration.verify("A" * 43, HERE),
        "reset": lambda: desk.registration.reset("A" * 43, NEW_PASSWORD, HERE),
    }
    errors = [type(await error_of(calls[door]())) for _ in range(101)]
    assert errors == [Gone] * 100 + [OverQuota]


# --- reset


async def test_a_new_password_by_link_ends_all_sessions_and_verifies(desk: Desk) -> None:
    desk.people.change(ADA.id, verified=False)
    desk.people.sessions["s"] = type("S", (), {"user_id": ADA.id})()
    token = await desk.reset_token()
    await desk.registration.reset(token, NEW_PASSWORD, HERE)
    user = desk.people.users[ADA.id]
    assert (user.password_hash, user.verified, desk.people.sessions) == (hashed(NEW_PASSWORD), True, {})
    assert desk.people.actions() == ["user.password_reset_requested", "user.password_changed"]
    assert isinstance(await error_of(desk.registration.reset(token, NEW_PASSWORD, HERE)), Gone)


async def test_the_owner_is_told_that_the_password_was_changed(desk: Desk) -> None:
    await desk.registration.reset(await desk.reset_token(), NEW_PASSWORD, HERE)
    assert (desk.post.mails[-1].to, desk.post.mails[-1].subject) == ("ada@example.com", "Your password was changed")


@pytest.mark.parametrize("password", ["short", "x" * 1_025, "password12", "ada@example.com", "nul\0" * 5])
async def test_a_password_that_will_not_do_leaves_the_link_good(desk: Desk, password: str) -> None:
    token = await desk.reset_token()
    error = await error_of(desk.registration.reset(token, password, HERE))
    assert isinstance(error, Invalid)
    assert {item.field for item in error.items} == {"password"}
    await desk.registration.reset(token, NEW_PASSWORD, HERE)


async def test_of_two_resets_at_once_one_wins(desk: Desk) -> None:
    token = await desk.reset_token()
    both = await asyncio.gather(
        *(desk.registration.reset(token, NEW_PASSWORD, HERE) for _ in range(2)), return_exceptions=True
    )
    assert [type(one) for one in both if one is not None] == [Gone]


async def test_a_reset_link_expires(desk: Desk) -> None:
    token = await desk.reset_token()
    desk.clock.seconds += 3_600
    assert isinstance(await error_of(desk.registration.reset(token, NEW_PASSWORD, HERE)), Gone)


async def test_a_second_link_kills_the_first(desk: Desk) -> None:
    first, second = await desk.reset_token(), await desk.reset_token()
    assert isinstance(await error_of(desk.registration.reset(first, NEW_PASSWORD, HERE)), Gone)
    await desk.registration.reset(second, NEW_PASSWORD, HERE)


async def test_whoever_locked_the_account_keeps_its_owner_out_no_longer_than_a_reset(desk: Desk) -> None:
    for name in ("ada", "ada@example.com"):
        for n in range(10):
            await desk.guard.enter(LOGIN, name, f"203.0.113.{n}")
    await desk.registration.reset(await desk.reset_token(), NEW_PASSWORD, HERE)
    for name in ("ada", "ada@example.com"):
        await desk.guard.enter(LOGIN, name, HERE)


async def test_asking_does_the_same_work_whether_the_address_is_known(desk: Desk) -> None:
    for email in ("ada@example.com", "nobody@example.com"):
        before = desk.people.commits
        await desk.registration.ask_reset(email, HERE)
        assert desk.people.commits == before + 1
    await desk.post.write()
    assert [mail.to for mail in desk.post.mails] == ["ada@example.com"]
    assert "nobody" not in repr(desk.people.audited)


async def test_a_disabled_user_gets_no_link(desk: Desk) -> None:
    desk.people.change(ADA.id, disabled=True)
    assert await desk.asked_reset() is None
    assert desk.people.links == {}


async def test_an_account_without_a_password_gets_a_mail_but_no_link(desk: Desk) -> None:
    """Else whoever an OpenID provider has locked out would get in with a password of their own."""
    desk.people.change(ADA.id, password_hash=None)
    mail = await desk.asked_reset()
    assert mail is not None
    assert "token=" not in mail.text
    assert desk.people.links == {}


@pytest.mark.parametrize("verified", [True, False])
async def test_only_a_verified_address_is_told_the_username(verified: bool) -> None:
    desk = Desk(replace(ADA, username="ada-lovelace", verified=verified))
    mail = await desk.asked_reset()
    assert mail is not None
    assert ("ada-lovelace" in mail.text) is verified


async def test_asking_for_links_is_limited_for_each_address_of_mail(desk: Desk) -> None:
    for email in ("ada@example.com", "nobody@example.com"):
        for _ in range(10):
            await desk.registration.ask_reset(email, HERE)
        assert isinstance(await error_of(desk.registration.ask_reset(email, HERE)), OverQuota)


# --- all of them


async def test_mails_say_how_long_a_link_is_good_and_what_to_do_if_it_was_not_you(desk: Desk) -> None:
    await desk.register()
    await desk.register(*TAKEN["email"])
    await desk.register(*TAKEN["name"])
    await desk.registration.reset(await desk.reset_token(), NEW_PASSWORD, HERE)
    desk.people.change(ADA.id, password_hash=None)
    await desk.asked_reset()
    assert len(desk.post.mails) == 6
    for mail in desk.post.mails:
        assert "It was not you" in mail.text
        assert mail.text.isascii()
        assert all(len(line) <= 120 for line in mail.text.splitlines())
    assert "good for 24 hours" in desk.post.mails[0].text
    assert "good for 1 hour," in desk.post.mails[3].text


async def test_an_address_that_is_taken_wins_over_a_name_that_is(desk: Desk) -> None:
    await desk.register(*TAKEN["both"])
    assert "already" in desk.post.mails[0].subject


async def test_a_conflict_is_never_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def conflict(*_: object, **__: object) -> None:
        raise Conflict("taken meanwhile", code="username-taken")

    monkeypatch.setattr(desk.people, "add_user", conflict)
    await desk.register()
    assert "taken" in desk.post.mails[0].subject
