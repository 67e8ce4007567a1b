"""`@task`: says that a function is the handler of a type. What it needs is looked at when the registry loads it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from headrace.model.task import DEFAULT_ATTEMPTS, Retry
from headrace.model.task_kind import DEFAULT_TIMEOUT

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declared:
    """A function that is to be a handler, and how its tasks are treated.

    `inline`: a plain function that never waits is called on the loop itself; a thread would cost 30 times what it does.
    """

    name: str
    function: Callable[..., Any]
    retry: Retry = Retry()  # noqa: RUF009  # frozen
    timeout: float = DEFAULT_TIMEOUT
    max_attempts: int = DEFAULT_ATTEMPTS
    inline: bool = False

    @property
    def module(self) -> str:
        return self.function.__module__

    @property
    def place(self) -> tuple[str, str, int]:
        """The same when its module is read a second time."""
        code = inspect.unwrap(self.function).__code__
        return self.module, self.function.__qualname__, code.co_firstlineno

    @property
    def description(self) -> str:
        """The first paragraph of its docstring."""
        return inspect.cleandoc(self.function.__doc__ or "").split("\n\n")[0].replace("\n", " ")


_DECLARED: Final[dict[tuple[str, tuple[str, str, int]], Declared]] = {}


def task(
    name: str,
    *,
    retry: Retry | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    max_attempts: int = DEFAULT_ATTEMPTS,
) -> Callable[[_Function], _Function]:
    """The function below handles tasks of the type `name`. It stays what it is and can be called as before.

    `async def` runs on the loop of its process, `def` in a thread. `timeout` are seconds that one attempt may take;
    `retry` and `max_attempts` hold for tasks that do not bring their own. Its parameters are the fields of `args` and
    need types; one of the type `Context` gets the context.
    """

    def declare(function: _Function) -> _Function:
        declared = Declared(name, function, retry or Retry(), timeout, max_attempts)
        _DECLARED[name, declared.place] = declared
        return function

    return declare


def forget_unloaded() -> None:
    """What modules declared that are no longer there: one that could not be imported may come again, mended."""
    for key in [key for key, declared in _DECLARED.items() if declared.module not in sys.modules]:
        del _DECLARED[key]


def declared_in(module: str, named: set[int]) -> list[Declared]:
    """What the module and those below it declare, and what it imported from elsewhere: `named` are the identities of
    the objects that it names."""
    return [
        declared for declared in _DECLARED.values()
        if declared.module == module or declared.module.startswith(f"{module}.") or id(declared.function) in named
    ]  # fmt: skip
