"""`python -m tests.chaos --cycles N --seed S`: the kill test, as long as one likes, with events or (`--tasks N`) with
tasks. Status 1: it found something."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.chaos.plants import PLANTS
from tests.chaos.run import run, run_site
from tests.chaos.tasks.run import choose_task_outage, run_tasks, run_tasks_site


def main() -> int:
    options = _options()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
    env = {"HEADRACE_PLANT": options.plant} if options.plant else {}
    module = "tests.chaos.planted" if options.plant else "headrace"
    said = partial(print, flush=True)
    if options.tasks and options.profile == "embedded":
        running = run_tasks(
            folder, tasks=options.tasks, cycles=options.cycles, seed=seed, module=module, env=env, say=said
        )
    elif options.tasks:
        plants = {"HEADRACE_PLANT": ",".join(("short-leases", *env.values()))}
        running = run_tasks_site(
            folder, tasks=options.tasks, cycles=options.cycles, seed=seed, env=plants, fault=choose_task_outage,
            workers=options.workers or 2, say=said,
        )  # fmt: skip
    elif options.profile == "embedded":
        running = run(folder, cycles=options.cycles, seed=seed, module=module, env=env, say=said)
    else:
        env |= {"HEADRACE_SPOOL": "1"} if options.spool else {}
        running = run_site(
            folder, cycles=options.cycles, seed=seed, module=module, env=env, say=said,
            servers=options.servers, workers=options.workers,
        )  # fmt: skip
    report = asyncio.run(running)
    print(report)
    if report.violations:
        print(f"data, log and ledger are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=25, help="how often the server is hit (25)")
    parser.add_argument("--tasks", type=int, default=0, help="at least so many tasks instead of events (20000, say)")
    parser.add_argument("--seed", type=int, help="repeat a run: the same events and faults (random)")
    parser.add_argument("--profile", choices=("embedded", "postgres"), default="embedded", help="where the data are")
    parser.add_argument("--servers", type=int, default=2, help="on postgres: API processes (2)")
    parser.add_argument("--workers", type=int, default=0, help="on postgres: `headrace work`; 0: the servers store (0)")
    parser.add_argument("--spool", action="store_true", help="on postgres: with HEADRACE_SPOOL")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="serve with something planted (tests/chaos/plants.py)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
