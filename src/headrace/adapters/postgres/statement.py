"""A statement straight through libpq: for what is so short and so frequent that psycopg's cursor, which looks at each
value's type and at the statement's text anew, takes as much time as everything else."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import errors, generators
from psycopg.pq import ExecStatus, Format

from headrace.adapters.postgres.database import Connection


async def execute(connection: Connection, statement: bytes, values: Sequence[bytes]) -> None:
    """One statement, a transaction by itself, that gives no rows. `values` are for $1 and so on, in PostgreSQL's binary
    format; what is wrong is raised as the cursor would."""
    connection.pgconn.send_query_params(statement, values, param_formats=[Format.BINARY] * len(values))
    for result in await connection.wait(generators.execute(connection.pgconn)):
        if result.status != ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result, connection.info.encoding)
