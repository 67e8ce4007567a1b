"""What every keeper of dead letters promises. A new adapter is one more entry of DEAD_LETTERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.dead_letters import MemoryDeadLetters
from headrace.adapters.postgres.dead_letters import PostgresDeadLetters
from headrace.adapters.sqlite.dead_letters import SqliteDeadLetters
from headrace.errors import NewerFormat, Unusable
from headrace.model.block import DeadLetter
from headrace.ports.dead_letters import DeadLetters

BIG = 1 << 127


@asynccontextmanager
async def _memory(place: str) -> AsyncIterator[DeadLetters]:
    yield MemoryDeadLetters()


@asynccontextmanager
async def _sqlite(place: str | Path) -> AsyncIterator[DeadLetters]:
    letters = await SqliteDeadLetters.open(Path(place) / "dead-letters.db")
    yield letters
    await letters.close()


@asynccontextmanager
async def _postgres(place: str) -> AsyncIterator[DeadLetters]:
    letters = await PostgresDeadLetters.open(place, MemoryClock())
    yield letters
    await letters.close()


DEAD_LETTERS: dict[str, Callable[[str], AbstractAsyncContextManager[DeadLetters]]] = {
    "memory": _memory, "sqlite": _sqlite, "postgres": _postgres,
}  # fmt: skip
"""Opened in a folder, or by the URL of a database of its own."""


@pytest.fixture(params=DEAD_LETTERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Which one, and where."""
    where = request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path
    return request.param, str(where)


@pytest.fixture
async def letters(place: tuple[str, str]) -> AsyncIterator[DeadLetters]:
    kind, where = place
    async with DEAD_LETTERS[kind](where) as opened:
        yield opened


def letter(
    number: int, *, bucket_id: int | None = 1, received_at: int = 1_000, payload: bytes = b"{\x00}"
) -> DeadLetter:
    return DeadLetter(BIG + number, bucket_id, f"reason {number} µ", received_at, payload)


async def test_letters_come_out_as_they_went_in_newest_first(letters: DeadLetters) -> None:
    put = [letter(1), letter(2, bucket_id=None), letter(3, payload=b"")]
    await letters.add(put)
    assert await letters.list() == put[::-1]


async def test_a_letter_added_twice_is_kept_once_as_it_was(letters: DeadLetters) -> None:
    await letters.add([letter(1)])
    await letters.add([letter(1, payload=b"other")])
    assert await letters.list() == [letter(1)]


async def test_adding_none_adds_none(letters: DeadLetters) -> None:
    await letters.add([])
    assert await letters.count() == 0


async def test_the_list_keeps_to_a_bucket(letters: DeadLetters) -> None:
    await letters.add([letter(1, bucket_id=1), letter(2, bucket_id=2), letter(3, bucket_id=None)])
    assert await letters.list(bucket_id=2) == [letter(2, bucket_id=2)]


async def test_the_list_keeps_to_a_time(letters: DeadLetters) -> None:
    await letters.add([letter(1, received_at=999), letter(2, received_at=1_000)])
    assert await letters.list(since=1_000) == [letter(2, received_at=1_000)]


async def test_pages_go_on_where_the_last_one_ended_even_if_that_letter_is_gone(letters: DeadLetters) -> None:
    await letters.add([letter(number) for number in range(5)])
    page = await letters.list(limit=2)
    await letters.remove([page[-1].id])
    assert page == [letter(4), letter(3)]
    assert await letters.list(limit=2, after=page[-1].id) == [letter(2), letter(1)]


async def test_letters_are_taken_by_id_each_once_and_stay(letters: DeadLetters) -> None:
    await letters.add([letter(1), letter(2), letter(3)])
    assert await letters.take([BIG + 3, BIG + 1, BIG + 3, BIG + 9], None, 10) == [letter(3), letter(1)]
    assert await letters.count() == 3


async def test_letters_are_taken_since_a_time_oldest_first_up_to_a_limit(letters: DeadLetters) -> None:
    await letters.add([letter(number, received_at=10 - number) for number in range(5)])
    taken = await letters.take(None, 7, 2)
    assert [one.received_at for one in taken] == [7, 8]


async def test_a_reason_may_quote_anything(letters: DeadLetters) -> None:
    await letters.add([DeadLetter(BIG, 1, "a NUL \0", 1_000, b"")])
    (kept,) = await letters.list()
    assert kept.reason.startswith("a NUL ")


async def test_removed_letters_are_gone(letters: DeadLetters) -> None:
    await letters.add([letter(1), letter(2)])
    await letters.remove([BIG + 1, BIG + 7])
    assert await letters.list() == [letter(2)]


async def test_letters_in_a_database_survive_a_restart(postgres_url: str) -> None:
    async with _postgres(postgres_url) as first:
        await first.add([letter(1)])
    async with _postgres(postgres_url) as again:
        assert await again.list() == [letter(1)]


async def test_letters_in_a_file_survive_a_restart(tmp_path: Path) -> None:
    async with _sqlite(tmp_path) as first:
        await first.add([letter(1)])
    async with _sqlite(tmp_path) as again:
        assert await again.list() == [letter(1)]


async def test_a_copy_of_the_file_holds_the_same_letters(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    letters = await SqliteDeadLetters.open(tmp_path / "dead-letters.db")
    await letters.add([letter(1)])
    await letters.backup(str(tmp_path / "copy"))
    await letters.close()
    async with _sqlite(tmp_path / "copy") as copy:
        assert await copy.list() == [letter(1)]


@pytest.mark.parametrize(("version", "error"), [(2, NewerFormat), (None, Unusable)])
async def test_a_file_that_is_not_ours_is_refused(
    tmp_path: Path, version: int | None, error: type[Unusable]
) -> None:
    path = tmp_path / "dead-letters.db"
    if version is None:
        path.write_bytes(b"this is no database at all, but long enough" * 100)
    else:
        async with _sqlite(tmp_path):
            pass
        header = bytearray(path.read_bytes())
        header[60:64] = version.to_bytes(4)  # https://sqlite.org/fileformat2.html#database_header: user_version
        path.write_bytes(header)
    with pytest.raises(error):
        await SqliteDeadLetters.open(path)
