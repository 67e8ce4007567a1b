"""DuckDB's errors in our words: translated here, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from headrace.errors import Overloaded, Poison, QueryTimeout, Unavailable
from headrace.ports.events import TOO_LONG

_BAD_DATA = (duckdb.DataError, duckdb.InvalidInputException, duckdb.IntegrityError)
_OUT_OF_ORDER = (duckdb.OperationalError, duckdb.FatalException, duckdb.InternalError, duckdb.DependencyException)


class Broken(Unavailable):
    """The store has to be opened anew before anything else works."""


@contextmanager
def reading() -> Iterator[None]:
    """Raises QueryTimeout, Overloaded, Unavailable or Broken. A mistake in our SQL comes through as it is."""
    try:
        yield
    except duckdb.InterruptException as exc:
        raise QueryTimeout(TOO_LONG) from exc
    except duckdb.OutOfMemoryException as exc:
        raise Overloaded("the query needs more memory than it may have: ask for less time, or filter more") from exc
    except duckdb.IOException as exc:
        raise Unavailable(f"the event store cannot be read: {exc}") from exc
    except _OUT_OF_ORDER as exc:
        raise Broken(f"the event store is out of order: {exc}") from exc


@contextmanager
def writing() -> Iterator[None]:
    """Raises Poison for what is wrong with the data itself, else Unavailable or Broken."""
    try:
        yield
    except duckdb.OutOfMemoryException as exc:
        raise Unavailable(f"the event store has too little memory for this: {exc}") from exc
    except _BAD_DATA as exc:
        raise Poison(f"cannot be stored: {exc}") from exc
    except duckdb.Error as exc:
        raise Broken(f"the event store cannot write: {exc}") from exc
