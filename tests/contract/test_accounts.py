"""What every adapter of `ports/accounts` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.sessions import SqlSessions
from headrace.errors import Conflict, NotFound
from headrace.kit.ids import uuid7
from headrace.model.account import (
    Account,
    ApiKey,
    Grant,
    Identity,
    Link,
    LinkPurpose,
    Session,
    User,
    UserChanges,
)
from headrace.model.bucket import Quota
from headrace.model.principal import Permission, Role
from headrace.ports.accounts import Accounts
from tests.contract.records import audited, record, user, user_id

ADA, BOB, EVE = user(1), user(2), user(3)
ADMIN = user(9, Role.ADMIN)
KEYCLOAK = Identity("https://id.example.org/realms/Acme", "F-1/ü", ADA.id, 100)
READ, WRITE, MANAGE = (frozenset({permission}) for permission in Permission)
LONGEST = User(
    id=user_id(7),
    username="u" * 63,
    email="e" * 308 + "@example.org",
    role=Role.MANAGER,
    created_at=2**62,
    first_name="🦀" * 100,
    last_name="\\%_'\"; --\n",
    password_hash="$argon2id$v=19$m=19456,t=2,p=1$" + "x" * 100,
    quota=Quota(2**53 - 1, 2**53 - 1),
)


@pytest.fixture
def accounts(control: ControlDatabase) -> Accounts:
    return SqlAccounts(control)


async def bucket(control: ControlDatabase, name: str = "billing") -> int:
    return (await SqlBuckets(control).create(name, "", None, 5, None)).id


async def signed_in(control: ControlDatabase, owner: User, id: str = "s-1") -> str:
    session = Session(id, owner.id, b"secret", 1, 2**60)
    await SqlSessions(control).add_session(session, owner.password_hash, record(uuid7(1)))
    return id


def link(owner: User, token: bytes = b"token") -> Link:
    return Link(token, owner.id, LinkPurpose.RESET, 1, 2**60)


# Users


@pytest.mark.parametrize("person", [ADA, LONGEST, User(user_id(8), "bare", None, Role.USER, 0)])
async def test_a_user_comes_back_as_added_by_every_way_to_look(accounts: Accounts, person: User) -> None:
    await accounts.add_user(BOB, record(1))
    await accounts.add_user(person, record(2))
    assert await accounts.find_user(person.id) == person
    assert await accounts.find_account(person.id) == Account(person, {})
    assert await accounts.find_login(person.username) == person
    if person.email is not None:
        assert await accounts.find_login(person.email) == person


async def test_whom_nobody_added_is_none(accounts: Accounts) -> None:
    await accounts.add_user(replace(ADA, email=None), record(1))
    assert await accounts.find_user(BOB.id) is None
    assert await accounts.find_account(BOB.id) is None
    for name in (BOB.username, "user-%", "user-_", ""):
        assert await accounts.find_login(name) is None
    assert await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject) is None


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (replace(BOB, username=ADA.username), "username-taken"),
        (replace(BOB, email=ADA.email), "email-taken"),
        (replace(BOB, username=ADA.username, email=ADA.email), "email-taken"),
    ],
)
async def test_a_taken_name_or_address_is_told_and_nothing_is_added_or_recorded(
    accounts: Accounts, control: ControlDatabase, second: User, code: str
) -> None:
    await accounts.add_user(ADA, record(1))
    with pytest.raises(Conflict) as raised:
        await accounts.add_user(second, record(2), replace(KEYCLOAK, user_id=second.id), link(second))
    assert raised.value.code == code
    assert await accounts.find_user(second.id) is None
    assert await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject) is None
    assert await audited(control) == [1]


async def test_users_without_an_address_do_not_get_in_each_others_way(accounts: Accounts) -> None:
    await accounts.add_user(replace(ADA, email=None), record(1))
    await accounts.add_user(replace(BOB, email=None), record(2))
    with pytest.raises(Conflict) as raised:
        await accounts.add_user(replace(EVE, email=None), record(2))  # it is the record's id that is taken
    assert raised.value.code == "conflict"


async def test_of_ten_who_want_a_username_at_once_one_gets_it(accounts: Accounts, control: ControlDatabase) -> None:
    wanted = [replace(user(number), username="ada") for number in range(1, 11)]
    tries = (accounts.add_user(person, record(number)) for number, person in enumerate(wanted, 1))
    results = await asyncio.gather(*tries, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Conflict)]
    assert [result.code for result in refused] == ["username-taken"] * 9
    assert len(await audited(control)) == 1


async def test_the_first_link_of_a_user_is_added_with_the_user(accounts: Accounts, control: ControlDatabase) -> None:
    await accounts.add_user(ADA, record(1), link=link(ADA))
    assert await SqlSessions(control).find_link(b"token", LinkPurpose.RESET, 5) == ADA


async def test_a_list_goes_on_behind_the_last_id(accounts: Accounts) -> None:
    for number in (3, 1, 2):
        await accounts.add_user(user(number), record(number))
    assert await accounts.list_users(None, 2) == [ADA, BOB]
    assert await accounts.list_users(BOB.id, 2) == [EVE]
    assert await accounts.list_users(EVE.id, 2) == []


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("USER-2", [2]),
        ("1@Example", [1]),
        ("first 3 last", [3]),
        ("ÜMLAUT", [4]),
        ("e", [1, 2, 3, 4]),
        ("%", []),
        ("_", []),
        ("1\nfirst", []),
    ],
)
async def test_a_search_finds_what_a_username_an_address_or_a_name_contains_in_any_case(
    accounts: Accounts, q: str, found: list[int]
) -> None:
    for number in (1, 2, 3):
        await accounts.add_user(user(number), record(number))
    await accounts.add_user(replace(user(4), email=None, first_name=None, last_name="Ümlauter"), record(4))
    assert [person.id for person in await accounts.list_users(None, 10, q)] == [user_id(number) for number in found]


async def test_a_search_goes_through_all_users_and_stops_at_the_limit(accounts: Accounts) -> None:
    for number in range(1, 1_101):
        name = "wanted" if number > 1_050 else "other"
        await accounts.add_user(replace(user(number), first_name=name), record(number))
    wanted = [user_id(number) for number in range(1_051, 1_061)]
    assert [person.id for person in await accounts.list_users(None, 10, "wanted")] == wanted
    assert len(await accounts.list_users(user_id(1_091), 10, "wanted")) == 9


async def test_an_update_changes_what_it_names_and_nothing_else(accounts: Accounts, control: ControlDatabase) -> None:
    await accounts.add_user(ADA, record(1))
    changes = UserChanges(role=Role.MANAGER, first_name=None, bytes_per_day=None, disabled=True)
    quota = replace(ADA.quota, bytes_per_day=None)
    expected = replace(ADA, role=Role.MANAGER, first_name=None, quota=quota, disabled=True)
    assert await accounts.update_user(ADA.id, changes, record(2)) == expected
    assert await accounts.find_user(ADA.id) == expected
    assert await audited(control) == [1, 2]


async def test_updates_of_different_fields_at_once_both_count(accounts: Accounts) -> None:
    await accounts.add_user(ADA, record(1))
    await asyncio.gather(
        accounts.update_user(ADA.id, UserChanges(first_name="Augusta"), record(2)),
        accounts.update_user(ADA.id, UserChanges(last_name="King"), record(3)),
    )
    assert await accounts.find_user(ADA.id) == replace(ADA, first_name="Augusta", last_name="King")


async def test_an_address_of_another_user_is_a_conflict_and_ones_own_is_none(
    accounts: Accounts, control: ControlDatabase
) -> None:
    await accounts.add_user(ADA, record(1))
    await accounts.add_user(BOB, record(2))
    with pytest.raises(Conflict) as raised:
        await accounts.update_user(BOB.id, UserChanges(email=ADA.email, first_name="x"), record(3))
    assert raised.value.code == "email-taken"
    assert await accounts.find_user(BOB.id) == BOB
    assert await accounts.update_user(BOB.id, UserChanges(email=BOB.email), record(4)) == BOB
    assert await audited(control) == [1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "signed_out", "unlinked"),
    [
        (UserChanges(password_hash="new"), True, True),
        (UserChanges(disabled=True), True, False),
        (UserChanges(disabled=False), False, False),
        (UserChanges(email="new@example.org"), False, True),
        (UserChanges(email=None), False, True),
        (UserChanges(email=ADA.email), False, False),
        (UserChanges(role=Role.MANAGER, first_name="A"), False, False),
    ],
)
async def test_what_a_change_of_a_user_ends_and_kills(
    accounts: Accounts, control: ControlDatabase, changes: UserChanges, signed_out: bool, unlinked: bool
) -> None:
    sessions = SqlSessions(control)
    await accounts.add_user(ADA, record(1), link=link(ADA))
    await accounts.add_user(BOB, record(2), link=link(BOB, b"bob's"))
    hers = [await signed_in(control, ADA, "hers-1"), await signed_in(control, ADA, "hers-2")]
    his = await signed_in(control, BOB, "his")
    await accounts.update_user(ADA.id, changes, record(3))
    assert [await sessions.find_session(each) is None for each in hers] == [signed_out] * 2
    if changes.disabled is not True:
        assert (await sessions.find_link(b"token", LinkPurpose.RESET, 5) is None) == unlinked
    assert await sessions.find_session(his) is not None
    assert await sessions.find_link(b"bob's", LinkPurpose.RESET, 5) is not None


async def test_a_rehash_replaces_the_hash_it_was_made_from_and_ends_no_session(
    accounts: Accounts, control: ControlDatabase
) -> None:
    await accounts.add_user(ADA, record(1), link=link(ADA))
    session = await signed_in(control, ADA)
    before = await audited(control)
    assert not await accounts.replace_hash(ADA.id, "another", "newer")
    assert await accounts.replace_hash(ADA.id, str(ADA.password_hash), "newer")
    assert not await accounts.replace_hash(ADA.id, str(ADA.password_hash), "newest")
    assert not await accounts.replace_hash(BOB.id, "newer", "newest")
    assert await accounts.find_user(ADA.id) == replace(ADA, password_hash="newer")
    assert await SqlSessions(control).find_session(session) is not None
    assert await SqlSessions(control).find_link(b"token", LinkPurpose.RESET, 5) is not None
    assert await audited(control) == before


async def test_whoever_is_not_there_cannot_be_changed_or_deleted(accounts: Accounts, control: ControlDatabase) -> None:
    with pytest.raises(NotFound):
        await accounts.update_user(ADA.id, UserChanges(first_name="x"), record(1))
    with pytest.raises(NotFound):
        await accounts.delete_user(ADA.id, record(2))
    assert await audited(control) == []


async def test_a_change_and_its_record_are_written_both_or_neither(
    accounts: Accounts, control: ControlDatabase
) -> None:
    await accounts.add_user(ADA, record(1))
    there = await bucket(control)
    await accounts.put_grant(there, ADA.id, READ, record(2))
    taken = record(1)  # its id is used, so that it cannot be written
    for change in (
        accounts.add_user(BOB, taken),
        accounts.update_user(ADA.id, UserChanges(first_name="x"), taken),
        accounts.delete_user(ADA.id, taken),
        accounts.put_grant(there, ADA.id, MANAGE, taken),
        accounts.delete_grant(there, ADA.id, taken),
    ):
        with pytest.raises(Conflict):
            await change
    assert await accounts.list_users(None, 10) == [ADA]
    assert await accounts.find_account(ADA.id) == Account(ADA, {there: READ})
    assert await audited(control) == [1, 2]


# The last administrator


@pytest.mark.parametrize("changes", [UserChanges(role=Role.USER), UserChanges(disabled=True)])
async def test_the_last_admin_cannot_be_demoted_disabled_or_deleted(
    accounts: Accounts, control: ControlDatabase, changes: UserChanges
) -> None:
    await accounts.add_user(ADMIN, record(1))
    await accounts.add_user(user(2, Role.ADMIN, disabled=True), record(2))
    await accounts.add_user(user(3, Role.MANAGER), record(3))
    session = await signed_in(control, ADMIN)
    before = await audited(control)
    with pytest.raises(Conflict) as raised:
        await accounts.update_user(ADMIN.id, replace(changes, email="x@example.org"), record(4))
    assert raised.value.code == "last-admin"
    with pytest.raises(Conflict) as raised:
        await accounts.delete_user(ADMIN.id, record(5))
    assert raised.value.code == "last-admin"
    assert await accounts.find_user(ADMIN.id) == ADMIN
    assert await SqlSessions(control).find_session(session) is not None
    assert await audited(control) == before


async def test_an_admin_who_is_not_the_last_and_others_may_go(accounts: Accounts) -> None:
    await accounts.add_user(ADMIN, record(1))
    await accounts.add_user(user(2, Role.ADMIN), record(2))
    await accounts.add_user(user(3, Role.ADMIN, disabled=True), record(3))
    await accounts.update_user(user_id(2), UserChanges(role=Role.USER), record(4))
    await accounts.update_user(user_id(3), UserChanges(role=Role.USER), record(5))
    await accounts.delete_user(user_id(2), record(6))
    await accounts.update_user(ADMIN.id, UserChanges(first_name="x", role=Role.ADMIN, disabled=False), record(7))


async def test_where_no_admin_was_there_need_be_none_afterwards(accounts: Accounts) -> None:
    await accounts.add_user(user(1, Role.ADMIN, disabled=True), record(1))
    await accounts.update_user(user_id(1), UserChanges(role=Role.MANAGER), record(2))
    await accounts.delete_user(user_id(1), record(3))


@pytest.mark.parametrize("way", ["demoted", "disabled", "deleted"])
async def test_of_two_admins_who_go_at_once_one_stays(accounts: Accounts, way: str) -> None:
    admins = [user(1, Role.ADMIN), user(2, Role.ADMIN)]
    for number, admin in enumerate(admins, 1):
        await accounts.add_user(admin, record(number))

    async def go(admin: User, id: int) -> None:
        if way == "deleted":
            await accounts.delete_user(admin.id, record(id))
        else:
            changes = UserChanges(role=Role.USER) if way == "demoted" else UserChanges(disabled=True)
            await accounts.update_user(admin.id, changes, record(id))

    results = await asyncio.gather(go(admins[0], 11), go(admins[1], 12), return_exceptions=True)
    assert sorted(getattr(result, "code", "") for result in results) == ["", "last-admin"]
    left = [person for person in await accounts.list_users(None, 10) if person in admins]
    assert len(left) == 1


# The end of a user


async def test_with_a_user_go_sessions_links_grants_and_identities_and_nobody_elses(
    accounts: Accounts, control: ControlDatabase
) -> None:
    there, sessions = await bucket(control), SqlSessions(control)
    his = Identity(KEYCLOAK.issuer, "bob", BOB.id, 5)
    await accounts.add_user(ADA, record(1), KEYCLOAK, link(ADA))
    await accounts.add_user(BOB, record(2), his, link(BOB, b"bob's"))
    for number, owner in enumerate((ADA, BOB), 3):
        await accounts.put_grant(there, owner.id, MANAGE, record(number))
        await signed_in(control, owner, owner.username)
    await accounts.delete_user(ADA.id, record(5))
    assert await accounts.find_account(ADA.id) is None
    assert await accounts.find_login(ADA.username) is None
    assert await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject) is None
    assert await sessions.find_session(ADA.username) is None
    assert await sessions.find_link(b"token", LinkPurpose.RESET, 5) is None
    assert await accounts.grants_of_bucket(there) == [Grant(BOB.id, BOB.username, MANAGE)]
    assert await accounts.find_identity(his.issuer, his.subject) == (his, Account(BOB, {there: MANAGE}))
    assert await sessions.find_session(BOB.username) is not None
    assert await sessions.find_link(b"bob's", LinkPurpose.RESET, 5) is not None


async def test_the_keys_of_a_deleted_user_are_revoked_and_never_become_the_systems(
    accounts: Accounts, control: ControlDatabase
) -> None:
    keys = SqlKeys(control)
    there = await bucket(control)
    await accounts.add_user(ADA, record(1))
    await accounts.add_user(BOB, record(2))
    for number, owner in enumerate((ADA.id, ADA.id, BOB.id, None)):
        key = ApiKey(f"key-{number}", "k", bytes(32), Role.USER, 1, owner_id=owner, grants={there: WRITE})
        await keys.add_key(key, record(10 + number))
    await keys.revoke_key("key-1", record(20, time=50))
    await accounts.delete_user(ADA.id, record(21, time=77))
    found = [await keys.find_key(f"key-{number}") for number in range(4)]
    states = [(known.key.owner_id, known.key.revoked_at, known.owner is None) for known in found if known]
    assert states == [(ADA.id, 77, True), (ADA.id, 50, True), (BOB.id, None, False), (None, None, True)]


# Identities


async def test_an_identity_leads_to_the_account_exactly_as_it_is_written(
    accounts: Accounts, control: ControlDatabase
) -> None:
    there = await bucket(control)
    await accounts.add_user(ADA, record(1), KEYCLOAK)
    await accounts.put_grant(there, ADA.id, READ | WRITE, record(2))
    assert await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject) == (
        KEYCLOAK,
        Account(ADA, {there: READ | WRITE}),
    )
    for issuer, subject in (
        (KEYCLOAK.issuer, KEYCLOAK.subject.lower()),
        (KEYCLOAK.issuer + "/", KEYCLOAK.subject),
        (KEYCLOAK.issuer.lower(), KEYCLOAK.subject),
        (KEYCLOAK.issuer, KEYCLOAK.subject + " "),
        (KEYCLOAK.subject, KEYCLOAK.issuer),
    ):
        assert await accounts.find_identity(issuer, subject) is None


async def test_one_subject_of_two_issuers_is_two_users(accounts: Accounts) -> None:
    other = replace(KEYCLOAK, issuer="https://other.example.org", user_id=BOB.id)
    await accounts.add_user(ADA, record(1), KEYCLOAK)
    await accounts.add_user(BOB, record(2), other)
    assert await accounts.find_identity(other.issuer, other.subject) == (other, Account(BOB, {}))


async def test_of_ten_first_logins_at_once_one_makes_the_user(accounts: Accounts, control: ControlDatabase) -> None:
    tries = (
        accounts.add_user(user(number), record(number), replace(KEYCLOAK, user_id=user_id(number)))
        for number in range(1, 11)
    )
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(getattr(result, "code", "") for result in results) == ["", *["identity-taken"] * 9]
    assert len(await accounts.list_users(None, 20)) == len(await audited(control)) == 1


async def test_a_newer_word_of_the_provider_changes_the_role_and_an_older_one_nothing(
    accounts: Accounts, control: ControlDatabase
) -> None:
    await accounts.add_user(ADA, record(1), KEYCLOAK)
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=200), Role.MANAGER, record(2))
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=200), Role.USER, record(3))
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=150), Role.ADMIN, record(4))
    newest = replace(KEYCLOAK, synced_at=200)
    promoted = Account(replace(ADA, role=Role.MANAGER), {})
    assert await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject) == (newest, promoted)
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=300), Role.MANAGER, record(5))  # no news
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=400), Role.USER, None)
    assert await accounts.find_user(ADA.id) == ADA
    assert await audited(control) == [1, 2]


async def test_of_words_that_come_at_once_the_newest_counts(accounts: Accounts) -> None:
    await accounts.add_user(ADA, record(1), KEYCLOAK)
    roles = [Role.ADMIN, Role.USER, Role.ADMIN, Role.USER, Role.MANAGER]
    words = [(replace(KEYCLOAK, synced_at=200 + at), role) for at, role in enumerate(roles)]
    shuffled = [words[index] for index in (2, 4, 0, 3, 1)]
    await asyncio.gather(*(accounts.sync_identity(word, role, None) for word, role in shuffled))
    found = await accounts.find_identity(KEYCLOAK.issuer, KEYCLOAK.subject)
    assert found is not None
    assert (found[0].synced_at, found[1].user.role) == (204, Role.MANAGER)


async def test_the_provider_may_take_the_role_of_the_last_admin(accounts: Accounts) -> None:
    await accounts.add_user(replace(ADA, role=Role.ADMIN), record(1), KEYCLOAK)
    await accounts.sync_identity(replace(KEYCLOAK, synced_at=200), Role.USER, record(2))
    assert await accounts.find_user(ADA.id) == ADA


async def test_a_word_about_nobody_is_not_found(accounts: Accounts) -> None:
    with pytest.raises(NotFound):
        await accounts.sync_identity(KEYCLOAK, Role.ADMIN, record(1))


# Grants


async def test_a_grant_is_exactly_what_was_put_last(accounts: Accounts, control: ControlDatabase) -> None:
    one, two = await bucket(control), await bucket(control, "shipping")
    await accounts.add_user(ADA, record(1))
    everything = READ | WRITE | MANAGE
    assert await accounts.put_grant(one, ADA.id, everything, record(2)) == Grant(ADA.id, ADA.username, everything)
    await accounts.put_grant(two, ADA.id, WRITE, record(3))
    assert await accounts.find_account(ADA.id) == Account(ADA, {one: everything, two: WRITE})
    await accounts.put_grant(one, ADA.id, READ, record(4))
    assert await accounts.find_account(ADA.id) == Account(ADA, {one: READ, two: WRITE})
    await accounts.put_grant(one, ADA.id, frozenset(), record(5))
    assert await accounts.find_account(ADA.id) == Account(ADA, {two: WRITE})
    assert await audited(control) == [1, 2, 3, 4, 5]


async def test_a_grant_for_nobody_or_on_nothing_is_not_found(accounts: Accounts, control: ControlDatabase) -> None:
    there = await bucket(control)
    await accounts.add_user(ADA, record(1))
    for bucket_id, owner in ((there + 1, ADA.id), (there, BOB.id)):
        for permissions in (READ, frozenset[Permission]()):
            with pytest.raises(NotFound):
                await accounts.put_grant(bucket_id, owner, permissions, record(2))
    assert await audited(control) == [1]


async def test_a_deleted_grant_is_gone_and_cannot_be_deleted_again(
    accounts: Accounts, control: ControlDatabase
) -> None:
    there = await bucket(control)
    await accounts.add_user(ADA, record(1))
    await accounts.put_grant(there, ADA.id, READ | WRITE, record(2))
    await accounts.delete_grant(there, ADA.id, record(3))
    assert await accounts.find_account(ADA.id) == Account(ADA, {})
    with pytest.raises(NotFound):
        await accounts.delete_grant(there, ADA.id, record(4))
    assert await audited(control) == [1, 2, 3]


async def test_of_grants_put_at_once_one_is_there_whole(accounts: Accounts, control: ControlDatabase) -> None:
    there = await bucket(control)
    await accounts.add_user(ADA, record(1))
    wanted = [READ, WRITE, READ | WRITE, MANAGE, READ | MANAGE] * 2
    tries = (accounts.put_grant(there, ADA.id, each, record(10 + number)) for number, each in enumerate(wanted))
    await asyncio.gather(*tries)
    (grant,) = await accounts.grants_of_bucket(there)
    assert grant.permissions in wanted


async def test_the_grants_of_a_bucket_are_listed_by_username(accounts: Accounts, control: ControlDatabase) -> None:
    there, elsewhere = await bucket(control), await bucket(control, "shipping")
    for number, person in enumerate((EVE, ADA, BOB), 1):
        await accounts.add_user(person, record(number))
        await accounts.put_grant(there, person.id, READ | WRITE, record(10 + number))
    await accounts.put_grant(elsewhere, ADA.id, MANAGE, record(20))
    expected = [Grant(person.id, person.username, READ | WRITE) for person in (ADA, BOB, EVE)]
    assert await accounts.grants_of_bucket(there) == expected
    assert await accounts.grants_of_bucket(elsewhere + 1) == []
