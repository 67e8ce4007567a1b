"""How a command ends when it cannot do its work: one sentence for the person, one number for the script."""

from __future__ import annotations

from enum import IntEnum

from headrace.errors import HeadraceError


class ExitCode(IntEnum):
    """What a script can tell from `$?`."""

    DONE = 0
    INCOMPLETE = 1
    """Done, but not all of it: items were rejected, a check failed."""
    USAGE = 2
    """The command line makes no sense."""
    UNREACHABLE = 3
    """No server answered, or not for longer than `--timeout`."""
    REFUSED = 4
    """The server understood and said no: key, permission, bucket, filter."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Failure(HeadraceError):
    """A command cannot go on. The detail says what happened, to which thing, and what to do now."""

    def __init__(self, detail: str, exit_code: ExitCode = ExitCode.INCOMPLETE) -> None:
        super().__init__(detail, code="failure")
        self.exit_code = exit_code
