"""Write `.env.example` and `docs/reference/settings.md` from the fields of `headrace.config.Settings`.

Run it with `.venv/bin/python tools/document_settings.py` after a change of config.py; a test compares.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path

from pydantic.fields import FieldInfo

from headrace.config import Settings

ROOT = Path(__file__).resolve().parent.parent
ENV_EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "reference" / "settings.md"

_ENV_HEAD = """\
# Every setting of Headrace with its default. Copy this file to .env and uncomment what you change; variables of the
# environment win over it, and options of the command line over both. Sizes are bytes, durations seconds.
# Made by tools/document_settings.py from src/headrace/config.py.
"""
_PAGE_HEAD = """\
# Settings

Read once, at the start, from the command line (`headrace serve --help`), then the environment, then a file `.env` in
the current directory; the first that says something wins. A wrong value stops the start with a message that names the
variable. Sizes are bytes, durations seconds. `.env.example` in the repository lists them all, ready to copy.

This page is made from `src/headrace/config.py` by `tools/document_settings.py`.

| variable | takes | default | what it does |
|---|---|---|---|
"""
_MIB = 1024 * 1024


def env_example() -> str:
    entries = [
        f"\n# {field.description} ({takes(field)}{size(name, field)})\n#{variable(name)}={default(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return _ENV_HEAD + "".join(entries)


def settings_page() -> str:
    rows = [
        f"| `{variable(name)}` | {takes(field)} | {shown(name, field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return _PAGE_HEAD + "".join(rows)


def variable(name: str) -> str:
    return f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


def default(field: FieldInfo) -> str:
    """As one would write it in the environment."""
    value = field.get_default(call_default_factory=False)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def shown(name: str, field: FieldInfo) -> str:
    text = default(field)
    return f"`{text}`{size(name, field)}" if text else "none"


def size(name: str, field: FieldInfo) -> str:
    """A remark with the MiB of a default in bytes."""
    return f"; {int(default(field)) // _MIB} MiB" if name.endswith("_bytes") and default(field) else ""


def takes(field: FieldInfo) -> str:
    """The values that a field takes, in words, with its bounds."""
    bounds = [f"{sign} {getattr(each, key)}" for each in field.metadata for key, sign in _SIGNS if hasattr(each, key)]
    return " ".join([_words(field.annotation), *bounds])


_SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}


def _words(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return " or ".join(_words(part) for part in typing.get_args(annotation) if part is not type(None))
    return _WORDS.get(typing.cast("type", annotation), "text")


if __name__ == "__main__":
    ENV_EXAMPLE.write_text(env_example())
    PAGE.write_text(settings_page())
