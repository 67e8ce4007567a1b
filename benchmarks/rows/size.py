"""Disk, memory and the time to start, with a day of events stored."""

from __future__ import annotations

from benchmarks.day import Day
from benchmarks.figure import AtMost, Figure

ROW = "size"
_MIB = 2**20


def running(day: Day) -> list[Figure]:
    """After the queries."""
    process = day.server.running
    return [
        Figure(
            row=ROW,
            name=f"memory (RSS) with {events(day)} events, after the queries",
            value=process.resident_bytes() / _MIB,
            unit="MiB",
            target=AtMost(700),
            detail={"peak_mib": process.peak_bytes() / _MIB},
        ),
        Figure(
            row=ROW,
            name="disk an event, while it runs (logs and queue included)",
            value=day.server.disk_bytes() / day.stored,
            unit="bytes",
        ),
    ]


def stopped(day: Day) -> list[Figure]:
    return [
        Figure(
            row=ROW,
            name="disk an event, stopped",
            value=day.server.disk_bytes() / day.stored,
            unit="bytes",
            target=AtMost(80),
            orientation="VictoriaLogs: 36 bytes",
        )
    ]


def started(day: Day, seconds: float) -> Figure:
    return Figure(row=ROW, name=f"start to ready, {events(day)} events", value=seconds, unit="s", target=AtMost(2))


def events(day: Day) -> str:
    return f"{day.stored / 1e6:.3g} M"
