"""Figures on a day of events: growth, latest, queries, console, size, mixed. The day is loaded once for all of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmarks.context import Bench
from benchmarks.day import Day, legs
from benchmarks.figure import Figure
from benchmarks.rows import console, growth, latest, mixed, queries, size

ROWS = (growth.ROW, latest.ROW, queries.ROW, console.ROW, size.ROW, mixed.ROW)


def measure(bench: Bench, wanted: Collection[str]) -> list[Figure]:
    with bench.headrace("day") as server:
        day = Day(bench, server)
        figures = _loading(bench, day, wanted)
        day.check()
        if size.ROW in wanted:
            queries.ask_once(bench, day)
            figures += size.running(day)
        figures += console.measure(bench, day) if console.ROW in wanted else []
        if {size.ROW, queries.ROW, mixed.ROW} & set(wanted):
            server.stop()
            figures += size.stopped(day) if size.ROW in wanted else []
            copy = day.copy()
            seconds = server.start()
            figures += [size.started(day, seconds)] if size.ROW in wanted else []
            figures += _asking(bench, day, copy, wanted)
    return figures


def _asking(bench: Bench, day: Day, copy: Path, wanted: Collection[str]) -> list[Figure]:
    if not {queries.ROW, mixed.ROW} & set(wanted):
        return []
    asked = queries.compare(bench, day, copy)
    figures = queries.figures(asked) if queries.ROW in wanted else []
    return figures + (mixed.measure(bench, day, asked) if mixed.ROW in wanted else [])


def _loading(bench: Bench, day: Day, wanted: Collection[str]) -> list[Figure]:
    windows: list[growth.Window] = []
    figures: list[Figure] = []
    plan = legs(bench.scale.events)
    for leg in plan:
        done = day.fill(leg)
        if leg.measured:
            windows.append(growth.Window(leg.end, done))
        if latest.ROW in wanted and leg in (plan[0], plan[-1]):
            figures.append(latest.measure(bench, day))
    return [*(growth.figures(windows) if growth.ROW in wanted else []), *figures]
