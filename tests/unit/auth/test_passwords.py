"""Hashing passwords, and choosing one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from headrace.auth.passwords import Passwords, check_new_password
from headrace.errors import Invalid, Overloaded

GOOD = "correct horse battery"


def codes(password: str, username: str = "ada", email: str | None = "ada.lovelace@example.org") -> set[str]:
    try:
        check_new_password(password, username, email)
    except Invalid as exc:
        return {item.code for item in exc.items if item.field == "password"}
    return set()


async def test_a_password_matches_its_own_hash_only() -> None:
    passwords = Passwords(1)
    stored = await passwords.hash(GOOD)
    assert (await passwords.verify(GOOD, stored)).ok
    assert not (await passwords.verify(GOOD + " ", stored)).ok
    assert not (await passwords.verify("", stored)).ok


async def test_a_hash_is_argon2id_with_19_mib_2_passes_1_lane_and_a_salt_of_its_own() -> None:
    passwords = Passwords(1)
    hashes = {await passwords.hash(GOOD) for _ in range(2)}
    assert len(hashes) == 2
    assert all(text.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for text in hashes)


async def test_characters_are_not_normalised() -> None:
    passwords = Passwords(1)
    composed, decomposed = "caf\u00e9 caf\u00e9", "cafe\u0301 cafe\u0301"
    assert not (await passwords.verify(decomposed, await passwords.hash(composed))).ok


async def test_a_hash_with_older_parameters_is_good_and_made_anew() -> None:
    from argon2 import PasswordHasher

    passwords = Passwords(1)
    older = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(GOOD)
    verdict = await passwords.verify(GOOD, older)
    assert verdict.ok
    assert verdict.rehash is not None
    assert verdict.rehash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(GOOD, verdict.rehash) == (True, None)
    assert await passwords.verify("wrong", older) == (False, None)


@pytest.mark.parametrize("stored", [None, "", "junk", "$argon2id$v=19$m=1,t=1$x"])
async def test_without_a_hash_nothing_is_ever_right_but_one_is_computed(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = Passwords(1)
    hasher = passwords._hasher.current_hasher
    tried: list[str] = []

    def verify(password: str | bytes, hash: str | bytes) -> bool:
        tried.append(str(hash))
        return True  # even then

    monkeypatch.setattr(hasher, "verify", verify)
    assert not (await passwords.verify(GOOD, stored)).ok
    assert [text.split("$")[3] for text in tried] == ["m=19456,t=2,p=1"]


@pytest.mark.parametrize("password", ["a\0bcdefghijk", "\ud800bcdefghijk", "x" * 1_025])
async def test_what_cannot_be_a_password_is_never_right_and_never_hashed(password: str) -> None:
    passwords = Passwords(1)
    assert not (await passwords.verify(password, await passwords.hash(GOOD))).ok
    with pytest.raises(Invalid) as caught:
        await passwords.hash(password)
    assert caught.value.items[0].field == "password"


async def test_so_many_are_hashed_at_once_so_many_wait_and_the_rest_is_told_to_come_back() -> None:
    passwords = Passwords(2)
    gate, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1
        return 1

    tasks = [asyncio.ensure_future(passwords._off_the_loop(work)) for _ in range(66)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(passwords.hash(GOOD), 5)
    gate.set()
    assert sum(await asyncio.gather(*tasks)) == 66
    assert most == 2
    assert await passwords.hash(GOOD)


async def test_those_who_gave_up_waiting_leave_their_place() -> None:
    passwords = Passwords(1)
    gate = threading.Event()
    tasks = [asyncio.ensure_future(passwords._off_the_loop(lambda: gate.wait(10))) for _ in range(65)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.set()
    assert await passwords.hash(GOOD)


@pytest.mark.parametrize(
    ("password", "found"),
    [
        (GOOD, set()),
        ("ninebytes", {"too-short"}),
        ("ten bytes!", set()),
        ("ééééé", set()),  # ten bytes
        ("x" * 1_024, set()),
        ("x" * 1_025, {"too-long"}),
        ("é" * 513, {"too-long"}),
        ("", {"too-short"}),
        ("PassWord", {"too-short", "common-password"}),
        ("1234567890", {"common-password"}),
        ("Password123", {"common-password"}),
        ("QWERTYuiop", {"common-password"}),
        ("ADA.lovelace", {"like-username"}),
        ("ada.lovelace@EXAMPLE.org", {"like-username"}),
        ("Ada", {"too-short", "like-username"}),
        ("long enough\0", {"invalid-value"}),
        ("long enough\udfff", {"invalid-value"}),
    ],
)
def test_a_new_password_is_looked_at(password: str, found: set[str]) -> None:
    assert codes(password) == found


def test_an_answer_does_not_repeat_the_password() -> None:
    with pytest.raises(Invalid) as caught:
        check_new_password("Password123", "ada", None)
    assert "assword123" not in caught.value.detail + repr(caught.value.items)


def test_a_user_without_an_address_may_choose_too() -> None:
    assert codes(GOOD, "ada", None) == set()
    assert codes("Grace.Hopper", "grace.hopper", None) == {"like-username"}


def test_3000_common_passwords_are_known_and_the_notes_above_them_are_not() -> None:
    from headrace.auth.passwords import _common

    assert len(_common()) == 3_000
    assert all(word == word.lower() and not word.startswith("#") and word for word in _common())
