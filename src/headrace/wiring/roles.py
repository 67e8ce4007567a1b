"""Which process does what: `headrace serve` answers (and does everything else unless told otherwise), `headrace work`
only works."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from headrace.config import Settings
from headrace.errors import Unusable
from headrace.wiring.urls import Urls

Role = Literal["serve", "work"]
SERVE: frozenset[Role] = frozenset(("serve",))
BOTH: frozenset[Role] = frozenset(("serve", "work"))


class Place(NamedTuple):
    """Of one among several processes of a machine that act as one server."""

    folder: Path
    """Where they tell each other what they counted."""
    number: int
    """No other process that lives has it."""


def refuse_files(settings: Settings, what: str) -> None:
    """Raises Unusable when `what` needs data that several processes can reach."""
    if Urls.of(settings).needs_directory:
        raise Unusable(
            f"{what} cannot work on files, which one process owns: {settings.data_dir} belongs to one `headrace "
            "serve`, and that does all the work. Set HEADRACE_DATABASE_URL=postgresql://… for more than one process."
        )
