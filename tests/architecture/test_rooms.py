"""Files lie where the law of names says: room / technology / noun."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "headrace"
MODULES = sorted(SOURCE.rglob("*.py"))
PORTS = sorted(path.stem for path in (SOURCE / "ports").glob("*.py") if path.stem != "__init__")
ADAPTER_FILES = sorted(path for path in (SOURCE / "adapters").glob("*/*.py") if path.stem != "__init__")

WITHOUT_CONTRACT = {
    "export_format": "each format is read back by its own reader in the tests of the export",
    "snapshot": "one method, implemented beside each store and run by the tests of the backup",
    "key_file": "one adapter, and the tests of the bootstrap run it on a real directory",
}
WITHOUT_PORT = {
    "postgres/inspection": "looks at a server from outside, for `headrace doctor`",
    "sql/migrate": "runs before any port is there: serve and `headrace migrate` call it through wiring",
    "sqlite/library": "names the SQLite that apsw brings, for `headrace doctor`",
    "sqlite/spool": "which folder a process spools to, and whose it adopts; what lies in it is a Queue",
    "structlog/logs": "sets up the log of the process; the rooms use the standard library's logging",
    "system/directory_lock": "taken before any port is there, held until the process ends",
}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").as_posix()


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Everything that a file imports, as full names: `from a.b import c` gives both a.b and a.b.c."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_is_longer_than_500_lines(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 500, f"{lines} lines: over 300 is a question, over 500 a redesign"


@pytest.mark.parametrize("path", [path for path in MODULES if path.stat().st_size], ids=name_of)
def test_every_module_begins_by_saying_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", ADAPTER_FILES, ids=name_of)
def test_an_adapter_is_named_like_its_port_or_supports_one_that_is(path: Path) -> None:
    if path.stem in PORTS or name_of(path).removeprefix("adapters/") in WITHOUT_PORT:
        return
    module = f"headrace.adapters.{path.parent.name}.{path.stem}"
    neighbours = [other for other in path.parent.rglob("*.py") if other != path]
    assert any(module in imports_of(other) for other in neighbours), f"{path.stem} is no port, and no neighbour uses it"


@pytest.mark.parametrize("port", PORTS)
def test_a_port_file_declares_a_protocol(port: str) -> None:
    tree = ast.parse((SOURCE / "ports" / f"{port}.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert any("Protocol" in ast.unparse(base) for each in classes for base in each.bases)


@pytest.mark.parametrize("port", [port for port in PORTS if port not in WITHOUT_CONTRACT])
def test_every_port_has_its_contract_suite(port: str) -> None:
    assert (ROOT / "tests" / "contract" / f"test_{port}.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_permission_makes_a_view(path: Path) -> None:
    """Whoever made one for himself would read past the filter of a viewer token."""
    if "headrace.model.view.View" in imports_of(path) and name_of(path) != "model/permission":
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if ast.unparse(call) in ("View", "view.View")]


def test_the_exceptions_are_still_needed() -> None:
    suites = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "contract").glob("test_*.py")}
    assert set(WITHOUT_CONTRACT) <= set(PORTS) - suites
    assert {f"adapters/{name}" for name in WITHOUT_PORT} <= {name_of(path) for path in ADAPTER_FILES}
