"""Messages come out of a stream as they were put in, however it is cut."""

from __future__ import annotations

import pytest

from headrace.kit.frames import MAX_FRAME, Frames, framed

MESSAGES = [b"", b"a", b"bb" * 300, b"\0\0\0\1"]
STREAM = b"".join(map(framed, MESSAGES))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 600, len(STREAM)])
def test_messages_are_whole_however_they_arrive(size: int) -> None:
    frames = Frames()
    found = [frame for at in range(0, len(STREAM), size) for frame in frames.feed(STREAM[at : at + size])]
    assert found == MESSAGES


def test_a_length_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(Frames().feed((MAX_FRAME + 1).to_bytes(4, "big") + b"x"))
