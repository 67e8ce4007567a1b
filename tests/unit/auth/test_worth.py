"""What a key or an account is worth as it stands in the control data."""

from __future__ import annotations

from dataclasses import replace

from headrace.auth.worth import of_account, of_key
from headrace.model.account import Account, ApiKey, KnownKey, User
from headrace.model.bucket import Quota
from headrace.model.principal import Permission, Role

READ, WRITE, MANAGE = Permission.READ, Permission.WRITE, Permission.MANAGE
ADA = User("u-1", "ada", None, Role.USER, 0, quota=Quota(events_per_second=5))
KEY = ApiKey("k-1", "deploy", b"", Role.USER, 0, owner_id="u-1", grants={1: frozenset({READ, WRITE})}, rate_limit=7)
BOOTSTRAP = ApiKey("k-0", "bootstrap", b"", Role.ADMIN, 0)


def account(role: Role = Role.USER, **grants: frozenset[Permission]) -> Account:
    return Account(replace(ADA, role=role), {int(name[1:]): some for name, some in grants.items()})


def test_a_user_is_worth_the_role_and_the_grants_of_the_account() -> None:
    principal = of_account(account(Role.MANAGER, b1=frozenset({READ})), "s-1")
    assert principal is not None
    assert (principal.kind, principal.role, principal.owner_id, principal.session_id) == (
        "user", Role.MANAGER, "u-1", "s-1",
    )  # fmt: skip
    assert principal.grants == {1: {READ}}
    assert principal.owner_quota.events_per_second == 5


def test_a_disabled_user_is_worth_nothing() -> None:
    assert of_account(Account(replace(ADA, disabled=True), {1: frozenset({READ})})) is None


def test_the_bootstrap_key_is_an_administrator() -> None:
    principal = of_key(KnownKey(BOOTSTRAP, None))
    assert principal is not None
    assert principal.role is Role.ADMIN


def test_a_key_is_worth_only_what_its_owner_may_do_now() -> None:
    principal = of_key(KnownKey(KEY, account(b1=frozenset({READ}), b2=frozenset({WRITE}))))
    assert principal is not None
    assert principal.grants == {1: {READ}}
    assert (principal.rate_limit, principal.owner_quota.events_per_second) == (7, 5)


def test_manage_of_the_owner_covers_read_and_write_of_the_key() -> None:
    principal = of_key(KnownKey(KEY, account(b1=frozenset({MANAGE}))))
    assert principal is not None
    assert principal.grants == {1: {READ, WRITE}}


def test_an_owner_without_the_grant_leaves_a_key_that_may_do_nothing() -> None:
    principal = of_key(KnownKey(KEY, account()))
    assert principal is not None
    assert principal.grants == {}


def test_the_role_of_an_admin_or_manager_never_passes_to_a_key() -> None:
    for role in (Role.ADMIN, Role.MANAGER):
        principal = of_key(KnownKey(KEY, account(role, b1=frozenset({MANAGE}))))
        assert principal is not None
        assert principal.role is Role.USER


def test_a_key_of_an_admin_does_what_its_own_grants_say() -> None:
    principal = of_key(KnownKey(KEY, account(Role.ADMIN)))
    assert principal is not None
    assert principal.grants == {1: {READ, WRITE}}


def test_revoked_disabled_and_orphaned_keys_are_worth_nothing() -> None:
    owner = account(b1=frozenset({READ}))
    disabled = Account(replace(owner.user, disabled=True), owner.grants)
    assert of_key(KnownKey(replace(KEY, revoked_at=1), owner)) is None
    assert of_key(KnownKey(KEY, disabled)) is None
    assert of_key(KnownKey(KEY, None)) is None
    assert of_key(KnownKey(replace(BOOTSTRAP, revoked_at=1), None)) is None
