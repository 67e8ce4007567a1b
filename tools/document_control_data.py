"""Write `docs/reference/control-data.md` from the models in `headrace.adapters.sql.models`.

Run it with `.venv/bin/python tools/document_control_data.py` after a change of models.py; a test compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, String, Table, UniqueConstraint

from headrace.adapters.sql.models import Base

ROOT = Path(__file__).resolve().parent.parent
_Constraint = TypeVar("_Constraint", CheckConstraint, UniqueConstraint)
PAGE = ROOT / "docs" / "reference" / "control-data.md"

_HEAD = """\
# Control data

The tables of `control.db`, or of the database at `HEADRACE_CONTROL_URL`: who there is, who may do what, and what is
still to be told to `_audit`. Events are not in here. The schema is in third normal form and the same on every engine.
Ids are UUIDv7 (users, sessions, saved searches) or random (keys); times are µs since 1970 in UTC, days are days since
1970. Secrets are never stored, only SHA-256 digests of them; passwords as Argon2id, signing keys encrypted with the
secret key. That key itself is in here only on PostgreSQL, and only when `HEADRACE_SECRET_KEY` is not set.

A table reads another by its foreign keys, drawn below; all of them are `ON DELETE CASCADE`. Two references are none on
purpose: `api_keys.owner_id` and the columns of `usage` still say whose it was when that one is gone.

This page is made from `src/headrace/adapters/sql/models.py` by `tools/document_control_data.py`.

"""


def page() -> str:
    return _HEAD + diagram() + "".join(section(table, text) for table, text in _tables())


def diagram() -> str:
    """All tables with all columns, as Mermaid draws it."""
    lines = ["```mermaid", "erDiagram"]
    lines += [f"    {key.column.table.name} ||--o{{ {table.name} : {key.parent.name}" for table, key in _references()]
    for table, _ in _tables():
        lines += [f"    {table.name} {{", *(f"        {_drawn(column)}" for column in table.columns), "    }"]
    return "\n".join([*lines, "```", ""])


def section(table: Table, text: str) -> str:
    """One table, with what a diagram cannot show."""
    head = f"\n## {table.name}\n\n{text}\n\n| column | type | | |\n|---|---|---|---|\n"
    rows = [
        f"| `{column.name}` | {_type(column)} | {'may be null' if column.nullable else ''} | {_role(column)} |\n"
        for column in table.columns
    ]
    return head + "".join(rows) + "".join(f"\n{line}\n" for line in _rules(table))


def _rules(table: Table) -> Iterator[str]:
    unique = [each for each in _constraints(table, UniqueConstraint) if len(each.columns) > 1]
    checks = [f"`{each.sqltext}`" for each in _constraints(table, CheckConstraint)]
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    for name, parts in (
        ("Indexes", [_columns(each.columns) for each in indexes]),
        ("Unique", [_columns(each.columns) for each in unique]),
        ("Checks", checks),
    ):
        if parts:
            yield f"{name}: {', '.join(parts)}."


def _columns(columns: Iterable[Column[Any]]) -> str:
    return f"`({', '.join(column.name for column in columns)})`"


def _constraints(table: Table, kind: type[_Constraint]) -> list[_Constraint]:
    return sorted((each for each in table.constraints if isinstance(each, kind)), key=lambda each: str(each.name))


def _tables() -> list[tuple[Table, str]]:
    """In the order of the models, each with what its docstring says."""
    mappers = sorted(Base.registry.mappers, key=lambda mapper: inspect.getsourcelines(mapper.class_)[1])
    rows = [mapper.class_ for mapper in mappers]
    return [(Base.metadata.tables[row.__tablename__], inspect.getdoc(row) or "") for row in rows]


def _references() -> list[tuple[Table, ForeignKey]]:
    references = ((table, key) for table, _ in _tables() for key in table.foreign_keys)
    order = {table.name: number for number, (table, _) in enumerate(_tables())}
    return sorted(references, key=lambda reference: (order[reference[0].name], reference[1].parent.name))


def _drawn(column: Column[object]) -> str:
    known = (("PK", column.primary_key), ("FK", column.foreign_keys), ("UK", column.unique))
    marks = [mark for mark, has in known if has]
    kind = _type(column).split("(")[0].replace(" ", "_")
    return " ".join(filter(None, (kind, column.name, ", ".join(marks))))


def _type(column: Column[object]) -> str:
    kind = column.type
    name = {"BigInteger": "bigint", "Integer": "integer", "LargeBinary": "binary", "String": "string"}.get(
        type(kind).__name__, type(kind).__name__.lower()
    )
    return f"{name}({kind.length})" if isinstance(kind, String | LargeBinary) and kind.length else name


def _role(column: Column[object]) -> str:
    parts = ["primary key"] if column.primary_key else []
    parts += ["unique"] if column.unique else []
    parts += [f"→ `{key.target_fullname}`, goes with it" for key in column.foreign_keys]
    return "; ".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
