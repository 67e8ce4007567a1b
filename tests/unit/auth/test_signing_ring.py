"""The keys behind the tokens: made once, rotated, kept while a token of theirs is good, and good without a database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from headrace.errors import Forbidden, Unauthenticated, Unavailable, Unusable
from headrace.model.account import SigningKey
from headrace.model.principal import Principal, Role
from tests.unit.auth.fakes_tokens import HeldSigningKeys, Mint, a_mint, b64
from tests.unit.control import NOW, HandClock

ADMIN = Principal(id="admin-id", kind="user", name="ada", role=Role.ADMIN)
DAY = 86_400


@pytest.fixture
async def mint() -> Mint:
    return await a_mint()


def stranger(number: int) -> str:
    """A token that names a key which nobody has."""
    header = {"alg": "EdDSA", "typ": "at+jwt", "kid": f"01890a5d-ac96-774b-bcce-{number:012x}"}
    return f"{b64(json.dumps(header).encode())}.e30.{'A' * 86}"


async def is_refused(mint: Mint, text: str) -> bool:
    try:
        await mint.tokens.verify(text)
    except Unauthenticated:
        return True
    return False


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_start_makes_a_key_and_the_second_finds_it(mint: Mint) -> None:
    text = await mint.access()
    again = await a_mint(mint.keys, mint.clock)
    assert len(mint.keys.rows) == 1
    assert await again.tokens.verify(text)
    (record,) = mint.keys.audited
    assert (record.action, record.actor_type) == ("signing_key.rotated", "system")
    assert record.target_id == mint.keys.rows[0].id


async def test_of_two_servers_that_start_at_once_both_use_the_key_of_one() -> None:
    keys, clock = HeldSigningKeys(), HandClock()
    one, two = await asyncio.gather(a_mint(keys, clock), a_mint(keys, clock))
    assert len(keys.rows) == 1
    assert await one.tokens.verify(await two.access())


async def test_the_private_key_is_stored_sealed_only(mint: Mint) -> None:
    (row,) = mint.keys.rows
    assert mint.private_key().private_bytes_raw() not in row.sealed
    assert b"OKP" not in row.sealed
    assert b64(mint.private_key().private_bytes_raw()) not in repr(row) + json.dumps(await mint.tokens.jwks())


async def test_a_key_of_another_secret_is_replaced_at_start(mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
    other = await a_mint(mint.keys, mint.clock, "another secret")
    assert [row.retired_at is None for row in mint.keys.rows] == [False, True]
    assert await other.tokens.verify(await other.access())
    assert "another secret" in caplog.text
    assert len((await other.tokens.jwks())["keys"]) == 1


async def test_a_server_with_another_secret_that_loses_the_race_does_not_start() -> None:
    class Raced(HeldSigningKeys):
        async def list_signing_keys(self) -> Sequence[SigningKey]:
            return await super().list_signing_keys() if self.reads else await self._late()

        async def _late(self) -> Sequence[SigningKey]:
            before = await super().list_signing_keys()
            await a_mint(self, HandClock(), "another secret")
            return before

    with pytest.raises(Unusable):
        await a_mint(Raced())


async def test_the_public_keys_show_nothing_private(mint: Mint) -> None:
    (key,) = (await mint.tokens.jwks())["keys"]
    x = b64(mint.private_key().public_key().public_bytes_raw())
    kid = mint.keys.rows[0].id
    assert key == {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}


async def test_after_a_rotation_the_new_key_signs_and_the_old_one_verifies(mint: Mint) -> None:
    before = await mint.access()
    kid = await mint.tokens.rotate(ADMIN, "192.0.2.1")
    after = await mint.access()
    assert mint.header()["kid"] == kid
    assert before.split(".")[0] != after.split(".")[0]
    assert await mint.tokens.verify(before)
    assert await mint.tokens.verify(after)
    assert [key["kid"] for key in (await mint.tokens.jwks())["keys"]][-1] == mint.keys.rows[0].id
    record = mint.keys.audited[-1]
    assert (record.action, record.actor_id, record.target_id) == ("signing_key.rotated", "admin-id", kid)
    assert record.attributes == {"address": "192.0.2.1"}


async def test_a_rotation_that_revokes_leaves_no_token_of_before(mint: Mint) -> None:
    before = await mint.access()
    await mint.tokens.rotate(ADMIN, "192.0.2.1", revoke=True)
    with pytest.raises(Unauthenticated):
        await mint.tokens.verify(before)
    assert await mint.tokens.verify(await mint.access())
    assert len((await mint.tokens.jwks())["keys"]) == 1
    assert mint.keys.audited[-1].attributes["revoked"] is True


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
async def test_only_an_administrator_rotates(mint: Mint, role: Role) -> None:
    with pytest.raises(Forbidden):
        await mint.tokens.rotate(Principal(id="x", kind="user", name="x", role=role), "192.0.2.1")
    assert len(mint.keys.rows) == 1


async def test_a_token_of_a_key_that_another_process_made_a_moment_ago_is_good(mint: Mint) -> None:
    other = await a_mint(mint.keys, mint.clock)
    await other.tokens.rotate(ADMIN, "192.0.2.1")
    assert await mint.tokens.verify(await other.access())


async def test_many_such_tokens_at_once_are_good_for_one_look(mint: Mint) -> None:
    other = Mint(mint.keys, mint.clock)
    mint.clock.seconds = 6
    mint.keys.open.clear()
    looking = asyncio.ensure_future(mint.tokens.jwks())  # what is being read does not know the new key yet
    await settle()
    await other.tokens._add("x", "system", "a key of another process", {}, retire=True)
    text, reads = other.signed(other.header(), other.claims()), mint.keys.reads
    verifying = asyncio.gather(*[mint.tokens.verify(text) for _ in range(50)])
    await settle()
    mint.keys.open.set()
    assert len(await verifying) == 50
    assert mint.keys.reads - reads == 1
    assert mint.keys.most_at_once == 1  # else the older answer could come last
    await looking


async def test_another_process_signs_with_the_new_key_within_5_s(mint: Mint) -> None:
    other = await a_mint(mint.keys, mint.clock)
    old = (await other.access()).split(".")[0]
    await mint.tokens.rotate(ADMIN, "192.0.2.1")
    mint.clock.seconds = 4.9
    assert (await other.access()).split(".")[0] == old
    mint.clock.seconds = 5
    assert (await other.access()).split(".")[0] != old


async def test_signing_and_showing_read_the_keys_once_in_5_s(mint: Mint) -> None:
    reads = mint.keys.reads
    for tenth in range(100):
        mint.clock.seconds = tenth / 10
        await asyncio.gather(mint.access(), mint.access(), mint.tokens.jwks())
    assert mint.keys.reads - reads == 1


async def test_a_flood_of_unknown_keys_reads_once_a_second(mint: Mint) -> None:
    reads = mint.keys.reads
    for tenth in range(100):
        mint.clock.seconds = tenth / 10
        tries = [is_refused(mint, stranger(tenth * 100 + number)) for number in range(50)]
        assert all(await asyncio.gather(*tries))
    assert 10 <= mint.keys.reads - reads <= 12  # 10 s


async def test_a_key_that_is_known_waits_for_no_read_but_causes_one_in_5_s(mint: Mint) -> None:
    text = await mint.access()
    reads = mint.keys.reads
    for second in range(20):
        mint.clock.seconds = second
        await mint.tokens.verify(text)
        await settle()
    assert mint.keys.reads - reads == 3


async def test_a_key_that_was_forgotten_elsewhere_is_forgotten_here(mint: Mint) -> None:
    text = await mint.access()
    mint.keys.rows.clear()
    mint.clock.seconds = 5
    assert await mint.tokens.verify(text)  # this one has the keys read again
    await settle()
    assert await is_refused(mint, text)


async def test_while_the_database_is_down_the_keys_at_hand_sign_and_verify(mint: Mint) -> None:
    text = await mint.access()
    mint.keys.down = True
    for minute in range(10):
        mint.clock.seconds = minute * 60
        assert await mint.tokens.verify(await mint.access())
        assert await mint.tokens.verify(text)
        assert (await mint.tokens.jwks())["keys"]
        await settle()


async def test_while_it_is_down_an_unknown_key_is_not_said_to_be_wrong(mint: Mint) -> None:
    mint.keys.down = True
    reads = mint.keys.reads
    for number in range(20):
        with pytest.raises(Unavailable):
            await mint.tokens.verify(stranger(number))
    assert mint.keys.reads - reads == 1
    mint.keys.down = False
    mint.clock.seconds = 1
    assert await is_refused(mint, stranger(0))


async def test_when_the_keys_were_never_read_nothing_can_be_said() -> None:
    mint = Mint(HeldSigningKeys(), HandClock())
    mint.keys.down = True
    for ask in (mint.access, mint.tokens.jwks, mint.tokens.ensure_key):
        with pytest.raises(Unavailable):
            await ask()
    with pytest.raises(Unavailable):
        await mint.tokens.verify(stranger(1))


async def test_it_recovers_without_a_restart(mint: Mint) -> None:
    other = Mint(mint.keys, mint.clock)
    text = await mint.access()
    mint.keys.down = True
    with pytest.raises(Unavailable):
        await other.tokens.verify(text)
    mint.keys.down = False
    mint.clock.seconds = 1
    assert await other.tokens.verify(text)


async def test_a_rotation_that_was_stored_stands_though_reading_it_back_fails(mint: Mint) -> None:
    class Stored(HeldSigningKeys):
        async def add_signing_key(self, *args: object, **kwargs: object) -> None:
            await super().add_signing_key(*args, **kwargs)  # type: ignore[arg-type]
            self.down = len(self.rows) > 1

    mint = await a_mint(Stored())
    kid = await mint.tokens.rotate(ADMIN, "192.0.2.1")
    mint.keys.down = False
    await mint.access()
    assert [key["kid"] for key in (await mint.tokens.jwks())["keys"]].count(kid) == 1


async def test_an_impatient_caller_does_not_fail_the_others(mint: Mint) -> None:
    other = Mint(mint.keys, mint.clock)
    first, second = (asyncio.ensure_future(other.access()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await mint.tokens.verify(await second)


async def test_a_retired_key_verifies_as_long_as_the_longest_token_lives_and_is_then_forgotten(mint: Mint) -> None:
    viewer = await mint.viewer(DAY)
    await mint.tokens.rotate(ADMIN, "192.0.2.1")
    mint.clock.seconds = DAY - 1
    assert await mint.tokens.verify(viewer)
    mint.clock.seconds = DAY + 29
    assert await mint.tokens.step() == 0
    assert len((await mint.tokens.jwks())["keys"]) == 2
    mint.clock.seconds = DAY + 31
    assert len((await mint.tokens.jwks())["keys"]) == 1
    assert await mint.tokens.step() == 1
    assert await mint.tokens.step() == 0
    assert len(mint.keys.rows) == 1
    assert await mint.tokens.verify(await mint.access())


async def test_a_retired_key_that_nobody_forgot_verifies_nothing_after_its_time(mint: Mint) -> None:
    key = mint.private_key()
    header = mint.header()
    await mint.tokens.rotate(ADMIN, "192.0.2.1")
    mint.clock.seconds = DAY + 31
    assert await is_refused(mint, mint.signed(header, mint.claims(), key))


async def test_with_a_clock_put_back_a_day_rotation_still_works(mint: Mint) -> None:
    mint.clock.seconds = -DAY
    kid = await mint.tokens.rotate(ADMIN, "192.0.2.1")
    text = await mint.access()
    assert mint.header()["kid"] == kid
    assert await mint.tokens.verify(text)
    assert mint.keys.rows[0].retired_at == NOW - DAY * 1_000_000
    assert await mint.tokens.step() == 0


async def test_what_is_stored_but_is_no_key_signs_nothing(mint: Mint) -> None:
    for private in (b"", b"{}", b"null", b'{"kty":"oct","k":"AA"}', b'{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}'):
        keys = HeldSigningKeys()
        keys.rows = [SigningKey("01890a5d-ac96-774b-bcce-000000000001", mint.sealer.seal(private), NOW - 1)]
        fresh = Mint(keys, mint.clock)
        with pytest.raises(Unavailable):
            await fresh.access()
        assert await fresh.tokens.jwks() == {"keys": []}
        await fresh.tokens.ensure_key()
        assert await fresh.tokens.verify(await fresh.access())
