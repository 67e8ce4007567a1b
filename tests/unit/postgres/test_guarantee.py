"""The sentence says what the settings are worth, and never more."""

from __future__ import annotations

import pytest

from headrace.adapters.postgres.guarantee import Durability, guarantee


def test_one_server_can_lose_its_disk() -> None:
    told = guarantee(Durability())
    assert told.durable
    assert told.sentence == (
        "202 means: committed and flushed on one server; that server's disk can still lose it"
    )


@pytest.mark.parametrize("level", ["off", "local", "on", "remote_write", "remote_apply"])
def test_without_synchronous_replicas_no_level_promises_more_than_one_server(level: str) -> None:
    assert guarantee(Durability(synchronous_commit=level)) == guarantee(Durability())


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("off", "flushed on one server; that server's disk"),  # our own commits wait for the disk, for no replica
        ("local", "flushed on one server; that server's disk"),
        ("remote_write", "written by a replica, which need not have flushed it"),
        ("on", "flushed on one server and on a replica; both disks"),
        ("remote_apply", "on a replica, and visible there"),
    ],
)
def test_with_a_synchronous_replica_the_level_says_what_is_waited_for(level: str, words: str) -> None:
    told = guarantee(Durability(synchronous_commit=level, standbys="ANY 1 (a, b)"), "202 and 201")
    assert told.durable
    assert told.sentence.startswith("202 and 201 mean: committed and flushed")
    assert words in told.sentence


def test_without_fsync_nothing_is_durable_whatever_else_is_set() -> None:
    told = guarantee(Durability(fsync=False, synchronous_commit="remote_apply", standbys="a"))
    assert not told.durable
    assert told.sentence.startswith("NOT durable: fsync is off")


def test_without_full_page_writes_a_crash_can_damage_what_was_stored() -> None:
    told = guarantee(Durability(full_page_writes=False))
    assert not told.durable
    assert told.sentence.startswith("NOT durable: full_page_writes is off")


def test_the_settings_of_a_server_are_read_as_it_names_them() -> None:
    found = Durability.of(
        {"fsync": "off", "full_page_writes": "on", "synchronous_commit": "local", "synchronous_standby_names": " "}
    )
    assert found == Durability(fsync=False, synchronous_commit="local")
