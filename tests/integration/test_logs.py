"""Logs: JSON that Elasticsearch takes as it is, text for people, and never a credential."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from headrace.adapters.structlog import logs

KEY = "hr_k1a2b3_abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_one_ecs_object_whoever_wrote_it() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    structlog.contextvars.bind_contextvars(**{"http.request.id": "r1"})
    logging.getLogger("headrace.a").warning("one of %d", 2, extra={"url.path": "/x"})
    structlog.get_logger("headrace.b").info("two\nlines", queue="blocks")
    logging.getLogger("headrace.a").debug("not this one")
    first, second = lines(stream)
    assert first["message"] == "one of 2"
    assert first["log.level"] == "warning"
    assert first["log"] == {"logger": "headrace.a"}
    assert first["url"] == {"path": "/x"}
    assert first["http"] == second["http"] == {"request": {"id": "r1"}}
    assert first["ecs.version"]
    assert first["@timestamp"].endswith("Z")
    assert (second["message"], second["queue"]) == ("two\nlines", "blocks")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_credential_leaves_whatever_put_it_into_a_line(form: logs.Form) -> None:
    stream = io.StringIO()
    logs.configure(form, "info", stream)
    secret_local = KEY
    try:
        raise ValueError(f"bad header Authorization: Bearer eyJhbGciOi.abc.def and {KEY}")
    except ValueError:
        logging.getLogger("x").exception("failed for %s", KEY, extra={"key": secret_local})
    assert KEY not in stream.getvalue()
    assert "eyJhbGciOi" not in stream.getvalue()
    assert "hr_k1a2b3_***" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "secret_local =" not in stream.getvalue()  # traces show lines, never the values of variables


def test_configuring_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("json", "info", first)
    logs.configure("json", "info", second)
    logging.getLogger("x").warning("once")
    assert (len(lines(first)), len(lines(second))) == (0, 1)
