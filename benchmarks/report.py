"""Figures as a table for a terminal, as JSON, and as the page of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure
from benchmarks.machine import ROOT, Machine

_REFERENCE = ROOT / "docs" / "reference"
PAGES = {
    "embedded": _REFERENCE / "benchmark.md",
    "postgres": _REFERENCE / "benchmark-postgresql.md",
    "tasks": _REFERENCE / "benchmark-tasks.md",
}
_HERE = Path(__file__).parent
_METHODS = {
    "embedded": _HERE / "method.md",
    "postgres": _HERE / "method_postgres.md",
    "tasks": _HERE / "method_tasks.md",
}
_HEADS = ("figure", "Headrace", "compared with", "ratio", "target", "")
_VERDICTS = {None: "", True: "held", False: "missed"}


@dataclass(frozen=True, slots=True)
class Report:
    """`table`: a key of PAGES. `size`: how much there was of what is measured."""

    table: str
    machine: Machine
    size: str
    quick: bool
    seconds: float
    figures: Sequence[Figure]
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of what Headrace is compared with."""


def to_json(report: Report) -> bytes:
    figures = [
        {**asdict(figure), "target": str(figure.target or ""), "ratio": figure.ratio, "held": figure.held}
        for figure in report.figures
    ]
    return msgspec.json.format(msgspec.json.encode({**asdict(report), "figures": figures}), indent=2) + b"\n"


def show(report: Report, console: Console) -> None:
    table = Table(*_HEADS, title=_where(report))
    for figure in report.figures:
        cells = _cells(figure)
        table.add_row(*cells, style="red" if figure.held is False else None)
    console.print(table)


def write_page(report: Report) -> None:
    """The page of the reference: generated, so that no figure in it was ever typed."""
    lines = ["| " + " | ".join((*_HEADS, "for orientation")) + " |", "|---|--:|--:|--:|---|---|---|"]
    lines += ["| " + " | ".join((*_cells(figure), figure.orientation)) + " |" for figure in report.figures]
    page = PAGES[report.table]
    text = _METHODS[report.table].read_text()
    for name, value in {"where": _where(report), "table": "\n".join(lines), **report.versions}.items():
        text = text.replace("{" + name + "}", value)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)


def _where(report: Report) -> str:
    machine = report.machine
    return (
        f"{machine.date}, {machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.kernel}, "
        f"Python {machine.python}, commit {machine.commit}, {report.size}"
        + (", quick: figures of short runs" if report.quick else "")
        + (f", while others used the machine (load {machine.load_before:g})" if machine.is_busy else "")
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    against = f"{_number(figure.reference)} ({figure.against})" if figure.reference is not None else ""
    ratio = f"{figure.ratio:.2f} ×" if figure.ratio is not None else ""
    target = str(figure.target or "")
    return figure.name, f"{_number(figure.value)} {figure.unit}", against, ratio, target, _VERDICTS[figure.held]


def _number(value: float) -> str:
    """Three digits, but whole numbers whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
