"""Write `docs/reference/metrics.md` from the list in `headrace.model.metric`.

Run it with `.venv/bin/python tools/document_metrics.py` after a change of that list; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from headrace.model.metric import ALL, Kind, Metric

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "metrics.md"

_HEAD = """\
# Metrics

`GET /metrics`, in the text format of Prometheus. Names that end in `_seconds` are seconds, in `_bytes` bytes. A
histogram has the usual `_bucket`, `_sum` and `_count`. Beside these come `process_*` and `python_*`, which describe the
process.

This page is made from `src/headrace/model/metric.py` by `tools/document_metrics.py`.

| name | kind | labels | what it counts |
|---|---|---|---|
"""


def metrics_page() -> str:
    return _HEAD + "".join(
        f"| `{exposed_name(metric)}` | {metric.kind.value} | {', '.join(metric.labels)} | {metric.help} |\n"
        for metric in ALL
    )


def exposed_name(metric: Metric) -> str:
    """As Prometheus sees it."""
    return f"headrace_{metric.name}{'_total' if metric.kind is Kind.COUNTER else ''}"


if __name__ == "__main__":
    PAGE.write_text(metrics_page())
