"""What several processes of one machine have counted together, so that one scrape of any of them gives the sum.

Each process writes its figures into a file of its own, every second and before it answers a scrape; whoever is scraped
reads the files of the others. So counting costs what it costs alone. A sum never falls: what was shown was in a file
before, and a process that takes the place of another goes on from its file. One that is killed forgets a second.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

Labels = tuple[str, ...]


class Histogram(msgspec.Struct, array_like=True):
    """How many values were in each bucket, and the sum of all."""

    counts: list[int]
    sum: float


class Snapshot(msgspec.Struct):
    """All figures of one process at one moment. `set_at`: seconds of the machine's clock; 0 for what is added up."""

    pid: int = 0
    counters: dict[str, list[tuple[Labels, float]]] = msgspec.field(default_factory=dict)
    gauges: dict[str, list[tuple[Labels, float, float]]] = msgspec.field(default_factory=dict)
    histograms: dict[str, list[tuple[Labels, Histogram]]] = msgspec.field(default_factory=dict)


class Siblings:
    """The files of all processes, in one folder; `number` is that of this one."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._own = _path(folder, number)

    def left_behind(self) -> Snapshot:
        """What the last process of this number had counted."""
        return _read(self._own)

    def write(self, snapshot: Snapshot) -> None:
        """A full disk must not keep a scrape from being answered: the figures are a little older then."""
        part = self._own.with_suffix(".part")
        with suppress(OSError):
            part.write_bytes(msgspec.msgpack.encode(snapshot))
            part.replace(self._own)

    def others(self) -> list[Snapshot]:
        return [_read(path) for path in sorted(self._folder.glob("metrics-*.bin")) if path != self._own]


def counters(snapshots: Iterable[Snapshot], name: str) -> dict[Labels, float]:
    """The sum over all, those that have ended included."""
    total: defaultdict[Labels, float] = defaultdict(float)
    for snapshot in snapshots:
        for labels, value in snapshot.counters.get(name, ()):
            total[labels] += value
    return dict(total)


def gauges(snapshots: Iterable[Snapshot], name: str) -> dict[Labels, float]:
    """What is added up: the sum over those that live. What was set: as it was set last, by whomever."""
    total: defaultdict[Labels, float] = defaultdict(float)
    latest: dict[Labels, float] = {}
    for snapshot in snapshots:
        for labels, value, set_at in snapshot.gauges.get(name, ()):
            if set_at > latest.get(labels, 0.0):
                latest[labels], total[labels] = set_at, value
            elif not set_at and labels not in latest and _lives(snapshot.pid):
                total[labels] += value
            else:
                total.setdefault(labels, 0.0)
    return dict(total)


def histograms(snapshots: Iterable[Snapshot], name: str) -> dict[Labels, Histogram]:
    """The sum over all, those that have ended included."""
    total: dict[Labels, Histogram] = {}
    for snapshot in snapshots:
        for labels, found in snapshot.histograms.get(name, ()):
            known = total.get(labels)
            total[labels] = found if known is None else _sum((known, found))
    return total


def _sum(parts: Sequence[Histogram]) -> Histogram:
    return Histogram([sum(column) for column in zip(*(part.counts for part in parts), strict=True)],
                     sum(part.sum for part in parts))  # fmt: skip


def _lives(pid: int) -> bool:
    """Whoever died is replaced at once, so that a number which the system gave to somebody else does not matter."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _path(folder: Path, number: int) -> Path:
    return folder / f"metrics-{number}.bin"


def _read(path: Path) -> Snapshot:
    """Nothing, where there is none or it cannot be read."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return Snapshot()
