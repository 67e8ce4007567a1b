"""What a driver says of an error, as far as it fits into a sentence of ours."""

from __future__ import annotations


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line, `most` characters at most; the name of the error where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]
