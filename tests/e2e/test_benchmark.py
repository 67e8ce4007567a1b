"""The benchmark runs and says what it measured. No figure is asserted: figures are measured, never tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.day import legs, legs_up_to
from benchmarks.figure import AtMost, Figure, TimesAtLeast, TimesAtMost
from benchmarks.percentile import Latency, from_histogram

ROOT = Path(__file__).parents[2]


def bench(tmp_path: Path, *options: str) -> dict[str, object]:
    file = tmp_path / "benchmark.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--events", "5000", "--json", str(file), *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr[-4_000:]
    return dict(json.loads(file.read_text()))


def test_the_rows_that_were_asked_for_are_in_the_json(tmp_path: Path) -> None:
    report = bench(tmp_path, "--only", "driver,growth,latest,queries,console,size")
    figures = report["figures"]
    assert isinstance(figures, list)
    assert {figure["row"] for figure in figures} == {"driver", "growth", "latest", "queries", "console", "size"}
    assert all(figure["value"] > 0 for figure in figures)
    assert report["machine"]["commit"]  # type: ignore[index]


def test_the_rows_of_postgresql_are_in_the_json(tmp_path: Path) -> None:
    report = bench(tmp_path, "--profile", "postgres", "--only", "drain,growth,queries,size")
    figures = report["figures"]
    assert isinstance(figures, list)
    assert {figure["row"] for figure in figures} == {"drain", "growth", "queries", "size"}
    assert all(figure["value"] > 0 for figure in figures)
    (partitions,) = (figure for figure in figures if figure["unit"] == "partitions")
    assert partitions["held"]


def test_the_rows_of_tasks_are_in_the_json_for_both_profiles(tmp_path: Path) -> None:
    report = bench(tmp_path, "--tasks", "--only", "submit,claim", "--events", "1000")
    figures = report["figures"]
    assert isinstance(figures, list)
    assert [figure["row"] for figure in figures] == ["submit", "submit", "claim", "claim"]
    assert [figure["name"].rpartition(", ")[2] for figure in figures] == ["embedded", "PostgreSQL"] * 2
    assert all(figure["value"] > 0 and figure["reference"] > 0 for figure in figures)


def test_the_throughput_of_tasks_is_measured_with_what_there_is_to_compare_with(tmp_path: Path) -> None:
    report = bench(tmp_path, "--tasks", "--profile", "embedded", "--only", "throughput", "--events", "1000")
    figures = report["figures"]
    assert isinstance(figures, list)
    assert figures[0]["name"].endswith("embedded")
    assert figures[0]["value"] > 0


def test_the_page_of_tasks_is_of_both_profiles(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--tasks", "--profile", "postgres", "--write"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert "leave out --profile" in ran.stderr


def test_an_unknown_row_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "speed", "--json", str(tmp_path / "none.json")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 2
    assert "no row speed" in ran.stderr


@pytest.mark.parametrize(
    ("value", "target", "held"),
    [
        (2.0, AtMost(2), True),
        (2.1, AtMost(2), False),
        (5.0, TimesAtLeast(0.5), True),
        (4.9, TimesAtLeast(0.5), False),
        (18.0, TimesAtMost(1.5, plus=3), True),
        (18.1, TimesAtMost(1.5, plus=3), False),
    ],
)
def test_a_target_is_held_up_to_its_edge_and_missed_beyond(value: float, target: AtMost, held: bool) -> None:
    assert Figure("row", "name", value, "ms", "other", 10.0, target).held is held


def test_a_target_against_a_reference_that_is_missing_is_missed() -> None:
    assert Figure("row", "name", 1.0, "ms", target=TimesAtMost(3)).held is False


def test_a_percentile_of_a_histogram_lies_inside_its_step() -> None:
    assert from_histogram([(0.001, 0.0), (0.002, 100.0), (float("inf"), 100.0)], 0.5) == pytest.approx(0.0015)


def test_latencies_are_told_in_ms() -> None:
    assert Latency.of([0.001] * 99 + [0.5]) == Latency(100, 1.0, 500.0)


def test_the_windows_on_postgresql_end_at_round_numbers_of_events() -> None:
    plan = legs_up_to(5_000_000)
    assert [leg.begin for leg in plan[1:]] == [leg.end for leg in plan[:-1]]
    assert [(leg.begin, leg.end) for leg in plan if leg.measured] == [
        (50_000, 100_000), (750_000, 1_000_000), (4_750_000, 5_000_000),
    ]  # fmt: skip
    assert [leg.end for leg in legs_up_to(5_000) if leg.measured] == [1_000, 5_000]


def test_the_legs_of_a_day_follow_each_other_to_its_end() -> None:
    plan = legs(5_000_000)
    assert [leg.begin for leg in plan[1:]] == [leg.end for leg in plan[:-1]]
    assert (plan[0].begin, plan[-1].end) == (0, 5_000_000)
    assert [leg.begin for leg in plan if leg.measured] == [100_000, 1_000_000, 4_750_000]
