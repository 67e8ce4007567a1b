"""When a key was last seen is written lazily, and never lost but with the process."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headrace.auth.last_used import LastUsed
from headrace.errors import Unavailable


class Touched:
    def __init__(self) -> None:
        self.written: list[dict[str, int]] = []
        self.down = False

    async def touch(self, used: Mapping[str, int]) -> None:
        if self.down:
            raise Unavailable("down")
        self.written.append(dict(used))


@pytest.fixture
def keys() -> Touched:
    return Touched()


@pytest.fixture
def used(keys: Touched) -> LastUsed:
    return LastUsed(keys)  # type: ignore[arg-type]  # only `touch` is needed


async def test_the_newest_time_of_each_key_is_written_once(keys: Touched, used: LastUsed) -> None:
    for key_id, time in (("a", 5), ("b", 1), ("a", 9), ("a", 7)):
        used.note(key_id, time)
    assert [await used.step() for _ in range(3)] == [0, 0, 0]
    assert keys.written == [{"a": 9, "b": 1}]


async def test_what_could_not_be_written_is_kept(keys: Touched, used: LastUsed) -> None:
    keys.down = True
    used.note("a", 5)
    with pytest.raises(Unavailable):
        await used.step()
    used.note("b", 6)
    await used.close()
    keys.down = False
    await used.close()
    assert keys.written == [{"a": 5, "b": 6}]
