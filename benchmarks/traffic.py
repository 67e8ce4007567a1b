"""The program's own invented traffic, without its times: they are put in while sending, so that a pool serves long.

Generating while measuring would be the load's cost: an event takes 10 µs to make, and 0.4 µs to stamp.
"""

from __future__ import annotations

import random
from itertools import islice

import msgspec

from headrace.cli.traffic import generate
from headrace.kit.times import HOUR, MINUTE, SECOND

OPENING = b'{"time":"'


def tails(count: int, seed: int) -> list[bytes]:
    """`count` events as JSON lines from behind the value of `time` on: `","level":"info",…}` and a newline."""
    return [line[line.index(b'"', len(OPENING)) :] for line in generate(count, seed)]


def delays(count: int, seed: int) -> list[int]:
    """How much earlier than its turn each event happened, in µs: as in that traffic, one in 20 a little, some hours."""
    rng = random.Random(seed)
    return [_delay(rng, rng.random()) for _ in range(count)]


def _delay(rng: random.Random, luck: float) -> int:
    if luck < 0.05:
        return int(luck * 40 * SECOND)
    if luck > 0.99:
        return int(rng.random() * (6 * HOUR if luck > 0.999 else 10 * MINUTE))
    return 0


def values(seed: int) -> tuple[list[str], list[str]]:
    """Some services, frequent and rare ones, and some actors as they come, for questions about them."""
    services: dict[str, None] = {}
    actors: dict[str, None] = {}
    for line in islice(generate(4_000, seed), 4_000):
        event = msgspec.json.decode(line)
        services[event["service"]] = None
        actors[event["actor"] if isinstance(event["actor"], str) else event["actor"]["id"]] = None
    return list(services)[:5], list(actors)[:8]
