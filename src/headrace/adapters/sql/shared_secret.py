"""The secret that all processes share, as a row. Never in a log: statements to a server show no parameters."""

from __future__ import annotations

from contextlib import suppress

from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.models import SecretRow
from headrace.errors import Conflict, Unavailable

NAME = "sealing"


class SqlSharedSecret:
    place = "the control database"

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def find(self) -> str | None:
        async with self._database.reading() as session:
            row = await session.get(SecretRow, NAME)
            return row.secret if row is not None else None

    async def keep(self, secret: str) -> str:
        with suppress(Conflict):  # another process was first: its secret is everybody's
            async with self._database.changing() as session:
                session.add(SecretRow(name=NAME, secret=secret))
        kept = await self.find()
        if kept is None:
            raise Unavailable("The secret was removed from the control database just now: start again.")
        return kept
