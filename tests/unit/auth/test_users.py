"""What users change of themselves, and what administrators do with all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headrace.auth.keys import digest
from headrace.errors import Conflict, Forbidden, Invalid, NotFound, OverQuota, Unauthenticated
from headrace.kit.times import SECOND
from headrace.model.account import LinkPurpose, User
from headrace.model.bucket import Quota
from headrace.model.principal import Principal, Role
from tests.unit.auth.fakes_desk import ADDRESS, BOOTSTRAP, GUESSES, UserStage, principal_of
from tests.unit.auth.fakes_signin import ADA, PASSWORD, hashed
from tests.unit.control import NOW

NEW = "a quite different one"
BOB = replace(ADA, id="01890000-0000-7000-8000-000000000002", username="bob", email="bob@example.com")
MIA = replace(BOB, id="01890000-0000-7000-8000-000000000003", username="mia", email="mia@x.com", role=Role.MANAGER)
ROOT = replace(BOB, id="01890000-0000-7000-8000-000000000004", username="root", email="root@x.com", role=Role.ADMIN)
KEY = Principal("k-1", "api_key", "deploy", Role.USER, owner_id=ADA.id)
VIEWER = Principal("v-1", "viewer", "v", Role.USER)
ada, bob, mia, root = (principal_of(user) for user in (ADA, BOB, MIA, ROOT))


@pytest.fixture
def stage() -> UserStage:
    return UserStage(ADA, BOB, MIA, ROOT)


async def change_me(stage: UserStage, **changes: object) -> User:
    return await stage.desk.change_me(ada, changes, ADDRESS)


async def create(stage: UserStage, caller: Principal = root, **given: Any) -> tuple[User, str | None]:
    asked = {
        "username": "Eve", "email": "Eve@Example.com", "role": Role.USER, "password": PASSWORD, "verified": True,
        "first_name": " Eve ", "last_name": None,
    } | given  # fmt: skip
    return await stage.desk.create(caller, **asked, address=ADDRESS)


def fields(refusal: pytest.ExceptionInfo[Invalid]) -> list[str | None]:
    return [item.field for item in refusal.value.items]


# --- Oneself ------------------------------------------------------------------------------------------------------


async def test_a_user_is_shown_as_the_account_is_now(stage: UserStage) -> None:
    stage.people.change(ADA.id, first_name="Ada")
    assert (await stage.desk.me(ada)).first_name == "Ada"


@pytest.mark.parametrize("caller", [BOOTSTRAP, KEY, VIEWER])
async def test_only_a_user_is_one(stage: UserStage, caller: Principal) -> None:
    for attempt in (stage.desk.me(caller), stage.desk.change_me(caller, {"first_name": "X"}, ADDRESS)):
        with pytest.raises(Forbidden) as refusal:
            await attempt
        assert refusal.value.code == "not-a-user"


async def test_a_deleted_user_is_nobody_any_more(stage: UserStage) -> None:
    del stage.people.users[ADA.id]
    with pytest.raises(Unauthenticated):
        await stage.desk.me(ada)


async def test_a_user_changes_names_without_the_password(stage: UserStage) -> None:
    changed = await change_me(stage, first_name=" Ada ", last_name=None)
    assert (changed.first_name, changed.last_name, changed.verified) == ("Ada", None, True)
    (record,) = stage.people.audited
    assert (record.action, record.actor_id, record.target_type, record.target_id) == (
        "user.updated", ADA.id, "user", ADA.id,
    )  # fmt: skip
    assert record.attributes == {"changed": ["first_name", "last_name"], "address": ADDRESS}
    assert stage.forgotten == [("user", ADA.id)]
    assert stage.post.mails == []


async def test_a_change_of_nothing_changes_and_records_nothing(stage: UserStage) -> None:
    assert await change_me(stage) == ADA
    assert await change_me(stage, email="ADA@example.com") == ADA, "the same address, without a password"
    assert (stage.people.audited, stage.forgotten, stage.passwords.worked) == ([], [], 0)


@pytest.mark.parametrize("name", ["role", "disabled", "verified", "quota", "username", "id", "password_hash"])
async def test_a_user_cannot_change_what_is_the_administrators(stage: UserStage, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await change_me(stage, **{name: "admin"})
    assert fields(refusal) == [name]
    assert stage.people.users[ADA.id] == ADA


async def test_all_that_is_wrong_with_a_change_is_told(stage: UserStage) -> None:
    with pytest.raises(Invalid) as refusal:
        await change_me(stage, email="nothing", first_name="a\nb", last_name=7)
    assert fields(refusal) == ["email", "first_name", "last_name"]


async def test_a_new_password_is_stored_recorded_and_mailed_about(stage: UserStage) -> None:
    await change_me(stage, password=NEW, current_password=PASSWORD)
    assert stage.people.users[ADA.id].password_hash == hashed(NEW)
    (record,) = stage.people.audited
    assert record.action == "user.password_changed"
    assert record.attributes == {"changed": ["password"], "address": ADDRESS}
    assert stage.forgotten == [("user", ADA.id)]
    assert [mail.to for mail in stage.post.mails] == [ADA.email]


@pytest.mark.parametrize("change", [{"password": NEW}, {"email": "new@example.com"}])
async def test_an_access_token_alone_changes_neither_password_nor_address(
    stage: UserStage, change: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as missing:
        await change_me(stage, **change)
    assert fields(missing) == ["current_password"]
    with pytest.raises(Forbidden) as wrong:
        await change_me(stage, **change, current_password="wrong")
    assert wrong.value.code == "wrong-password"
    assert stage.people.users[ADA.id] == ADA
    (record,) = stage.people.audited
    assert (record.action, record.outcome, record.target_id) == ("user.login_failed", "failure", ADA.id)


async def test_wrong_current_passwords_are_counted_and_the_right_one_is_then_refused_too(stage: UserStage) -> None:
    for _ in range(GUESSES):
        with pytest.raises(Forbidden):
            await change_me(stage, password=NEW, current_password="wrong")
    with pytest.raises(OverQuota):
        await change_me(stage, password=NEW, current_password=PASSWORD)
    assert stage.passwords.worked == GUESSES
    stage.clock.seconds += 901
    await change_me(stage, password=NEW, current_password=PASSWORD)


async def test_the_right_current_password_forgives_the_wrong_ones(stage: UserStage) -> None:
    for _ in range(3):
        with pytest.raises(Forbidden):
            await change_me(stage, password=NEW, current_password="wrong")
        await change_me(stage, password=PASSWORD, current_password=PASSWORD)


async def test_a_password_that_will_not_do_is_refused_before_anything_is_hashed(stage: UserStage) -> None:
    for password in ("short", "password12", "eve@example.com"):
        with pytest.raises(Invalid) as refusal:
            await change_me(stage, email="eve@example.com", password=password, current_password=PASSWORD)
        assert set(fields(refusal)) == {"password"}
    assert stage.passwords.worked == 0


async def test_who_has_no_password_here_cannot_set_one_by_an_access_token(stage: UserStage) -> None:
    stage.people.change(ADA.id, password_hash=None)
    with pytest.raises(Forbidden) as refusal:
        await change_me(stage, password=NEW, current_password="")
    assert refusal.value.code == "no-password"


async def test_a_password_that_was_reset_meanwhile_is_not_overwritten(stage: UserStage) -> None:
    stage.passwords.then = lambda: stage.people.change(ADA.id, password_hash="reset")
    with pytest.raises(Conflict):
        await change_me(stage, password=NEW, current_password=PASSWORD)
    assert stage.people.users[ADA.id].password_hash == "reset"


async def test_a_new_address_is_unverified_until_the_link_mailed_to_it_is_used(stage: UserStage) -> None:
    changed = await change_me(stage, email="New@Example.com", current_password=PASSWORD)
    assert (changed.email, changed.verified) == ("new@example.com", False)
    to_new, to_old = stage.post.mails
    assert (to_new.to, to_old.to) == ("new@example.com", ADA.email)
    found = re.search(r"^https://headrace\.example/verify\?token=(\S+)$", to_new.text, re.MULTILINE)
    assert found is not None
    link = stage.people.links[digest(found[1])]
    assert (link.user_id, link.purpose, link.expires_at) == (ADA.id, LinkPurpose.VERIFY, NOW + 3_600 * SECOND)
    assert "token" not in to_old.text
    (record,) = stage.people.audited
    assert record.attributes == {"changed": ["email", "verified"], "verified": False, "address": ADDRESS}


async def test_nothing_typed_is_in_a_mail_to_an_address_that_is_not_verified(stage: UserStage) -> None:
    stage.people.change(ADA.id, verified=False, username="win-at.example")
    await change_me(stage, email="new@example.com", first_name="WIN", password=NEW, current_password=PASSWORD)
    (mail,) = stage.post.mails
    assert mail.to == "new@example.com"
    assert "win" not in (mail.subject + mail.text).lower()


async def test_new_addresses_are_counted_so_that_nobody_tries_who_has_which(stage: UserStage) -> None:
    for _ in range(GUESSES):
        with pytest.raises(Conflict) as taken:
            await change_me(stage, email=BOB.email, current_password=PASSWORD)
        assert taken.value.code == "email-taken"
    with pytest.raises(OverQuota):
        await change_me(stage, email="free@example.com", current_password=PASSWORD)
    assert stage.post.mails == []


# --- Reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [root, mia, BOOTSTRAP])
async def test_managers_and_admins_read_users(stage: UserStage, caller: Principal) -> None:
    assert await stage.desk.list(caller, None, 10) == [ADA, BOB, MIA, ROOT]
    assert await stage.desk.list(caller, ADA.id, 1) == [BOB]
    assert await stage.desk.list(caller, None, 10, "BO") == [BOB]
    assert await stage.desk.get(caller, BOB.id.upper()) == BOB


@pytest.mark.parametrize("caller", [ada, KEY, VIEWER, replace(KEY, role=Role.MANAGER)])
async def test_nobody_else_reads_users_and_those_that_are_there_are_as_those_that_are_not(
    stage: UserStage, caller: Principal
) -> None:
    with pytest.raises(Forbidden):
        await stage.desk.list(caller, None, 10)
    said = set()
    for user_id in (BOB.id, "01890000-0000-7000-8000-00000000ffff"):
        with pytest.raises(NotFound) as refusal:
            await stage.desk.get(caller, user_id)
        said.add(refusal.value.detail.replace(user_id, "…"))
    assert len(said) == 1


@pytest.mark.parametrize("caller", [root, mia, BOOTSTRAP])
async def test_managers_and_admins_find_a_user_by_the_exact_name_or_address(
    stage: UserStage, caller: Principal
) -> None:
    assert await stage.desk.named(caller, " BOB ") == BOB
    assert await stage.desk.named(caller, "Bob@Example.com") == BOB
    for nobody in ("bo", "bób", "", "\ud800"):
        with pytest.raises(NotFound):
            await stage.desk.named(caller, nobody)


@pytest.mark.parametrize("caller", [bob, KEY, VIEWER])
async def test_others_cannot_find_out_who_is_there(stage: UserStage, caller: Principal) -> None:
    for name in ("bob", "nobody"):
        with pytest.raises(Forbidden):
            await stage.desk.named(caller, name)


async def test_everyone_gets_oneself(stage: UserStage) -> None:
    assert await stage.desk.get(ada, ADA.id) == ADA


@pytest.mark.parametrize("user_id", ["", "ada", "me", "\ud800", "0" * 36])
async def test_what_is_no_id_is_not_found(stage: UserStage, user_id: str) -> None:
    with pytest.raises(NotFound):
        await stage.desk.get(root, user_id)


# --- Making -------------------------------------------------------------------------------------------------------


async def test_an_admin_makes_a_user_with_a_password(stage: UserStage) -> None:
    user, setup_url = await create(stage)
    assert setup_url is None
    assert stage.people.users[user.id] == user
    assert (user.username, user.email, user.first_name, user.verified, user.created_at, user.password_hash) == (
        "eve", "eve@example.com", "Eve", True, NOW, hashed(PASSWORD),
    )  # fmt: skip
    (record,) = stage.people.audited
    assert (record.action, record.actor_id, record.target_id) == ("user.created", ROOT.id, user.id)
    assert record.attributes == {"username": "eve", "role": "user", "verified": True, "address": ADDRESS}
    assert (stage.people.links, stage.post.mails) == ({}, [])


async def test_a_user_without_a_password_gets_a_set_up_link_and_no_mail(stage: UserStage) -> None:
    user, setup_url = await create(stage, BOOTSTRAP, password=None, email=None, role=Role.ADMIN)
    assert (user.email, user.role, user.password_hash) == (None, Role.ADMIN, None)
    assert setup_url is not None
    page, _, token = setup_url.partition("?token=")
    assert page == "https://headrace.example/set-up"
    link = stage.people.links[digest(token)]
    assert (link.user_id, link.purpose, link.expires_at) == (user.id, LinkPurpose.RESET, NOW + 7 * 86_400 * SECOND)
    assert token not in repr(stage.people.audited)
    assert stage.post.mails == []


async def test_a_lost_set_up_link_is_replaced_by_a_new_one(stage: UserStage) -> None:
    user, first = await create(stage, BOOTSTRAP, password=None, email=None)
    second = await stage.desk.set_up(BOOTSTRAP, user.id, ADDRESS)
    assert first is not None
    good = [digest(url.partition("?token=")[2]) in stage.people.links for url in (first, second)]
    assert good == [False, True]
    assert second.partition("?token=")[2] not in repr(stage.people.audited)


async def test_a_disabled_user_gets_no_set_up_link(stage: UserStage) -> None:
    user, _ = await create(stage, BOOTSTRAP, password=None, email=None)
    await stage.desk.change(BOOTSTRAP, user.id, {"disabled": True}, ADDRESS)
    with pytest.raises(Conflict):
        await stage.desk.set_up(BOOTSTRAP, user.id, ADDRESS)


async def test_an_address_that_the_admin_does_not_vouch_for_is_mailed_a_link(stage: UserStage) -> None:
    user, setup_url = await create(stage, verified=False)
    assert setup_url is None
    assert not user.verified
    (mail,) = stage.post.mails
    (link,) = stage.people.links.values()
    assert (mail.to, link.purpose) == ("eve@example.com", LinkPurpose.VERIFY)


@pytest.mark.parametrize("caller", [ada, mia, KEY, VIEWER])
async def test_only_admins_make_users(stage: UserStage, caller: Principal) -> None:
    with pytest.raises(Forbidden):
        await create(stage, caller)
    assert len(stage.people.users) == 4


async def test_all_that_is_wrong_with_a_new_user_is_told_at_once(stage: UserStage) -> None:
    with pytest.raises(Invalid) as refusal:
        await create(stage, username="!", email="!", password="short", first_name="a\nb", last_name="c\0")
    assert fields(refusal) == ["username", "email", "password", "first_name", "last_name"]
    with pytest.raises(Invalid) as unverifiable:
        await create(stage, email=None, verified=False)
    assert fields(unverifiable) == ["verified"]


@pytest.mark.parametrize(
    ("given", "code"), [({"username": "bob"}, "username-taken"), ({"email": BOB.email}, "email-taken")]
)
async def test_a_taken_name_or_address_is_a_conflict(stage: UserStage, given: Mapping[str, str], code: str) -> None:
    with pytest.raises(Conflict) as refusal:
        await create(stage, **given)
    assert refusal.value.code == code


# --- Changing -----------------------------------------------------------------------------------------------------


async def test_an_admin_changes_role_state_and_quota_which_is_recorded(stage: UserStage) -> None:
    changes = {"role": Role.MANAGER, "disabled": True, "quota": {"events_per_second": 5}}
    changed = await stage.desk.change(root, BOB.id, changes, ADDRESS)
    assert (changed.role, changed.disabled, changed.quota) == (Role.MANAGER, True, Quota(5, None))
    (record,) = stage.people.audited
    assert (record.action, record.actor_id, record.target_id) == ("user.updated", ROOT.id, BOB.id)
    assert record.attributes == {
        "changed": ["disabled", "events_per_second", "role"], "disabled": True, "events_per_second": 5,
        "role": "manager", "address": ADDRESS,
    }  # fmt: skip
    assert stage.forgotten == [("user", BOB.id)]


async def test_a_quota_is_merged_and_null_takes_a_part_or_all_of_it_away(stage: UserStage) -> None:
    async def after(quota: object) -> Quota:
        return (await stage.desk.change(root, BOB.id, {"quota": quota}, ADDRESS)).quota

    assert await after({"events_per_second": 5}) == Quota(5, None)
    assert await after({"bytes_per_day": 7}) == Quota(5, 7)
    assert await after({"events_per_second": None}) == Quota(None, 7)
    assert await after(None) == Quota(None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quota": {"events_per_second": 0}}, "quota.events_per_second"),
        ({"quota": {"bytes_per_day": True}}, "quota.bytes_per_day"),
        ({"quota": {"id": 1}}, "quota.id"),
        ({"quota": 5}, "quota"),
        ({"role": "root"}, "role"),
        ({"disabled": "no"}, "disabled"),
        ({"email": None}, "email"),
        ({"password": NEW}, "password"),
        ({"username": "x"}, "username"),
    ],
)
async def test_a_change_that_cannot_be_is_invalid_at_its_field(
    stage: UserStage, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await stage.desk.change(root, BOB.id, changes, ADDRESS)
    assert fields(refusal) == [field]
    assert stage.people.users[BOB.id] == BOB


async def test_an_admin_vouches_for_the_address_that_an_admin_gives(stage: UserStage) -> None:
    changed = await stage.desk.change(root, BOB.id, {"email": "robert@example.com", "first_name": "Robert"}, ADDRESS)
    assert (changed.email, changed.first_name, changed.verified) == ("robert@example.com", "Robert", True)
    assert "robert" not in repr(stage.people.audited).lower()


async def test_a_change_of_nothing_by_an_admin_is_not_recorded(stage: UserStage) -> None:
    assert await stage.desk.change(root, BOB.id, {"email": BOB.email}, ADDRESS) == BOB
    assert stage.people.audited == []


async def test_a_deletion_is_recorded_with_the_name_and_forgotten(stage: UserStage) -> None:
    await stage.desk.delete(root, BOB.id, ADDRESS)
    assert BOB.id not in stage.people.users
    (record,) = stage.people.audited
    assert (record.action, record.target_id) == ("user.deleted", BOB.id)
    assert record.attributes == {"username": "bob", "address": ADDRESS}
    assert stage.forgotten == [("user", BOB.id)]


async def test_who_may_read_users_but_is_no_admin_changes_nobody(stage: UserStage) -> None:
    for attempt in (
        stage.desk.change(mia, BOB.id, {"role": Role.ADMIN}, ADDRESS),
        stage.desk.change(mia, MIA.id, {"role": Role.ADMIN}, ADDRESS),
        stage.desk.delete(mia, BOB.id, ADDRESS),
        stage.desk.change(ada, ADA.id, {"role": Role.ADMIN}, ADDRESS),
        stage.desk.delete(ada, ADA.id, ADDRESS),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert stage.people.audited == []


@pytest.mark.parametrize("caller", [ada, KEY, VIEWER])
async def test_who_may_not_see_a_user_is_told_that_there_is_none(stage: UserStage, caller: Principal) -> None:
    for attempt in (
        stage.desk.change(caller, BOB.id, {"role": Role.ADMIN}, ADDRESS), stage.desk.delete(caller, BOB.id, ADDRESS),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await attempt


async def test_an_admin_may_step_down_while_the_control_data_allow_it(stage: UserStage) -> None:
    assert (await stage.desk.change(root, ROOT.id, {"role": Role.USER}, ADDRESS)).role is Role.USER
