"""What every adapter of `ports/sessions` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.sessions import SqlSessions
from headrace.errors import Conflict, NotFound
from headrace.model.account import Account, KnownSession, Link, LinkPurpose, Session, UserChanges
from headrace.model.principal import Permission, Role
from headrace.ports.sessions import Sessions
from tests.contract.records import audited, record, user

ADA, BOB = user(1), user(2)
OLD, NEW, OTHER = bytes(32), bytes(range(224, 256)), b"\xff" * 32
SESSION = Session("01900000-0000-7000-8000-0000000000aa", ADA.id, OLD, 1_000, 2**62)
RESET = Link(OLD, ADA.id, LinkPurpose.RESET, 1_000, 2_000)
VERIFY = Link(NEW, ADA.id, LinkPurpose.VERIFY, 1_000, 2_000)
NOTHING = UserChanges()


@pytest.fixture
async def sessions(control: ControlDatabase) -> Sessions:
    for number, person in enumerate((ADA, BOB), 1):
        await SqlAccounts(control).add_user(person, record(number))
    await SqlAuditOutbox(control).forwarded([1, 2])
    return SqlSessions(control)


# Sessions


async def test_a_session_comes_with_its_users_account(sessions: Sessions, control: ControlDatabase) -> None:
    there = (await SqlBuckets(control).create("billing", "", None, 5, None)).id
    grants = frozenset({Permission.READ, Permission.MANAGE})
    await SqlAccounts(control).put_grant(there, ADA.id, grants, record(11))
    await sessions.add_session(SESSION, ADA.password_hash, record(12))
    his = replace(SESSION, id="his", user_id=BOB.id, expires_at=0)  # long expired
    await sessions.add_session(his, BOB.password_hash, record(13))
    assert await sessions.find_session(SESSION.id) == KnownSession(SESSION, Account(ADA, {there: grants}))
    assert await sessions.find_session("his") == KnownSession(his, Account(BOB, {}))
    assert await sessions.find_session("unknown") is None
    assert await audited(control) == [11, 12, 13]


async def test_nobody_signs_in_who_is_not_there(sessions: Sessions, control: ControlDatabase) -> None:
    with pytest.raises(Conflict):
        await sessions.add_session(replace(SESSION, user_id="unknown"), ADA.password_hash, record(11))
    assert await audited(control) == []


@pytest.mark.parametrize("changes", [UserChanges(password_hash="new"), UserChanges(disabled=True)])
async def test_nobody_signs_in_by_what_was_true_before_a_change(
    sessions: Sessions, control: ControlDatabase, changes: UserChanges
) -> None:
    await SqlAccounts(control).update_user(ADA.id, changes, record(11))
    with pytest.raises(Conflict) as refusal:
        await sessions.add_session(SESSION, ADA.password_hash, record(12))
    assert refusal.value.code == "account-changed"
    assert await sessions.find_session(SESSION.id) is None
    assert await audited(control) == [11]


async def test_a_login_and_its_record_are_written_both_or_neither(sessions: Sessions) -> None:
    await sessions.add_session(SESSION, ADA.password_hash, record(11))
    with pytest.raises(Conflict):
        await sessions.add_session(replace(SESSION, id="second"), ADA.password_hash, record(11))
    assert await sessions.find_session("second") is None


async def test_the_newest_refresh_token_is_replaced_and_no_other(sessions: Sessions) -> None:
    await sessions.add_session(SESSION, ADA.password_hash, record(11))
    await sessions.add_session(replace(SESSION, id="another"), ADA.password_hash, record(12))
    assert not await sessions.rotate(SESSION.id, OTHER, NEW, 5)
    assert not await sessions.rotate("unknown", OLD, NEW, 5)
    assert await sessions.rotate(SESSION.id, OLD, NEW, 5)
    assert not await sessions.rotate(SESSION.id, OLD, OTHER, 6)
    found, another = await sessions.find_session(SESSION.id), await sessions.find_session("another")
    assert found is not None
    assert another is not None
    assert (found.session.secret_sha256, found.session.expires_at) == (NEW, 5)
    assert another.session == replace(SESSION, id="another")


async def test_of_ten_rotations_at_once_one_is_told_that_it_worked(sessions: Sessions) -> None:
    await sessions.add_session(SESSION, ADA.password_hash, record(11))
    fresh = [bytes([number]) * 32 for number in range(1, 11)]
    results = await asyncio.gather(*(sessions.rotate(SESSION.id, OLD, secret, 5) for secret in fresh))
    assert results.count(True) == 1
    found = await sessions.find_session(SESSION.id)
    assert found is not None
    assert found.session.secret_sha256 == fresh[results.index(True)]


async def test_a_session_ends_once_and_only_then_is_it_recorded(sessions: Sessions, control: ControlDatabase) -> None:
    await sessions.add_session(SESSION, ADA.password_hash, record(11))
    await sessions.add_session(replace(SESSION, id="another"), ADA.password_hash, record(12))
    ended = await asyncio.gather(*(sessions.end_session(SESSION.id, record(20 + number)) for number in range(5)))
    assert ended.count(True) == 1
    assert not await sessions.end_session("unknown", record(30))
    assert await sessions.find_session(SESSION.id) is None
    assert await sessions.find_session("another") is not None
    assert len(await audited(control)) == 3


async def test_an_ended_session_cannot_be_rotated(sessions: Sessions) -> None:
    await sessions.add_session(SESSION, ADA.password_hash, record(11))
    await sessions.end_session(SESSION.id, record(12))
    assert not await sessions.rotate(SESSION.id, OLD, NEW, 5)


# Links


async def use(
    sessions: Sessions, link: Link, changes: UserChanges = NOTHING, *, id: int = 50, now: int = 1_500
) -> str | None:
    return await sessions.use_link(link.token_sha256, link.purpose, now, changes, record(id))


async def test_a_link_is_found_until_it_is_used_and_used_once(sessions: Sessions, control: ControlDatabase) -> None:
    await sessions.add_link(RESET, record(11))
    await sessions.add_link(VERIFY, None)
    for _ in range(2):
        assert await sessions.find_link(RESET.token_sha256, RESET.purpose, 1_500) == ADA
    assert await use(sessions, RESET) == ADA.id
    assert await sessions.find_link(RESET.token_sha256, RESET.purpose, 1_500) is None
    assert await use(sessions, RESET, id=51) is None
    assert await use(sessions, VERIFY, id=52) == ADA.id
    assert await audited(control) == [11, 50, 52]


async def test_a_used_link_changes_its_user_and_the_record_names_the_user(
    sessions: Sessions, control: ControlDatabase
) -> None:
    await sessions.add_link(RESET, None)
    await use(sessions, RESET, UserChanges(password_hash="new", verified=False))
    assert await SqlAccounts(control).find_user(ADA.id) == replace(ADA, password_hash="new", verified=False)
    assert await SqlAccounts(control).find_user(BOB.id) == BOB
    (written,) = await SqlAuditOutbox(control).pending(10)
    assert written == replace(record(50), actor_id=ADA.id, target_id=ADA.id)


async def test_of_ten_uses_of_a_link_at_once_one_gets_it(sessions: Sessions, control: ControlDatabase) -> None:
    await sessions.add_link(RESET, None)
    hashes = [f"hash-{number}" for number in range(10)]
    results = await asyncio.gather(
        *(use(sessions, RESET, UserChanges(password_hash=each), id=60 + at) for at, each in enumerate(hashes))
    )
    assert sorted(result or "" for result in results) == [""] * 9 + [ADA.id]
    found = await SqlAccounts(control).find_user(ADA.id)
    assert found is not None
    assert found.password_hash == hashes[results.index(ADA.id)]
    assert len(await audited(control)) == 1


@pytest.mark.parametrize(
    ("tried", "now"),
    [
        (replace(RESET, token_sha256=OTHER), 1_500),
        (replace(RESET, purpose=LinkPurpose.VERIFY), 1_500),
        (RESET, 2_000),
        (RESET, 2**62),
    ],
)
async def test_an_unknown_a_wrong_or_an_expired_link_changes_nothing(
    sessions: Sessions, control: ControlDatabase, tried: Link, now: int
) -> None:
    await sessions.add_link(RESET, None)
    assert await sessions.find_link(tried.token_sha256, tried.purpose, now) is None
    assert await use(sessions, tried, UserChanges(password_hash="new"), now=now) is None
    assert await SqlAccounts(control).find_user(ADA.id) == ADA
    assert await audited(control) == []
    assert await use(sessions, RESET, now=1_999) == ADA.id


async def test_a_link_of_a_disabled_user_changes_nothing_until_the_user_is_enabled_again(
    sessions: Sessions, control: ControlDatabase
) -> None:
    accounts = SqlAccounts(control)
    await sessions.add_link(RESET, None)
    disabled = await accounts.update_user(ADA.id, UserChanges(disabled=True), record(11))
    assert await sessions.find_link(RESET.token_sha256, RESET.purpose, 1_500) is None
    assert await use(sessions, RESET, UserChanges(password_hash="new")) is None
    assert await accounts.find_user(ADA.id) == disabled
    await accounts.update_user(ADA.id, UserChanges(disabled=False), record(12))
    assert await use(sessions, RESET) == ADA.id


async def test_a_new_link_replaces_the_one_for_the_same_purpose_and_no_other(sessions: Sessions) -> None:
    his = replace(RESET, token_sha256=b"\x01" * 32, user_id=BOB.id)
    for each in (RESET, VERIFY, his, replace(RESET, token_sha256=OTHER)):
        await sessions.add_link(each, None)
    assert await use(sessions, RESET, id=50) is None
    assert await use(sessions, replace(RESET, token_sha256=OTHER), id=51) == ADA.id
    assert await use(sessions, VERIFY, id=52) == ADA.id
    assert await use(sessions, his, id=53) == BOB.id


async def test_of_ten_links_at_once_one_is_good_afterwards(sessions: Sessions) -> None:
    links = [replace(RESET, token_sha256=bytes([number]) * 32) for number in range(10)]
    await asyncio.gather(*(sessions.add_link(each, record(60 + at)) for at, each in enumerate(links)))
    found = [await sessions.find_link(each.token_sha256, each.purpose, 1_500) for each in links]
    assert sum(person is not None for person in found) == 1


async def test_nobody_gets_a_link_who_is_not_there(sessions: Sessions, control: ControlDatabase) -> None:
    with pytest.raises(NotFound):
        await sessions.add_link(replace(RESET, user_id="unknown"), record(11))
    assert await audited(control) == []


@pytest.mark.parametrize(
    ("changes", "ended"), [(UserChanges(password_hash="new"), True), (UserChanges(verified=True), False)]
)
async def test_a_new_password_by_a_link_ends_all_sessions_of_its_user(
    sessions: Sessions, changes: UserChanges, ended: bool
) -> None:
    hers = [replace(SESSION, id="hers-1"), replace(SESSION, id="hers-2")]
    his = replace(SESSION, id="his", user_id=BOB.id)
    for number, session in enumerate([*hers, his], 11):
        owner = BOB if session is his else ADA
        await sessions.add_session(session, owner.password_hash, record(number))
    await sessions.add_link(RESET, None)
    await use(sessions, RESET, changes)
    assert [await sessions.find_session(each.id) is None for each in hers] == [ended, ended]
    assert await sessions.find_session("his") is not None


async def test_a_link_is_used_up_and_recorded_both_or_neither(sessions: Sessions, control: ControlDatabase) -> None:
    await sessions.add_link(RESET, record(11))
    with pytest.raises(Conflict):
        await use(sessions, RESET, UserChanges(password_hash="new"), id=11)
    assert await SqlAccounts(control).find_user(ADA.id) == ADA
    with pytest.raises(Conflict):
        await sessions.add_link(replace(RESET, token_sha256=OTHER), record(11))
    assert await use(sessions, RESET) == ADA.id


async def test_no_link_demotes_the_last_admin(sessions: Sessions, control: ControlDatabase) -> None:
    await SqlAccounts(control).update_user(ADA.id, UserChanges(role=Role.ADMIN), record(11))
    await sessions.add_link(RESET, None)
    with pytest.raises(Conflict):
        await use(sessions, RESET, UserChanges(role=Role.USER))
    assert await use(sessions, RESET) == ADA.id


async def test_a_sweep_forgets_what_has_expired_and_says_how_many(sessions: Sessions) -> None:
    for number, end in enumerate((1_999, 2_000, 2_001)):
        session = replace(SESSION, id=f"s-{number}", expires_at=end)
        await sessions.add_session(session, ADA.password_hash, record(10 + number))
    await sessions.add_link(RESET, None)
    await sessions.add_link(replace(VERIFY, expires_at=2_001), None)
    assert await sessions.sweep(2_000) == 3
    assert await sessions.sweep(2_000) == 0
    assert [await sessions.find_session(f"s-{number}") is None for number in range(3)] == [True, True, False]
    assert await use(sessions, RESET) is None
    assert await use(sessions, VERIFY) == ADA.id
