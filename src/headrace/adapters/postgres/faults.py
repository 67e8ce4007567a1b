"""psycopg's errors in our words: translated here, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from headrace.errors import OutcomeUnknown, Overloaded, Poison, QueryTimeout, Unavailable
from headrace.kit.first_line import first_line
from headrace.ports.events import TOO_LONG


class NotConnected(psycopg.OperationalError):
    """The server takes no connections: nothing was sent."""


_POOL = (PoolTimeout, PoolClosed, TooManyRequests, NotConnected)


def is_failure(error: Exception) -> bool:
    """Whether the database is to blame, and not what was asked of it."""
    return isinstance(error, Unavailable) and not isinstance(error, Overloaded | QueryTimeout)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raises QueryTimeout, Overloaded or Unavailable. A mistake in our SQL comes through as it is."""
    try:
        yield
    except errors.QueryCanceled as exc:
        raise QueryTimeout(TOO_LONG) from exc
    except errors.OutOfMemory as exc:
        raise Overloaded("the query needs more memory than there is: ask for less time, or filter more") from exc
    except _POOL as exc:
        raise Unavailable(f"{what} cannot be reached: no connection") from exc
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as exc:
        raise Unavailable(f"{what} cannot be reached: {first_line(exc)}") from exc


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Raises Poison for what is wrong with the data itself, else Unavailable: nothing was changed then, or everything,
    and a repeat must be able to tell."""
    try:
        yield
    except errors.IntegrityError as exc:
        raise Unavailable(f"{what} was changed by another at the same moment: {first_line(exc)}") from exc
    except (psycopg.DataError, errors.ProgramLimitExceeded, UnicodeError) as exc:
        raise Poison(f"cannot be stored: {first_line(exc)}") from exc
    except errors.QueryCanceled as exc:
        raise Unavailable(f"{what} took too long to write") from exc
    except _POOL as exc:
        raise Unavailable(f"{what} cannot be reached: no connection") from exc
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as exc:
        raise Unavailable(f"{what} cannot be written: {first_line(exc)}") from exc


@contextmanager
def committing(what: str) -> Iterator[None]:
    """Around one statement that commits itself. Raises Unavailable when surely nothing was stored (no connection, or
    the server's answer was an error), else OutcomeUnknown."""
    try:
        yield
    except _POOL as exc:
        raise Unavailable(f"{what} cannot be reached: no connection") from exc
    except psycopg.Error as exc:
        if exc.diag.severity_nonlocalized == "ERROR":  # not FATAL, which may come after the commit
            raise Unavailable(f"{what} cannot be written: {first_line(exc)}") from exc
        raise unknown_outcome(what, exc) from exc


def unknown_outcome(what: str, error: Exception) -> OutcomeUnknown:
    """The connection was lost when the commit may have been done already."""
    return OutcomeUnknown(f"the connection to {what} was lost in mid-commit: {first_line(error)}")
