"""Who may make, see and revoke which API keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.auth.keys import matches, parse_key
from headrace.errors import Forbidden, Invalid, NotFound
from headrace.model.account import ApiKey
from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal, Role
from tests.unit.auth.fakes_desk import ADDRESS, BOOTSTRAP, KeyStage
from tests.unit.control import NOW

READ, WRITE, MANAGE = (frozenset({permission}) for permission in Permission)
NOBODY: frozenset[Permission] = frozenset()


def user(role: Role = Role.USER, **grants: frozenset[Permission]) -> Principal:
    return Principal("u-1", "user", "ada", role, {int(name[1:]): some for name, some in grants.items()}, owner_id="u-1")


def on(bucket: Bucket, permissions: frozenset[Permission], role: Role = Role.USER) -> Principal:
    return user(role, **{f"b{bucket.id}": permissions})


async def made(
    stage: KeyStage,
    maker: Principal,
    *grants: tuple[str, frozenset[Permission]],
    name: str = "deploy",
    expires_at: int | None = None,
    rate_limit: int | None = None,
) -> tuple[ApiKey, str]:
    return await stage.desk.create(maker, name, grants, expires_at, rate_limit, ADDRESS)


async def test_a_key_belongs_to_its_maker_and_only_a_digest_of_it_is_kept() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    key, text = await made(stage, on(billing, READ | WRITE), ("billing", WRITE), expires_at=NOW + 1, rate_limit=10**9)
    parts = parse_key(text)
    assert parts is not None
    assert stage.keys.keys == {parts.id: key}
    assert matches(parts.secret, key.secret_sha256)
    assert (key.owner_id, key.role, key.created_at, key.expires_at, key.rate_limit, dict(key.grants)) == (
        "u-1", Role.USER, NOW, NOW + 1, 10**9, {billing.id: WRITE},
    )  # fmt: skip


async def test_a_new_key_is_recorded_without_its_secret() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    key, text = await made(stage, on(billing, MANAGE), ("billing", READ | WRITE), rate_limit=5)
    (record,) = stage.keys.audited
    assert (record.action, record.actor_id, record.actor_type, record.target_id, record.target_type) == (
        "key.created", "u-1", "user", key.id, "api_key",
    )  # fmt: skip
    assert record.attributes == {
        "name": "deploy", "grants": {"billing": ["read", "write"]}, "address": ADDRESS, "rate_limit": 5,
    }  # fmt: skip
    assert text.rpartition("_")[2] not in repr(record)


async def test_whoever_manages_a_bucket_gives_a_key_any_permission_on_it() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    key, _ = await made(stage, on(billing, MANAGE), ("billing", frozenset(Permission)))
    assert key.grants == {billing.id: frozenset(Permission)}


async def test_a_bucket_that_is_named_twice_gets_both() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    key, _ = await made(stage, on(billing, MANAGE), ("billing", READ), ("billing", WRITE))
    assert key.grants == {billing.id: READ | WRITE}


async def test_the_bootstrap_key_makes_keys_that_nobody_owns_and_that_are_no_admins() -> None:
    stage = KeyStage()
    await stage.with_buckets()
    key, _ = await made(stage, BOOTSTRAP, ("secret", MANAGE), ("_audit", READ))
    assert (key.owner_id, key.role) == (None, Role.USER)


async def test_an_admin_user_grants_on_every_bucket() -> None:
    stage = KeyStage()
    await stage.with_buckets()
    key, _ = await made(stage, user(Role.ADMIN), ("secret", WRITE))
    assert (key.owner_id, key.role) == ("u-1", Role.USER)


async def test_keys_and_viewer_tokens_make_no_keys() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    for kind in ("api_key", "viewer"):
        with pytest.raises(Forbidden):
            await made(stage, replace(on(billing, MANAGE), kind=kind), ("billing", READ))
    assert not stage.keys.keys


async def test_a_bucket_that_the_maker_cannot_see_is_refused_as_one_that_is_not_there() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    said = []
    for name in ("secret", "no-such"):
        with pytest.raises(NotFound) as refusal:
            await made(stage, on(billing, READ), ("billing", WRITE), (name, READ))  # before what is forbidden
        said.append((refusal.value.code, refusal.value.detail.replace(name, "…")))
    assert said[0] == said[1]


@pytest.mark.parametrize(("has", "wants"), [(READ, WRITE), (WRITE, READ), (READ | WRITE, MANAGE), (READ, READ | WRITE)])
async def test_a_key_gets_no_more_than_its_maker_has(has: frozenset[Permission], wants: frozenset[Permission]) -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    with pytest.raises(Forbidden):
        await made(stage, on(billing, has, Role.MANAGER), ("billing", wants))
    assert not stage.keys.keys


@pytest.mark.parametrize("wants", [WRITE, MANAGE, READ | WRITE])
async def test_not_even_an_admin_gives_more_than_read_on_a_bucket_of_the_system(wants: frozenset[Permission]) -> None:
    stage = KeyStage()
    await stage.with_buckets()
    with pytest.raises(Forbidden) as refusal:
        await made(stage, BOOTSTRAP, ("_audit", wants))
    assert refusal.value.code == "system-bucket"


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, 0, -1, 2**63])
async def test_a_key_expires_in_the_future(expires_at: int) -> None:
    with pytest.raises(Invalid) as refusal:
        await made(KeyStage(), BOOTSTRAP, expires_at=expires_at)
    assert [item.field for item in refusal.value.items] == ["expires_at"]


@pytest.mark.parametrize("rate_limit", [0, -1, 10**9 + 1])
async def test_a_rate_limit_out_of_range_is_invalid(rate_limit: int) -> None:
    with pytest.raises(Invalid) as refusal:
        await made(KeyStage(), BOOTSTRAP, rate_limit=rate_limit)
    assert [item.field for item in refusal.value.items] == ["rate_limit"]


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb"])
async def test_a_bad_name_is_invalid(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await made(KeyStage(), BOOTSTRAP, name=name)
    assert [item.field for item in refusal.value.items] == ["name"]


async def test_grants_are_bounded_and_none_of_them_is_empty() -> None:
    stage = KeyStage()
    await stage.with_buckets()
    await made(stage, BOOTSTRAP, *[("billing", READ)] * 1_000)
    for grants in ([("billing", READ)] * 1_001, [("billing", NOBODY)]):
        with pytest.raises(Invalid) as refusal:
            await made(stage, BOOTSTRAP, *grants)
        assert [item.field for item in refusal.value.items] == ["grants"]


async def test_users_see_their_own_keys_and_admins_all_by_the_names_of_the_buckets() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    mine, _ = await made(stage, on(billing, READ), ("billing", READ))
    others, _ = await made(stage, BOOTSTRAP, ("secret", WRITE))
    assert await stage.desk.list(user(), None, 10) == [(mine, {"billing": READ})]
    assert {key.id for key, _ in await stage.desk.list(BOOTSTRAP, None, 10)} == {mine.id, others.id}
    first, second = await stage.desk.list(user(Role.ADMIN), None, 10)
    assert await stage.desk.list(BOOTSTRAP, None, 1) == [first]
    assert await stage.desk.list(BOOTSTRAP, first[0].id, 10) == [second]


async def test_a_key_sees_itself_and_nothing_of_its_owner() -> None:
    stage = KeyStage()
    billing = (await stage.with_buckets())["billing"]
    mine, _ = await made(stage, on(billing, READ), ("billing", READ))
    await made(stage, on(billing, READ), ("billing", READ))
    itself = Principal(mine.id, "api_key", mine.name, Role.USER, mine.grants, owner_id="u-1")
    assert await stage.desk.list(itself, None, 10) == [(mine, {"billing": READ})]
    assert await stage.desk.list(itself, mine.id, 10) == []


async def test_a_grant_on_a_bucket_that_is_gone_is_left_out() -> None:
    stage = KeyStage()
    await stage.with_buckets()
    key, _ = await made(stage, BOOTSTRAP, ("billing", READ), ("secret", READ))
    del stage.buckets.rows["secret"]
    assert await stage.desk.list(BOOTSTRAP, None, 10) == [(key, {"billing": READ})]


async def test_an_admin_may_ask_for_the_keys_of_one_user_and_others_only_for_their_own() -> None:
    stage = KeyStage()
    theirs, _ = await made(stage, BOOTSTRAP)
    mine, _ = await made(stage, user())
    assert await stage.desk.list(user(Role.ADMIN), None, 10, user().id) == [(mine, {})]
    assert await stage.desk.list(user(), None, 10, user().id) == [(mine, {})]
    assert await stage.desk.list(user(), None, 10, "u-9") == []
    assert theirs.owner_id is None


async def test_a_revoked_key_is_recorded_forgotten_and_no_longer_listed() -> None:
    stage = KeyStage()
    key, _ = await made(stage, user())
    assert await stage.desk.get(user(), key.id) == key
    await stage.desk.revoke(user(), key.id, ADDRESS)
    assert stage.keys.keys[key.id].revoked_at == NOW
    assert (stage.keys.audited[-1].action, stage.keys.audited[-1].target_id) == ("key.revoked", key.id)
    assert stage.forgotten == [("api_key", key.id)]
    assert await stage.desk.list(user(), None, 10) == []
    with pytest.raises(NotFound):
        await stage.desk.get(user(), key.id)
    with pytest.raises(NotFound):
        await stage.desk.revoke(user(), key.id, ADDRESS)


async def test_the_key_of_another_is_as_one_that_is_not_there() -> None:
    stage = KeyStage()
    theirs, _ = await made(stage, BOOTSTRAP)
    mine, _ = await made(stage, user())
    itself = Principal(theirs.id, "api_key", theirs.name, Role.USER)
    said = set()
    for caller, key_id in (
        (user(Role.MANAGER), theirs.id),
        (itself, mine.id),
        (user(), "mfrggzdfmztwq2lk"),
        (BOOTSTRAP, "mfrggzdfmztwq2lk"),
        (BOOTSTRAP, "no id\ud800"),
    ):
        with pytest.raises(NotFound):
            await stage.desk.get(caller, key_id)
        with pytest.raises(NotFound) as refusal:
            await stage.desk.revoke(caller, key_id, ADDRESS)
        said.add((refusal.value.code, refusal.value.detail.replace(repr(key_id), "…")))
    assert len(said) == 1
    assert stage.forgotten == []


async def test_admins_revoke_every_key_and_a_key_itself() -> None:
    stage = KeyStage()
    for revoker in (BOOTSTRAP, user(Role.ADMIN), None):
        key, _ = await made(stage, replace(user(), id="u-2", owner_id="u-2"))
        await stage.desk.revoke(revoker or Principal(key.id, "api_key", key.name, Role.USER), key.id, ADDRESS)
    assert [key for key in stage.keys.keys.values() if key.revoked_at is None] == []


async def test_an_admin_may_revoke_the_bootstrap_key() -> None:
    stage = KeyStage()
    stage.keys.keys["mfrggzdfmztwq2lk"] = ApiKey("mfrggzdfmztwq2lk", "bootstrap", b"", Role.ADMIN, 0)
    await stage.desk.revoke(user(Role.ADMIN), "mfrggzdfmztwq2lk", ADDRESS)
    assert stage.keys.keys["mfrggzdfmztwq2lk"].revoked_at == NOW


async def test_a_viewer_token_sees_and_revokes_no_key() -> None:
    stage = KeyStage()
    key, _ = await made(stage, BOOTSTRAP)
    viewer = Principal(key.id, "viewer", "v", Role.USER)
    with pytest.raises(Forbidden):
        await stage.desk.list(viewer, None, 10)
    with pytest.raises(Forbidden):
        await stage.desk.revoke(viewer, key.id, ADDRESS)
