"""What handlers return, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic
import pytest

from headrace.kit.json_value import as_json


class Model(pydantic.BaseModel):
    at: datetime


class Struct(msgspec.Struct):
    a: int


@dataclass
class Record:
    models: list[Model]
    struct: Struct


def test_records_of_all_kinds_are_written() -> None:
    record = Record([Model(at=datetime(2026, 1, 2, tzinfo=UTC))], Struct(2**80))
    assert as_json(record) == b'{"models":[{"at":"2026-01-02T00:00:00Z"}],"struct":{"a":1208925819614629174706176}}'


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize("value", [object(), Model, {1j: 1}, "\ud800", _circle(), b"x".decode])
def test_what_cannot_be_written_is_said(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        as_json(value)
