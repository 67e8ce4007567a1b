"""What a figure was measured on: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Machine:
    """`commit` ends in `+` when files were changed since; `load_before` is the load average before the run."""

    date: str
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    commit: str
    load_before: float

    @property
    def is_busy(self) -> bool:
        """Others take so much of it that figures cannot be trusted."""
        return self.load_before > self.cores / 4


def describe() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        commit=_commit(),
        load_before=round(os.getloadavg()[0], 1),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return f"{commit}+" if commit and _git("status", "--porcelain", "--untracked-files=no") else commit or "unknown"


def _git(*arguments: str) -> str:
    try:
        ran = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ran.stdout.strip()
