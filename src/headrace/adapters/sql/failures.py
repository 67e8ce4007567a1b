"""The one place where the errors of SQLAlchemy and its drivers become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc as sql

from headrace.errors import Conflict, Overloaded, Unavailable, Unusable
from headrace.kit.first_line import first_line

_CROWDED = {"40001", "40P01", "55P03", "57014"}  # SQLSTATE: serialization, deadlock, lock timeout, statement timeout
_NOT_ALLOWED = "42501"


@contextmanager
def translated() -> Iterator[None]:
    """Raises Conflict, Unavailable, and Overloaded when too many change the same. Mistakes of ours (wrong SQL, wrong
    types) pass as they are."""
    try:
        yield
    except sql.IntegrityError as exc:
        raise Conflict("Another one has this name or id already.") from exc
    except (sql.ProgrammingError, sql.DataError, sql.NotSupportedError):
        raise
    except (sql.DBAPIError, sql.TimeoutError, TimeoutError) as exc:
        if isinstance(exc, sql.DBAPIError) and _state(exc) in _CROWDED:
            raise Overloaded("Others are changing the same control data just now: try again soon.") from exc
        raise Unavailable("The control data cannot be reached or written now: try again soon.") from exc


@contextmanager
def opening() -> Iterator[None]:
    """The same for a start, where a person reads why. Raises Unusable when the database does not let us."""
    try:
        with translated():
            yield
    except sql.ProgrammingError as exc:
        if _state(exc) != _NOT_ALLOWED:
            raise
        raise Unusable(f"The user of the control database may not do what is needed: {_reason(exc)}.") from exc
    except Overloaded:
        raise
    except Unavailable as exc:
        if isinstance(exc.__cause__, sql.DBAPIError):
            raise Unavailable(f"The control database cannot be used: {_reason(exc.__cause__)}.") from exc
        raise


def is_failure(error: Exception) -> bool:
    """Whether the database is to blame, and not what was asked of it."""
    return isinstance(error, Unavailable) and not isinstance(error, Overloaded)


def _state(error: sql.DBAPIError) -> str | None:
    """The code of the SQL standard, from drivers that tell it."""
    return getattr(error.orig, "sqlstate", None)


def _reason(error: sql.DBAPIError) -> str:
    return first_line(error.orig or error, 300).rstrip(".")
