"""Which handlers there are: the built-in ones, and those of the modules that the settings name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from headrace.errors import Unusable
from headrace.handlers.builtin.add import add
from headrace.handlers.builtin.http_request import http_request
from headrace.handlers.declare import Declared, declared_in, forget_unloaded
from headrace.handlers.handler import Handler
from headrace.kit.outbound import Guard
from headrace.model.task_kind import TaskKind

_SETTING = "HEADRACE_TASK_MODULES"


class Registry:
    """Handlers by the names of their types. Raises Unusable for what cannot be one, and for two of one name."""

    def __init__(self, declared: Iterable[Declared]) -> None:
        self._handlers: dict[str, Handler] = {}
        for each in declared:
            self._add(each)

    def get(self, name: str) -> Handler | None:
        return self._handlers.get(name)

    def kinds(self) -> Mapping[str, TaskKind]:
        return MappingProxyType({name: handler.kind for name, handler in self._handlers.items()})

    def _add(self, declared: Declared) -> None:
        before = self._handlers.get(declared.name)
        if before is not None:
            if before.function is declared.function:
                return
            raise Unusable(
                f"{_SETTING}: two handlers are named {declared.name!r}: {_name(before.function)} and "
                f"{_name(declared.function)}. Rename one."
            )
        try:
            self._handlers[declared.name] = Handler.of(declared)
        except Exception as exc:  # what a type hint refers to, and what pydantic makes of it, is the author's
            raise Unusable(
                f"{_SETTING}: {_name(declared.function)} cannot handle {declared.name!r}: {_reason(exc)}"
            ) from exc


def load(modules: Sequence[str] = (), networks: Sequence[str] = ()) -> Registry:
    """The built-in handlers and those of `modules`, which are looked for in the current directory too.

    `networks` are the private ones that `http.request` may reach. Raises Unusable with a text for people.
    """
    found = [add, http_request(_guard(networks))]
    if modules and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does: a console script does not see the project it is run in
    for name in modules:
        found += _declared(name)
    return Registry(found)


def _guard(networks: Sequence[str]) -> Guard:
    try:
        return Guard(networks)
    except ValueError as exc:
        raise Unusable(f"HEADRACE_OUTBOUND_NETWORKS: {exc}; write networks such as 10.0.0.0/8.") from exc


def _declared(name: str) -> list[Declared]:
    forget_unloaded()
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as exc:  # it is another's code that runs here, and may raise anything
        raise Unusable(f"{_SETTING}: cannot import {name}: {_reason(exc)}") from exc
    found = declared_in(name, {id(value) for value in vars(module).values()})
    if not found:
        raise Unusable(f'{_SETTING}: {name} has no handlers: put @task("name") above a function of it.')
    return found


def _reason(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"


def _name(function: object) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"
