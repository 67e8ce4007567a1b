"""How much room there is on the disk of a directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


def free_bytes_of(directory: Path) -> Callable[[], int]:
    """What is free there, at each call."""
    return lambda: shutil.disk_usage(directory).free
