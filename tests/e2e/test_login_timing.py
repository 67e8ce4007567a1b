"""A login tells by its time no more than by its words: unknown user and wrong password take as long."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from statistics import median

import httpx2

from tests.support.people import person, unused_name
from tests.support.server import Server

TRIES = int(os.environ.get("HEADRACE_TEST_LOGINS", "100"))
APART = 0.10  # of the median, at most (RELIABILITY.md, Access)
ROUNDS = 6  # other work on the machine may spoil one; a real difference is in each of them


def test_an_unknown_user_takes_as_long_as_a_wrong_password(tmp_path: Path) -> None:
    env = {"HEADRACE_GUESSES_PER_ACCOUNT": "100000", "HEADRACE_GUESSES_PER_ADDRESS": "100000"}
    server = Server(tmp_path / "data", env=env)
    try:
        known = person(server.start()).username
        with server.client(key="") as client:
            _took(client, known)  # the first of each kind imports and connects
            _took(client, unused_name())
            found = []
            for _ in range(ROUNDS):
                found.append(_apart(client, known))
                if found[-1] <= APART:
                    return
    finally:
        server.close()
    raise AssertionError(f"medians apart by {[f'{part:.0%}' for part in found]}")


def _apart(client: httpx2.Client, known: str) -> float:
    """How far the medians are apart, by tries in pairs: what slows the machine down meets both kinds alike."""
    wrong, unknown = [], []
    for _ in range(TRIES):
        pair = [(wrong, known), (unknown, unused_name())]
        random.shuffle(pair)
        for seconds, name in pair:
            seconds.append(_took(client, name))
    first, second = median(wrong), median(unknown)
    return abs(first - second) / min(first, second)


def _took(client: httpx2.Client, name: str) -> float:
    began = time.perf_counter()
    answer = client.post("/v1/auth/login", json={"username": name, "password": "not the password"})
    seconds = time.perf_counter() - began
    assert answer.status_code == 401, answer.text
    return seconds
