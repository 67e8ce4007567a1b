"""From a header to a caller, when all is well, when someone floods, and when the control data is gone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.auth.keys import new_key
from headrace.errors import Overloaded, Unauthenticated, Unavailable
from headrace.model.principal import Role
from tests.unit.auth.fakes_authenticate import Stage
from tests.unit.control import NOW


def made_up() -> str:
    return f"Bearer {new_key()}"


async def test_a_good_key_is_its_principal() -> None:
    stage = Stage()
    principal = await stage.authenticator.authenticate(stage.header)
    assert (principal.id, principal.kind, principal.name, principal.role) == (
        stage.header.split("_")[1],
        "api_key",
        "deploy",
        Role.ADMIN,
    )


async def test_the_scheme_is_understood_in_any_case() -> None:
    stage = Stage()
    await stage.authenticator.authenticate(stage.header.replace("Bearer", "bEARER"))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic aGVhZHJhY2U6",
        "hr_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Bearer hr_",
        "Bearer hr_aaaaaaaaaaaaaaaa_",
        "Bearer hr_aaaaaaaaaaaaaaaa_aaaa",
        "Bearer hr_AAAAAAAAAAAAAAAA_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Bearer hr_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "Bearer hr_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa extra",
        "Bearer hr_\u00e9aaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Bearer " + "x" * 1_000_000,
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
)
async def test_what_has_not_the_form_of_a_key_is_refused_without_a_lookup(header: str | None) -> None:
    stage = Stage()
    with pytest.raises(Unauthenticated):
        await stage.authenticator.authenticate(header)
    assert stage.keys.asked == []


async def test_an_unknown_key_and_a_wrong_secret_are_refused_in_the_same_words() -> None:
    stage = Stage()
    wrong_secret = stage.header[: stage.header.rindex("_")] + made_up()[-33:]
    details = set()
    for header in (made_up(), wrong_secret):
        with pytest.raises(Unauthenticated) as refusal:
            await stage.authenticator.authenticate(header)
        details.add(refusal.value.detail)
        assert stage.authenticator.cached(header.encode()) is None
    assert len(details) == 1


async def test_no_part_of_a_secret_is_in_an_error() -> None:
    stage = Stage()
    header = made_up()
    with pytest.raises(Unauthenticated) as refusal:
        await stage.authenticator.authenticate(header)
    assert header[-32:] not in str(refusal.value)


async def test_a_verified_header_is_cached_for_five_seconds_of_its_lookup() -> None:
    stage = Stage()
    header = stage.header.encode()
    assert stage.authenticator.cached(header) is None
    principal = await stage.authenticator.authenticate(stage.header)
    stage.clock.seconds = 4.0
    assert stage.authenticator.cached(header) is principal
    await stage.authenticator.authenticate(stage.header)  # from memory, which must not make it younger
    stage.clock.seconds = 5.0
    assert stage.authenticator.cached(header) is None


async def test_a_revoked_key_is_refused_after_five_seconds_however_busy_it_is() -> None:
    stage = Stage()
    await stage.authenticator.authenticate(stage.header)
    stage.keys.keys.clear()
    for tenth in range(50):
        stage.clock.seconds = tenth / 10
        await stage.authenticator.authenticate(stage.header)
    stage.clock.seconds = 5.0
    assert stage.authenticator.cached(stage.header.encode()) is None
    with pytest.raises(Unauthenticated):
        await stage.authenticator.authenticate(stage.header)


async def test_a_key_is_good_until_it_expires_and_no_longer_from_the_cache_either() -> None:
    stage = Stage()
    header = stage.add(expires_at=NOW + 2_000_000)
    await stage.authenticator.authenticate(header)
    stage.clock.seconds = 1.9
    assert stage.authenticator.cached(header.encode()) is not None
    stage.clock.seconds = 2.0
    assert stage.authenticator.cached(header.encode()) is None
    with pytest.raises(Unauthenticated) as refusal:
        await stage.authenticator.authenticate(header)
    assert refusal.value.code == "expired-key"


async def test_that_a_key_has_expired_is_told_only_to_who_has_its_secret() -> None:
    stage = Stage()
    header = stage.add(expires_at=NOW - 1)
    with pytest.raises(Unauthenticated) as refusal:
        await stage.authenticator.authenticate(header[: header.rindex("_")] + made_up()[-33:])
    assert refusal.value.code == "unauthenticated"


async def test_a_hundred_requests_at_once_look_a_key_up_once() -> None:
    stage = Stage()
    await asyncio.gather(*(stage.authenticator.authenticate(stage.header) for _ in range(100)))
    assert len(stage.keys.asked) == 1


async def test_without_control_data_a_key_seen_lately_is_good_and_any_other_is_unavailable() -> None:
    stage = Stage()
    later = stage.add()
    await stage.authenticator.authenticate(stage.header)
    stage.keys.down = True
    stage.clock.seconds = 899.0
    await stage.authenticator.authenticate(stage.header)
    assert stage.authenticator.cached(stage.header.encode()) is not None
    for header in (later, made_up()):
        with pytest.raises(Unavailable):
            await stage.authenticator.authenticate(header)
    stage.clock.seconds = 900.0
    assert stage.authenticator.cached(stage.header.encode()) is None
    with pytest.raises(Unavailable):
        await stage.authenticator.authenticate(stage.header)


async def test_a_wrong_secret_stays_wrong_without_control_data() -> None:
    stage = Stage()
    await stage.authenticator.authenticate(stage.header)
    stage.keys.down = True
    stage.clock.seconds = 10.0
    with pytest.raises(Unauthenticated):
        await stage.authenticator.authenticate(stage.header[: stage.header.rindex("_")] + made_up()[-33:])


async def test_the_same_bad_key_over_and_over_is_looked_up_once_in_five_seconds() -> None:
    stage = Stage()
    bad = made_up()
    for _ in range(1_000):
        with pytest.raises(Unauthenticated):
            await stage.authenticator.authenticate(bad)
    assert len(stage.keys.asked) == 1


async def test_a_flood_of_made_up_keys_grows_no_memory_and_reaches_the_database_at_a_trickle() -> None:
    stage = Stage()
    await stage.authenticator.authenticate(stage.header)
    stage.keys.asked.clear()
    overloaded = 0
    for number in range(20_000):
        stage.clock.seconds = 10 + number / 2_000  # ten seconds of it
        try:
            await stage.authenticator.authenticate(made_up())
        except Overloaded:
            overloaded += 1
        except Unauthenticated:
            pass
    assert len(stage.keys.asked) <= 1_000 + 10 * 50
    assert overloaded >= 18_000
    lookup = stage.authenticator._keys
    assert len(lookup._absent) <= 1_000
    assert len(lookup._known) == 1
    assert len(stage.authenticator._verified) == 1


async def test_known_keys_work_all_through_a_flood() -> None:
    stage = Stage()
    await stage.authenticator.authenticate(stage.header)
    stage.clock.seconds = 6.0
    for _ in range(2_000):
        with pytest.raises((Unauthenticated, Overloaded)):
            await stage.authenticator.authenticate(made_up())
    await stage.authenticator.authenticate(stage.header)


async def test_many_spellings_of_one_good_header_grow_no_memory() -> None:
    stage = Stage()
    for number in range(5_000):
        await stage.authenticator.authenticate(stage.header.replace(" ", " " * (number % 5_000 + 1)))
    assert len(stage.authenticator._verified) <= 4_096
    assert max(map(len, stage.authenticator._verified)) <= 2_048


async def test_a_role_that_changed_counts_after_five_seconds() -> None:
    stage = Stage()
    principal = await stage.authenticator.authenticate(stage.header)
    stage.keys.keys[principal.id] = replace(stage.keys.keys[principal.id], role=Role.USER)
    stage.clock.seconds = 5.0
    assert (await stage.authenticator.authenticate(stage.header)).role is Role.USER
