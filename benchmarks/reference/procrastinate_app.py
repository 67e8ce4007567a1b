"""Procrastinate on the PostgreSQL of the benchmark. It keeps no results."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_URL"]))  # noqa: TID251 - as for celery_app


@app.task(name="add")
async def add(a: int, b: int) -> int:
    return a + b
