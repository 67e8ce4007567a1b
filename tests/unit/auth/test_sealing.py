"""What is sealed can be had again with the same secret, and not otherwise."""

from __future__ import annotations

import pytest

from headrace.auth.sealing import Sealer, secret_of, shared_secret_of
from headrace.errors import Unusable

SECRET = "a secret of the settings, long enough"


def test_another_sealer_with_the_same_secret_unseals() -> None:
    assert Sealer(SECRET).unseal(Sealer(SECRET).seal(b"plain")) == b"plain"
    assert Sealer(SECRET).unseal(Sealer(SECRET).seal(b"")) == b""


def test_the_same_is_never_sealed_the_same_way_twice() -> None:
    sealer = Sealer(SECRET)
    assert len({sealer.seal(b"plain") for _ in range(10)}) == 10


def test_nothing_of_it_can_be_read() -> None:
    assert b"plain" not in Sealer(SECRET).seal(b"plain text")


def test_another_secret_unseals_nothing() -> None:
    assert Sealer(SECRET + "!").unseal(Sealer(SECRET).seal(b"plain")) is None


def test_one_changed_bit_anywhere_is_noticed() -> None:
    sealed = Sealer(SECRET).seal(b"plain")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert Sealer(SECRET).unseal(bytes(changed)) is None


def test_a_part_of_it_is_nothing() -> None:
    sealed = Sealer(SECRET).seal(b"plain")
    assert all(Sealer(SECRET).unseal(sealed[:end]) is None for end in range(len(sealed)))


def test_the_version_comes_first() -> None:
    assert Sealer(SECRET).seal(b"plain").startswith(b"hr1:")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a secret"):
        Sealer("")


def test_the_secret_does_not_show() -> None:
    assert SECRET not in repr(Sealer(SECRET))


class HeldKeyFile:
    place = "secret.key"

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    def read(self) -> str | None:
        return self.text

    def create(self, text: str) -> str:
        self.text = text
        return text


def test_the_secret_of_the_settings_comes_first_and_makes_no_file() -> None:
    file = HeldKeyFile()
    assert secret_of(SECRET, file) == SECRET
    assert file.text is None


def test_without_one_the_first_start_makes_a_secret_and_the_second_finds_it() -> None:
    file = HeldKeyFile()
    made = secret_of("", file)
    assert len(made) >= 43  # 256 bits
    assert secret_of("", file) == made
    assert secret_of("", HeldKeyFile()) != made


@pytest.mark.parametrize(("setting", "text"), [("short", None), ("", "short"), ("", "")])
def test_a_secret_that_could_be_guessed_is_refused_and_not_shown(setting: str, text: str | None) -> None:
    with pytest.raises(Unusable) as caught:
        secret_of(setting, HeldKeyFile(text))
    assert "short" not in caught.value.detail


class HeldSharedSecret:
    place = "the control database"

    def __init__(self, secret: str | None = None, first: str | None = None) -> None:
        self.secret = secret
        self.first = first

    async def find(self) -> str | None:
        return self.secret

    async def keep(self, secret: str) -> str:
        self.secret = self.first or secret
        return self.secret


async def test_machines_without_a_setting_share_what_the_first_one_made() -> None:
    shared = HeldSharedSecret()
    made = await shared_secret_of("", shared)
    assert len(made) >= 43  # 256 bits
    assert await shared_secret_of("", shared) == made
    assert await shared_secret_of("", HeldSharedSecret(first=SECRET)) == SECRET  # another was first just now


async def test_with_a_setting_machines_keep_nothing() -> None:
    shared = HeldSharedSecret()
    assert await shared_secret_of(SECRET, shared) == SECRET
    assert shared.secret is None


@pytest.mark.parametrize(("setting", "kept"), [("short", None), ("", "short"), ("", "")])
async def test_a_shared_secret_that_could_be_guessed_is_refused_and_not_shown(setting: str, kept: str | None) -> None:
    with pytest.raises(Unusable) as caught:
        await shared_secret_of(setting, HeldSharedSecret(kept))
    assert "short" not in caught.value.detail
