"""A fresh server: how soon it is ready, and what it takes while nothing happens."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.context import Bench
from benchmarks.figure import AtMost, Figure

ROW = "start"
_STARTS = 3
_IDLE_SECONDS = 1.0


def measure(bench: Bench) -> list[Figure]:
    seconds: list[float] = []
    resident: list[int] = []
    for number in range(_STARTS):
        with bench.headrace(f"start-{number}") as server:
            seconds.append(server.ready_after)
            time.sleep(_IDLE_SECONDS)
            resident.append(server.running.resident_bytes())
    bench.tell(f"start: ready after {', '.join(f'{each:.2f}' for each in seconds)} s")
    return [
        Figure(row=ROW, name="start to ready, new directory", value=median(seconds), unit="s", target=AtMost(2)),
        Figure(row=ROW, name="idle memory (RSS)", value=median(resident) / 2**20, unit="MiB", target=AtMost(160)),
    ]
