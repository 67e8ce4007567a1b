"""Every table and column of the control data is on the page of the reference, as the models have it today."""

from __future__ import annotations

import re

import pytest

from headrace.adapters.sql import models
from headrace.adapters.sql.models import Base
from tools import document_control_data

REMEDY = "run .venv/bin/python tools/document_control_data.py"


def test_the_page_is_what_the_models_are() -> None:
    assert document_control_data.PAGE.read_text() == document_control_data.page(), REMEDY


@pytest.mark.parametrize("name", Base.metadata.tables)
def test_a_table_is_drawn_with_all_its_columns_and_references(name: str) -> None:
    table, page = Base.metadata.tables[name], document_control_data.PAGE.read_text()
    drawn = re.search(rf"^    {name} {{\n(.*?)^    }}$", page, re.MULTILINE | re.DOTALL)
    assert drawn is not None, REMEDY
    assert [line.split()[1] for line in drawn[1].splitlines()] == [column.name for column in table.columns]
    for key in table.foreign_keys:
        assert f"    {key.column.table.name} ||--o{{ {name} : {key.parent.name}\n" in page
        assert key.ondelete == "CASCADE"  # the page says so of all of them


@pytest.mark.parametrize("row", sorted(mapper.class_.__name__ for mapper in Base.registry.mappers))
def test_a_table_says_what_a_row_is(row: str) -> None:
    assert getattr(models, row).__doc__
