"""Write `docs/reference/cli.md` from the commands' own help, with typer's generator.

Run it with `.venv/bin/python tools/document_cli.py` after a change of a command; a test compares.
"""

from __future__ import annotations

import subprocess
import sys
from html import unescape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"


def cli_page() -> str:
    """The page as the commands are now."""
    command = [sys.executable, "-m", "typer", "headrace.cli.app", "utils", "docs", "--name", "headrace"]
    plain = {"PATH": "", "COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}  # the same page on every machine
    made = subprocess.run(  # noqa: S603 - our own interpreter
        [*command, "--title", "Command line"], capture_output=True, text=True, check=True, env=plain
    )
    return unescape(made.stdout).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(cli_page())
    print(f"{PAGE.relative_to(ROOT)} is up to date")
