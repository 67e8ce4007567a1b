"""What an acknowledgement is worth on a PostgreSQL server, in one sentence: from what the server says of itself.

The only place that has these sentences: `headrace doctor`, the log of `headrace serve` and the status show them, and
docs/reference/guarantees.md explains them.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.adapters.postgres.database import Database

AT_LEAST_THE_DISK = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
"""In a transaction: a commit that is not flushed is none of ours, whatever the server's default; stronger ones stay."""

SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names")
_SECONDS = 5.0
_ASK = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """`durable`: what was acknowledged survives a crash of the server's machine."""

    durable: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Durability:
    """Settings of a server as a session of ours finds them. `standbys` is synchronous_standby_names."""

    fsync: bool = True
    full_page_writes: bool = True
    synchronous_commit: str = "on"
    standbys: str = ""

    @classmethod
    def of(cls, settings: dict[str, str]) -> Durability:
        """From pg_settings."""
        return cls(
            settings["fsync"] == "on",
            settings["full_page_writes"] == "on",
            settings["synchronous_commit"],
            settings["synchronous_standby_names"].strip(),
        )

    @property
    def effective(self) -> str:
        """What our commits wait for: never for less than the disk of the server, whatever its default."""
        level = "local" if self.synchronous_commit == "off" else self.synchronous_commit
        return level if self.standbys else "local"


_ONE_SERVER = "committed and flushed on one server; that server's disk can still lose it"
_MEANS = {
    "local": _ONE_SERVER,
    "remote_write": "committed and flushed on one server, and written by a replica, which need not have flushed it; "
    "both machines failing at once can still lose it",
    "on": "committed and flushed on one server and on a replica; both disks failing can still lose it",
    "remote_apply": "committed and flushed on one server and on a replica, and visible there; "
    "both disks failing can still lose it",
}


def guarantee(durability: Durability, promise: str = "202") -> Guarantee:
    """What `promise` (such as 202, 201 or "202 and 201") means where the server has these settings."""
    means = "mean" if " and " in promise else "means"
    if not durability.fsync:
        return Guarantee(
            False, f"NOT durable: fsync is off; {promise} {means} only that the server has it in memory, and a crash "
            "of its machine can lose everything",
        )  # fmt: skip
    sentence = f"{promise} {means}: {_MEANS.get(durability.effective, _ONE_SERVER)}"
    if not durability.full_page_writes:
        return Guarantee(
            False, f"NOT durable: full_page_writes is off, and a crash of the machine can damage what was stored "
            f"before, unless its file system writes pages whole; otherwise {sentence}",
        )  # fmt: skip
    return Guarantee(True, sentence)


async def guarantee_of(database: Database, promise: str = "202") -> Guarantee:
    """Ask the server. Raises Unavailable."""
    async with database.asking(_SECONDS) as connection:
        found = await connection.execute(_ASK, (list(SETTINGS),))
        return guarantee(Durability.of(dict(await found.fetchall())), promise)
