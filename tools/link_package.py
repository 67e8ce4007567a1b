"""Make `src/headrace` importable in the venv whose Python runs this, and put `headrace` beside it.

Not `pip install -e .`: that needs hatchling and what hatchling needs, from the network and outside the lock. A path
file does the same from what is in the clone. The small dist-info lets `importlib.metadata` answer as if it were
installed. Runs on the standard library alone; safe to repeat.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Raises SystemExit outside a venv: a system's Python is never touched."""
    if sys.prefix == sys.base_prefix:
        raise SystemExit(f"{sys.executable} is not in a virtual environment; run this with .venv/bin/python")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    site = Path(sysconfig.get_path("purelib"))
    write_dist_info(site, project)
    write_path_file(site)
    write_launcher(Path(sysconfig.get_path("scripts")) / "headrace")


def write_path_file(site: Path) -> None:
    for old in site.glob("*headrace*.pth"):
        old.unlink()
    (site / "_headrace.pth").write_text(f"{ROOT / 'src'}\n")


def write_dist_info(site: Path, project: dict[str, str]) -> None:
    for old in site.glob("headrace-*.dist-info"):
        shutil.rmtree(old)
    info = site / f"headrace-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: headrace\nVersion: {project['version']}\n")
    (info / "INSTALLER").write_text("headrace-dev\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nheadrace = headrace.__main__:main\n")


def write_launcher(path: Path) -> None:
    """A shell script: a `#!` line breaks on long paths and on blanks. -P: no module of the caller's folder counts."""
    python = str(path.with_name("python")).replace("'", "'\\''")
    path.write_text(f"#!/bin/sh\nexec '{python}' -P -m headrace \"$@\"\n")
    path.chmod(0o755)


if __name__ == "__main__":
    main()
