"""Who may do what: every role and grant against every permission, on a bucket of users and on one of the system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.errors import Forbidden, NotFound
from headrace.model.bucket import Bucket
from headrace.model.permission import (
    allowed,
    may_read_users,
    may_see,
    require,
    require_admin,
    require_bucket_maker,
    require_key_maker,
    unknown_bucket,
    view,
)
from headrace.model.principal import BucketView, Permission, Principal, Role
from headrace.model.query import EventFilter
from headrace.model.view import View

BILLING = Bucket(7, "billing", "", None, 0)
AUDIT = Bucket(2, "_audit", "", None, 0)
READ, WRITE, MANAGE = Permission.READ, Permission.WRITE, Permission.MANAGE


def caller(role: Role, *grants: Permission) -> Principal:
    everywhere = frozenset(grants)
    return Principal("k", "api_key", "k", role, {BILLING.id: everywhere, AUDIT.id: everywhere} if grants else {})


@pytest.mark.parametrize(
    ("principal", "on_billing", "on_audit"),
    [
        (caller(Role.ADMIN), {READ, WRITE, MANAGE}, {READ, MANAGE}),
        (caller(Role.MANAGER), set(), set()),
        (caller(Role.USER), set(), set()),
        (caller(Role.USER, READ), {READ}, {READ}),
        (caller(Role.USER, WRITE), {WRITE}, set()),
        (caller(Role.USER, MANAGE), {READ, WRITE, MANAGE}, {READ, MANAGE}),
        (caller(Role.USER, READ, WRITE), {READ, WRITE}, {READ}),
    ],
)
def test_what_each_caller_may_do(
    principal: Principal, on_billing: set[Permission], on_audit: set[Permission]
) -> None:
    assert {permission for permission in Permission if allowed(principal, BILLING, permission)} == on_billing
    assert {permission for permission in Permission if allowed(principal, AUDIT, permission)} == on_audit


def test_a_grant_on_one_bucket_says_nothing_of_another() -> None:
    other = Bucket(8, "shipping", "", None, 0)
    assert not allowed(caller(Role.USER, READ), other, READ)
    assert not may_see(caller(Role.USER, READ), other)


TASKS = Bucket(3, "_tasks", "", None, 0)


@pytest.mark.parametrize("kind", ["user", "api_key"])
@pytest.mark.parametrize(("owner", "actor"), [("ada", "ada"), (None, "k")])
def test_everybody_reads_of_their_own_tasks_without_seeing_the_bucket(
    kind: str, owner: str | None, actor: str
) -> None:
    somebody = Principal("k", kind, "k", Role.USER, {BILLING.id: frozenset({READ})}, owner_id=owner)
    assert view(somebody, TASKS) == View(TASKS, EventFilter(actors=(actor,)))
    assert not may_see(somebody, TASKS)
    with pytest.raises(NotFound):
        require(somebody, TASKS, READ)
    with pytest.raises(NotFound):
        view(somebody, AUDIT)


def test_with_a_grant_all_of_the_tasks_bucket_is_read() -> None:
    reader = Principal("k", "user", "k", Role.USER, {TASKS.id: frozenset({READ})}, owner_id="k")
    assert view(reader, TASKS) == view(caller(Role.ADMIN), TASKS) == View(TASKS)


def test_a_viewer_token_reads_of_no_task() -> None:
    holder = Principal("v", "viewer", "v", Role.USER, view=BucketView(BILLING.id, EventFilter()))
    for principal in (holder, replace(holder, view=None)):
        with pytest.raises(NotFound):
            view(principal, TASKS)


def test_what_may_not_be_seen_is_answered_as_what_is_not_there() -> None:
    with pytest.raises(NotFound) as refusal:
        require(caller(Role.USER), BILLING, READ)
    absent = unknown_bucket(BILLING.name)
    assert (refusal.value.detail, refusal.value.code) == (absent.detail, absent.code)


def test_what_may_be_seen_but_not_done_is_forbidden_and_says_what_is_missing() -> None:
    with pytest.raises(Forbidden, match="write"):
        require(caller(Role.USER, READ), BILLING, WRITE)


def test_not_even_an_admin_writes_to_a_system_bucket() -> None:
    with pytest.raises(Forbidden) as refusal:
        require(caller(Role.ADMIN), AUDIT, WRITE)
    assert refusal.value.code == "system-bucket"


def test_what_is_allowed_passes() -> None:
    require(caller(Role.ADMIN), AUDIT, READ)
    require(caller(Role.USER, WRITE), BILLING, WRITE)


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_only_an_admin_is_an_admin(role: Role) -> None:
    require_admin(caller(Role.ADMIN))
    with pytest.raises(Forbidden):
        require_admin(caller(role, READ, WRITE, MANAGE))


def of(kind: str, role: Role) -> Principal:
    return Principal("p", kind, "p", role)


@pytest.mark.parametrize("principal", [of("api_key", Role.ADMIN), of("user", Role.ADMIN), of("user", Role.MANAGER)])
def test_admins_and_managers_make_buckets_and_read_users(principal: Principal) -> None:
    require_bucket_maker(principal)
    assert may_read_users(principal)


@pytest.mark.parametrize(
    "principal",
    [of("user", Role.USER), of("api_key", Role.USER), of("api_key", Role.MANAGER), of("viewer", Role.MANAGER)],
)
def test_nobody_else_makes_buckets_or_reads_users(principal: Principal) -> None:
    with pytest.raises(Forbidden):
        require_bucket_maker(principal)
    assert not may_read_users(principal)


@pytest.mark.parametrize("principal", [of("api_key", Role.ADMIN), *(of("user", role) for role in Role)])
def test_every_user_makes_keys_and_so_does_the_bootstrap_key(principal: Principal) -> None:
    require_key_maker(principal)


@pytest.mark.parametrize("principal", [of("api_key", Role.USER), of("viewer", Role.USER)])
def test_no_other_key_and_no_viewer_makes_keys(principal: Principal) -> None:
    with pytest.raises(Forbidden):
        require_key_maker(principal)
