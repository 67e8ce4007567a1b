"""All groups of figures, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Collection

from benchmarks.context import Bench
from benchmarks.figure import Figure
from benchmarks.rows import access, batch, driver, loaded, single, start, stored

_ALONE: dict[str, Callable[[Bench], list[Figure]]] = {
    driver.ROW: driver.measure,
    single.ROW: single.measure,
    access.ROW: access.measure,
    batch.ROW: batch.measure,
    stored.ROW: stored.measure,
    start.ROW: start.measure,
}
ROWS = (*_ALONE, *loaded.ROWS)


def run(bench: Bench, wanted: Collection[str]) -> list[Figure]:
    figures: list[Figure] = []
    for row, measure in _ALONE.items():
        if row in wanted:
            figures += measure(bench)
    if set(wanted) & set(loaded.ROWS):
        figures += loaded.measure(bench, wanted)
    return figures
