"""`headrace send` while its server is killed again and again: all there, once each.

    python -m tests.e2e.cli.killing --events 1000000 --kills 5 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from headrace.cli.traffic import generate
from tests.e2e.cli.command import Cli, arguments
from tests.support.server import Server

_LIFE_PER_EVENT = 1.5e-6  # seconds: five lives of at most that are over before all is sent, at 130,000 events/s


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
    """Send `events` while the server gets SIGKILL `kills` times. AssertionError: send failed, or was too quick."""
    file = directory / "day.ndjson"
    with file.open("wb") as out:
        out.writelines(generate(events, seed, numbered=True))
    server = Server(directory / "data").start()
    try:
        began = time.monotonic()
        said, cpu = _send(server, file, kills, events * _LIFE_PER_EVENT, random.Random(seed))
        seconds = time.monotonic() - began
        return _judge(server, directory, events, kills, said, seconds, cpu)
    finally:
        server.close()


def _send(
    server: Server, file: Path, kills: int, longest_life: float, dice: random.Random
) -> tuple[str, float]:
    said = file.with_suffix(".said")
    with said.open("wb") as stderr:
        sending = psutil.Popen(arguments("send", file), env=Cli(server).env(), stderr=stderr)
    _wait_until_it_sends(server)
    for number in range(kills):
        time.sleep(dice.uniform(0.05, longest_life))
        assert sending.poll() is None, f"all was sent before kill {number + 1}: send more events"
        server.kill()
        server.start()
    cpu = 0.0
    while sending.poll() is None:
        with suppress(psutil.Error):
            times = sending.cpu_times()
            cpu = times.user + times.system
        time.sleep(0.05)
    assert sending.returncode == 0, said.read_text()
    return said.read_text(), cpu


def _wait_until_it_sends(server: Server) -> None:
    with server.client() as client:
        while not client.get("/v1/buckets/default/events?limit=1").json()["events"]:
            time.sleep(0.01)


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
