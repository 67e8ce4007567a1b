"""The ways to read a path with dots: `a.b` is `b` under `a`, or the key "a.b"."""

from __future__ import annotations

_MAX_SPLITS = 4  # dots up to which every mix of nesting and literal keys is looked for: 16 ways


def readings(path: str) -> list[list[str]]:
    """The keys from the top down, for each way to read the dots: down, or part of a key."""
    keys = path.split(".")
    if len(keys) - 1 <= _MAX_SPLITS:
        return _mixes(keys)
    return [[*keys[:nested], ".".join(keys[nested:])] for nested in range(len(keys))]


def _mixes(keys: list[str]) -> list[list[str]]:
    if len(keys) == 1:
        return [keys]
    return [way for rest in _mixes(keys[1:]) for way in ([keys[0], *rest], [f"{keys[0]}.{rest[0]}", *rest[1:]])]
