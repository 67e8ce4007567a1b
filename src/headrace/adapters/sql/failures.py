"""The one place where the errors of SQLAlchemy and its drivers become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc as sql

from headrace.errors import Conflict, Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raises Conflict and Unavailable. Mistakes of ours (wrong SQL, wrong types) pass as they are."""
    try:
        yield
    except sql.IntegrityError as exc:
        raise Conflict("Another one has this name or id already.") from exc
    except (sql.ProgrammingError, sql.DataError, sql.NotSupportedError):
        raise
    except (sql.DBAPIError, sql.TimeoutError) as exc:
        raise Unavailable("The control data cannot be reached or written now: try again soon.") from exc
