"""Cutting a source into chunks of whole lines."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cli.sending import chunks
from headrace.cli.sending.chunks import CHUNK_BYTES, CHUNK_LINES, Chunk, TooLong, cut_lines
from tests.unit.cli.sources import file_source, pipe_source


def test_nothing_is_lost_or_changed_and_lines_are_whole(tmp_path: Path) -> None:
    data = b"".join(b"line %d %s\n" % (number, b"x" * (number % 700)) for number in range(20_000))
    found = [chunk for chunk in cut_lines(file_source(tmp_path, data)) if isinstance(chunk, Chunk)]
    assert len(found) > 3
    assert b"".join(chunk.data for chunk in found) == data
    assert all(chunk.data.endswith(b"\n") and len(chunk.data) <= CHUNK_BYTES for chunk in found)
    for chunk in found:
        assert chunk.data.startswith(b"line %d " % (chunk.first_line - 1))
    assert [chunk.is_whole for chunk in found] == [True] * (len(found) - 1) + [False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=20))
def test_a_pipe_is_cut_where_a_file_is_however_it_arrives(sizes: list[int]) -> None:
    data = b"".join(b"%d %s\n" % (number, b"y" * (number * 37 % 5_000)) for number in range(900))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces.append(data[at:])
    one = list(cut_lines(pipe_source([data])))
    assert list(cut_lines(pipe_source(piece for piece in pieces if piece))) == one


def test_many_short_lines_are_cut_by_their_number(tmp_path: Path) -> None:
    found = list(cut_lines(file_source(tmp_path, b"a\n" * (2 * CHUNK_LINES + 10))))
    assert [(c.first_line, len(c.data) // 2, c.is_whole) for c in found if isinstance(c, Chunk)] == [
        (1, CHUNK_LINES, True),
        (CHUNK_LINES + 1, CHUNK_LINES, True),
        (2 * CHUNK_LINES + 1, 10, False),
    ]


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    assert list(cut_lines(file_source(tmp_path, b"a\nb"))) == [Chunk(1, b"a\nb", False)]


def test_an_endless_line_is_told_and_passed_over(tmp_path: Path) -> None:
    data = b"before\n" + b"z" * (3 * CHUNK_BYTES + 5) + b"\nafter\n"
    before, long, after = cut_lines(file_source(tmp_path, data))
    assert before == Chunk(1, b"before\n", True)
    assert long == TooLong(2, 3 * CHUNK_BYTES + 5, b"z" * 200)
    assert after == Chunk(3, b"after\n", False)


def test_an_endless_line_at_the_end_is_told_too(tmp_path: Path) -> None:
    (long,) = cut_lines(file_source(tmp_path, b"z" * (CHUNK_BYTES + 5)))
    assert long == TooLong(1, CHUNK_BYTES + 5, b"z" * 200)


def test_a_silent_stream_gives_what_it_has() -> None:
    gate = threading.Event()
    found = cut_lines(pipe_source([b"first\npart of sec", b"ond\n"], gate=gate), idle_seconds=0.05)
    assert next(found) == Chunk(1, b"first\n", False)
    gate.set()
    assert list(found) == [Chunk(2, b"part of second\n", False)]


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    data = b"a line\n" * 1_000
    for name, packed in (("x.gz", gzip.compress(data)), ("x.zst", zstandard.compress(data))):
        (chunk,) = cut_lines(file_source(tmp_path, packed, name))
        assert isinstance(chunk, Chunk)
        assert chunk.data == data


def test_a_sample_is_read_again(tmp_path: Path) -> None:
    source = file_source(tmp_path, b"one\ntwo\n")
    assert source.sample() == b"one\ntwo\n"
    assert list(cut_lines(source)) == [Chunk(1, b"one\ntwo\n", False)]
    piped = pipe_source([b"one\n", b"two\n"])
    assert piped.sample().startswith(b"one\n")
    assert b"".join(chunk.data for chunk in cut_lines(piped) if isinstance(chunk, Chunk)) == b"one\ntwo\n"


def test_a_chunk_is_longer_than_any_event_the_server_takes() -> None:
    assert chunks.CHUNK_BYTES >= 4 * 256 * 1024
