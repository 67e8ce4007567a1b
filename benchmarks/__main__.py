"""`python -m benchmarks`: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.context import FULL_EVENTS, QUICK_EVENTS, Bench, Scale
from benchmarks.load.driver import Load
from benchmarks.machine import ROOT, describe
from benchmarks.process import Cores
from benchmarks.report import PAGES, Report, show, to_json, write_page
from benchmarks.run import PROFILES, TASKS, run, run_tasks
from benchmarks.task_servers import reference_versions

_STDOUT = Path("-")
_WIDTH = 170  # of the table in a file
_ROWS = {**PROFILES, "tasks": TASKS}
_JSON = ROOT / "reports" / "benchmark.json"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        sys.exit("the benchmark pins processes to cores and reads /proc, so it needs Linux")
    wanted = _rows(_table(options), options.only)
    if options.write and options.tasks and options.profile:
        sys.exit("the page of tasks has both profiles: leave out --profile, or --write")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    report = _measure(options, wanted)
    show(report, _console(to_stderr=options.json == _STDOUT))
    _write_json(report, options.json)
    if options.write:
        write_page(report)
    return 0


def _console(*, to_stderr: bool) -> Console:
    console = Console(stderr=to_stderr)
    return console if console.is_terminal else Console(stderr=to_stderr, width=_WIDTH)


def _write_json(report: Report, file: Path) -> None:
    if file == _STDOUT:
        sys.stdout.buffer.write(to_json(report))
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(to_json(report))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"short runs and {QUICK_EVENTS:,} events: rough figures")
    parser.add_argument(
        "--events", type=_count,
        help=f"stored for the queries, or tasks that wait while others are claimed (default {FULL_EVENTS:,})",
    )
    parser.add_argument("--tasks", action="store_true", help="tasks instead of events, on both profiles")
    parser.add_argument("--profile", choices=PROFILES, help="which profile (default embedded; with --tasks, both)")
    rows = "; ".join(f"{table}: {', '.join(rows)}" for table, rows in _ROWS.items())
    parser.add_argument("--only", type=_words, metavar="ROW,…", help=f"some of the rows ({rows})")
    parser.add_argument(
        "--json", type=Path, default=_JSON, metavar="FILE", help="default reports/benchmark.json; - for standard output"
    )
    pages = ", ".join(str(page.relative_to(ROOT)) for page in PAGES.values())
    parser.add_argument("--write", action="store_true", help=f"write the page ({pages})")
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _table(options: argparse.Namespace) -> str:
    return "tasks" if options.tasks else options.profile or "embedded"


def _rows(table: str, only: Sequence[str] | None) -> Sequence[str]:
    rows = _ROWS[table]
    if unknown := [row for row in only or () if row not in rows]:
        print(f"no row {', '.join(unknown)}; there are {', '.join(rows)}", file=sys.stderr)
        sys.exit(2)
    return only or rows


def _count(text: str) -> int:
    count = int(text.replace("_", ""))
    if not 1_000 <= count <= 100_000_000:
        raise argparse.ArgumentTypeError("between 1,000 and 100,000,000")
    return count


def _measure(options: argparse.Namespace, wanted: Sequence[str]) -> Report:
    events = options.events or (QUICK_EVENTS if options.quick else FULL_EVENTS)
    scale = Scale.quick(events) if options.quick else Scale.full(events)
    progress = Console(stderr=True)
    cores, machine, began = Cores.pick(), describe(), time.perf_counter()

    def tell(line: str) -> None:
        progress.print(f"{time.perf_counter() - began:5.0f} s  {line}", style="dim", highlight=False)

    if machine.is_busy:
        tell(f"others are using this machine (load {machine.load_before:g}): every figure is too low")
    if cores.server == cores.load:
        tell("only one core: server and load share it, and every figure is too low")
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as directory, Load(cores, pool=scale.pool) as load:
        bench = Bench(scale, cores, Path(directory), load, tell)
        if options.tasks:
            figures = run_tasks(bench, (options.profile,) if options.profile else tuple(PROFILES), wanted)
        else:
            figures = run(bench, _table(options), wanted)
    took = round(time.perf_counter() - began, 1)
    versions = reference_versions() if options.tasks else {}
    return Report(_table(options), machine, _size(options, scale), bool(options.quick), took, figures, versions)


def _size(options: argparse.Namespace, scale: Scale) -> str:
    return f"{scale.tasks:,} tasks in each turn" if options.tasks else f"{scale.events:,} events"


if __name__ == "__main__":
    sys.exit(main())
