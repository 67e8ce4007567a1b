"""From a token to a caller: our own access and viewer tokens, and those of an OpenID provider."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from headrace.errors import Unauthenticated, Unavailable
from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal, Role
from tests.unit.auth.fakes_authenticate import FOREIGN_ISSUER, Stage
from tests.unit.auth.fakes_tokens import USER_ID
from tests.unit.control import NOW

BUCKET = Bucket(1, "billing", "", None, NOW)


def foreign(**claims: object) -> str:
    """Something that looks like a token of the provider; nothing here checks its signature."""
    body = base64.urlsafe_b64encode(json.dumps({"iss": FOREIGN_ISSUER, **claims}).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


async def refused(stage: Stage, header: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refusal:
        await stage.authenticator.authenticate(header)
    return refusal.value


async def test_an_access_token_is_its_user_with_the_role_and_grants_of_the_account() -> None:
    stage = Stage()
    principal = await stage.authenticator.authenticate(await stage.token())
    assert (principal.kind, principal.name, principal.role) == ("user", "ada", Role.USER)
    assert principal.grants == {1: {Permission.MANAGE}}
    assert principal.session_id is not None


async def test_a_verified_token_is_cached_for_five_seconds() -> None:
    stage = Stage()
    header = await stage.token()
    principal = await stage.authenticator.authenticate(header)
    stage.clock.seconds = 4.9
    assert stage.authenticator.cached(header.encode()) is principal
    stage.clock.seconds = 5.0
    assert stage.authenticator.cached(header.encode()) is None


async def test_a_role_comes_from_the_account_within_five_seconds() -> None:
    stage = Stage()
    header = await stage.token()
    await stage.authenticator.authenticate(header)
    assert stage.people.account is not None
    stage.people.account = replace(stage.people.account, user=replace(stage.people.account.user, role=Role.ADMIN))
    stage.clock.seconds = 5.0
    assert (await stage.authenticator.authenticate(header)).role is Role.ADMIN


@pytest.mark.parametrize("end", ["logout", "expired session", "disabled", "deleted"])
async def test_what_ends_a_session_ends_its_access_tokens_within_five_seconds(end: str) -> None:
    stage = Stage()
    header = await stage.token()
    await stage.authenticator.authenticate(header)
    assert stage.people.account is not None
    assert stage.people.session is not None
    if end == "logout":
        stage.people.session = None
    elif end == "expired session":
        stage.people.session = replace(stage.people.session, expires_at=NOW)
    elif end == "disabled":
        stage.people.account = replace(stage.people.account, user=replace(stage.people.account.user, disabled=True))
    else:
        stage.people.account = None
    stage.clock.seconds = 5.0
    assert stage.authenticator.cached(header.encode()) is None
    await refused(stage, header)


async def test_a_token_of_a_session_of_somebody_else_is_refused() -> None:
    stage = Stage()
    assert stage.people.session is not None
    stage.people.session = replace(stage.people.session, user_id="01890a5d-ac96-774b-bcce-b302099a8059")
    await refused(stage, await stage.token())


async def test_a_token_expires_from_the_cache_too() -> None:
    stage = Stage()
    header = await stage.token()
    stage.clock.seconds = 899.0
    await stage.authenticator.authenticate(header)
    stage.clock.seconds = 902.0
    assert stage.authenticator.cached(header.encode()) is None
    assert (await refused(stage, header)).code == "expired-token"


async def test_a_token_with_a_bad_signature_reaches_no_database() -> None:
    stage = Stage()
    header = await stage.token()
    await refused(stage, header[:-20] + ("A" * 20))
    assert stage.people.asked == []


async def test_credentials_over_eight_kilobytes_are_refused_unread() -> None:
    stage = Stage()
    await refused(stage, "Bearer " + foreign(filler="x" * 9_000))
    assert stage.oidc.asked == []


async def test_without_control_data_a_token_seen_lately_is_good_and_another_unavailable() -> None:
    stage = Stage()
    header = await stage.token()
    await stage.authenticator.authenticate(header)
    stage.people.down = True
    stage.clock.seconds = 600.0
    await stage.authenticator.authenticate(header)
    fresh = Stage()
    fresh.people.down = True
    with pytest.raises(Unavailable):
        await fresh.authenticator.authenticate(await fresh.token())


async def test_own_changes_show_at_once() -> None:
    stage = Stage()
    header = await stage.token()
    await stage.authenticator.authenticate(header)
    stage.people.session = None
    stage.authenticator.forget("user", USER_ID)
    assert stage.authenticator.cached(header.encode()) is None
    await refused(stage, header)


async def test_what_was_revoked_here_does_not_come_back_when_the_database_goes_away() -> None:
    stage = Stage()
    token, key = await stage.token(), stage.header
    await stage.authenticator.authenticate(token)
    principal = await stage.authenticator.authenticate(key)
    stage.authenticator.forget("user", USER_ID)
    stage.authenticator.forget("api_key", principal.id)
    stage.people.down = stage.keys.down = True
    for header in (token, key):
        with pytest.raises(Unavailable):
            await stage.authenticator.authenticate(header)


async def test_a_change_of_one_leaves_the_others_at_hand() -> None:
    stage = Stage()
    header = await stage.token()
    await stage.authenticator.authenticate(header)
    stage.authenticator.forget("user", "01890a5d-ac96-774b-bcce-b302099a8059")
    await stage.authenticator.authenticate(header)
    assert len(stage.people.asked) == 1


# --- viewer tokens --------------------------------------------------------------------------------------------------


async def viewer(stage: Stage, maker: Principal, expires_in: int = 600) -> str:
    await stage.mint.tokens.ensure_key()
    token, _ = await stage.viewers.mint(maker, BUCKET, {"attr.tenant": "acme"}, expires_in, "127.0.0.1")
    return f"Bearer {token}"


async def test_a_viewer_token_is_a_view_of_one_bucket() -> None:
    stage = Stage()
    maker = await stage.authenticator.authenticate(await stage.token())
    principal = await stage.authenticator.authenticate(await viewer(stage, maker))
    assert principal.kind == "viewer"
    assert principal.view is not None
    assert principal.view.bucket_id == 1
    assert principal.view.within.attributes[0].values == ("acme",)


async def test_a_viewer_token_dies_with_its_makers_right_to_manage() -> None:
    stage = Stage()
    maker = await stage.authenticator.authenticate(await stage.token())
    header = await viewer(stage, maker)
    await stage.authenticator.authenticate(header)
    assert stage.people.account is not None
    stage.people.account = replace(stage.people.account, grants={1: frozenset({Permission.READ})})
    stage.clock.seconds = 5.0
    await refused(stage, header)


async def test_a_viewer_token_dies_with_the_key_that_made_it() -> None:
    stage = Stage()
    maker = await stage.authenticator.authenticate(stage.header)
    header = await viewer(stage, maker)
    await stage.authenticator.authenticate(header)
    stage.keys.keys[maker.id] = replace(stage.keys.keys[maker.id], revoked_at=NOW)
    stage.clock.seconds = 5.0
    await refused(stage, header)


async def test_a_viewer_token_is_believed_no_longer_than_its_maker() -> None:
    stage = Stage()
    maker = await stage.authenticator.authenticate(stage.header)
    stage.clock.seconds = 4.0
    header = await viewer(stage, maker)
    await stage.authenticator.authenticate(header)
    stage.clock.seconds = 5.0
    assert stage.authenticator.cached(header.encode()) is None


async def test_a_viewer_token_dies_when_its_makers_key_expires() -> None:
    stage = Stage()
    expiring = stage.add(expires_at=NOW + 2_000_000)
    header = await viewer(stage, await stage.authenticator.authenticate(expiring))
    await stage.authenticator.authenticate(header)
    stage.clock.seconds = 2.0
    assert stage.authenticator.cached(header.encode()) is None
    await refused(stage, header)


async def test_a_viewer_token_expires() -> None:
    stage = Stage()
    maker = await stage.authenticator.authenticate(stage.header)
    header = await viewer(stage, maker, expires_in=2)
    await stage.authenticator.authenticate(header)
    stage.clock.seconds = 4.0
    assert stage.authenticator.cached(header.encode()) is None
    assert (await refused(stage, header)).code == "expired-token"


# --- OpenID ---------------------------------------------------------------------------------------------------------


async def test_a_token_of_the_provider_is_asked_about_once_in_five_seconds() -> None:
    stage = Stage()
    token = foreign(sub="7")
    assert stage.people.account is not None
    stage.oidc.accounts[token] = stage.people.account
    for _ in range(10):
        assert (await stage.authenticator.authenticate(f"Bearer {token}")).name == "ada"
    stage.clock.seconds = 5.0
    await stage.authenticator.authenticate(f"Bearer {token}")
    assert len(stage.oidc.asked) == 2


async def test_a_token_that_only_claims_the_provider_is_never_tried_as_one_of_ours() -> None:
    stage = Stage()
    await refused(stage, "Bearer " + foreign(sub="8"))
    assert stage.oidc.asked


DEEP = base64.b64encode(b"[" * 3_000).decode()


@pytest.mark.parametrize("body", ["", "e30", "W10", "bm8", "!!!", "eyJpc3MiOjF9", DEEP])
async def test_a_token_whose_issuer_cannot_be_read_is_refused(body: str) -> None:
    stage = Stage()
    await refused(stage, f"Bearer e30.{body}.c2ln")


# --- last use -------------------------------------------------------------------------------------------------------


async def test_a_key_that_was_used_is_written_down_at_the_next_step() -> None:
    stage = Stage()
    principal = await stage.authenticator.authenticate(stage.header)
    await stage.last_used.step()
    assert stage.keys.keys[principal.id].last_used_at == NOW
