"""`headrace send` while its server is killed again and again: all there, once each.

    python -m tests.e2e.cli.killing --events 1000000 --kills 5 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from headrace.cli.traffic import generate
from tests.e2e.cli.command import Cli, arguments
from tests.support.server import Server


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events, by their numbers; times in seconds."""

    sent: int
    missing: int
    repeated: int
    strange: int
    kills: int
    said: str
    seconds: float
    client_cpu_seconds: float

    @property
    def is_right(self) -> bool:
        """Each of them there, once."""
        return not (self.missing or self.repeated or self.strange)


def send_through_kills(directory: Path, events: int, kills: int, seed: int) -> Outcome:
    """Send `events` while the server gets SIGKILL `kills` times, evenly spread. AssertionError when send fails.

    They are written into send's standard input, a part for each life of the server and faster than send can take
    them, so that each kill comes with batches in flight and more to go, however fast the machine. Every second life
    ends where it hurts most: a batch is durable, and its answer is never sent.
    """
    file = directory / "day.ndjson"
    with file.open("wb") as out:
        out.writelines(generate(events, seed, numbered=True))
    server = Server(directory / "data").start()
    try:
        began = time.monotonic()
        said, cpu = _send(server, file, kills, random.Random(seed))
        seconds = time.monotonic() - began
        return _judge(server, directory, events, kills, said, seconds, cpu)
    finally:
        server.close()


def _send(server: Server, file: Path, kills: int, dice: random.Random) -> tuple[str, float]:
    said = file.with_suffix(".said")
    with said.open("wb") as stderr, file.open("rb") as lines:
        sending = psutil.Popen(arguments("send"), env=Cli(server).env(), stdin=subprocess.PIPE, stderr=stderr)
        for number in range(kills):
            feeding = threading.Thread(target=_feed, args=(sending, lines, file.stat().st_size // (kills + 1)))
            feeding.start()
            if number % 2:
                assert server.process is not None
                server.process.wait(60)
            else:
                feeding.join(60)
                time.sleep(dice.uniform(0, 0.03))  # a batch takes about as long
                server.kill()
            dies = (number + 1) % 2 and number + 1 < kills
            doom = {"HEADRACE_FAILPOINT": f"queue.after_commit:{dice.randint(1, 2)}"} if dies else {}
            server.start(env=doom, wait=not dies)
            feeding.join(60)
            assert sending.poll() is None, said.read_text()
        _feed(sending, lines, file.stat().st_size)
        times = sending.cpu_times()
        sending.stdin.close()
        assert sending.wait(120) == 0, said.read_text()
    return said.read_text(), times.user + times.system


def _feed(process: psutil.Popen, lines: BinaryIO, size: int) -> None:
    while size > 0 and (piece := lines.read(min(size, 64 * 1024))):
        process.stdin.write(piece)
        size -= len(piece)


def _judge(
    server: Server, directory: Path, events: int, kills: int, said: str, seconds: float, cpu: float
) -> Outcome:
    cli = Cli(server)
    cli.settle()
    cli("export", "-o", directory / "found.ndjson")
    seen = bytearray(events)
    repeated = strange = 0
    with (directory / "found.ndjson").open("rb") as lines:
        for line in lines:
            number = json.loads(line)["attributes"].get("n", -1)
            if not 0 <= number < events:
                strange += 1
            elif seen[number]:
                repeated += 1
            else:
                seen[number] = 1
    return Outcome(events, seen.count(0), repeated, strange, kills, said, seconds, cpu)


def main() -> int:
    """Run it once, and say what became of the events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = send_through_kills(Path(directory), options.events, options.kills, options.seed)
    print(outcome.said)
    print(
        f"{outcome.sent:,} events sent, {outcome.kills} SIGKILLs, seed {options.seed}: {outcome.missing} missing, "
        f"{outcome.repeated} repeated, {outcome.strange} strange; {outcome.seconds:.1f} s, of which "
        f"{outcome.client_cpu_seconds:.1f} s CPU of the client"
    )
    return 0 if outcome.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
