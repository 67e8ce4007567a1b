"""The reference of the command line is what the commands say of themselves."""

from __future__ import annotations

from tools import document_cli


def test_the_reference_is_what_the_commands_say() -> None:
    assert document_cli.PAGE.read_text() == document_cli.cli_page(), "run .venv/bin/python tools/document_cli.py"
