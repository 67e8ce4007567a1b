"""Finding users by what people call them, and lists that come in pages. Shared by the commands of access."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import quote

import typer

from headrace.cli.client import call
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.terminal import printable

if TYPE_CHECKING:
    import httpx2

User: TypeAlias = Annotated[str, typer.Argument(help="The username, the e-mail address, or the id.")]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_A_PAGE = 1_000
_PERMISSIONS = ("read", "write", "manage")


def every(client: httpx2.Client, path: str, field: str, **params: str) -> Iterator[dict[str, Any]]:
    """All entries of a list, page by page. Raises Failure."""
    asked: dict[str, str | int] = {"limit": _A_PAGE, **params}
    while True:
        page = call(client, "GET", path, params=asked).json()
        yield from page[field]
        if "next_cursor" not in page:
            return
        asked["cursor"] = page["next_cursor"]


def path_of(client: httpx2.Client, user: str) -> str:
    """The path of a user. Raises Failure."""
    return f"/v1/users/{id_of(client, user)}"


def id_of(client: httpx2.Client, user: str) -> str:
    """The id of who has this username or address; an id stands for itself. Raises Failure when there is nobody."""
    if _ID.fullmatch(user):
        return user.lower()
    wanted = user.lower()
    for found in every(client, "/v1/users", "users", q=wanted) if wanted else ():
        if wanted in (found["username"], found.get("email")):
            return str(found["id"])
    raise Failure(f"there is no user {printable(user)!r}: `headrace users list` shows them.", ExitCode.REFUSED)


def permissions_of(text: str) -> list[str]:
    """`read,write` as the server has it. Raises Failure."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in _PERMISSIONS:
            raise Failure(f"{name!r} is no permission: give some of read,write,manage.", ExitCode.USAGE)
    return sorted(set(names), key=_PERMISSIONS.index)


def table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Columns as wide as they need to be, the last one open."""
    shown = [tuple(printable(str(cell)) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in [heads, *shown]) for column in range(len(heads))]
    typer.secho(_line(heads, widths), bold=True)
    for row in shown:
        typer.echo(_line(row, widths))


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")
