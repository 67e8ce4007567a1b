"""`python -m tests.chaos.tasks.leasing_worker`: examples/worker.py as it is, but for its handlers, which have effects
in the world outside, and its lease, which is short."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tests.chaos.tasks.outside import VARIABLE, Outside

_EXAMPLE = Path(__file__).parents[3] / "examples" / "worker.py"
_CHANGES = (
    ("LEASE_SECONDS = 30", "LEASE_SECONDS = 2"),
    ('HANDLERS = {"word.count": word_count}', 'HANDLERS = {"effect": effect, "effect.async": effect}'),
    ('HANDLERS[task["type"]](task["args"])', 'HANDLERS[task["type"]](task)'),
)


def source() -> str:
    """The changed program. Raises ValueError when the example is another one by now."""
    text = _EXAMPLE.read_text()
    for old, new in _CHANGES:
        if text.count(old) != 1:
            raise ValueError(f"{_EXAMPLE} has no line {old!r} any more: change {__file__} with it")
        text = text.replace(old, new)
    return text


def effect(task: dict[str, Any]) -> dict[str, str]:
    run = Outside(Path(os.environ[VARIABLE])).run(task["id"], int(task["lease"]), task["attempt"])
    for _ in range(3):
        time.sleep(task["args"]["seconds"] / 3)
        run.write("step")
    run.write("end")
    return {"token": task["args"]["token"], "run": run.name}


if __name__ == "__main__":
    exec(compile(source(), str(_EXAMPLE), "exec"), {"effect": effect})
