"""A consistent copy of the file while events go on being written.

Between two checkpoints DuckDB changes nothing that the last one refers to: commits go to the log, or into blocks of
the file that are not in use. So the file right after a checkpoint, with the next ones held off, is the state at that
moment however long the copy takes; writes wait for the checkpoint only.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def copy_file(source: Path, directory: Path) -> None:
    """Copy `source` into `directory`, durably, under its own name; complete only under that name."""
    target = directory / source.name
    partial = target.with_name(f"{target.name}.partial")
    with source.open("rb") as reading, partial.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    partial.replace(target)
