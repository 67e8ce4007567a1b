"""What was typed into a form and what is wrong with it, by field, so that a page shows both again; and what a page says
once something is done. No secret is ever typed into one of these forms."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, DecimalException
from types import TracebackType
from typing import Self

from fastapi import Request

from headrace.errors import Conflict, Forbidden, HeadraceError, Invalid, Malformed, NotFound
from headrace.model.principal import Permission

_REFUSALS = (Invalid, Conflict, Forbidden, NotFound, Malformed)
"""What the person at the form can mend. Everything else is ours, and gets a page of its own."""
_FIELD_OF = {"username-taken": "username", "email-taken": "email", "bucket-exists": "name", "last-admin": "role"}
"""Refusals that name no field, and the field that they are about."""

UNITS = {"bytes": 1, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_MOST_BYTES = 2**53 - 1

ACCESS = {
    "read": frozenset({Permission.READ}),
    "write": frozenset({Permission.WRITE}),
    "read-write": frozenset({Permission.READ, Permission.WRITE}),
    "manage": frozenset(Permission),
}
"""What a grant is worth, in the words of the forms. Who manages could grant himself the rest."""


def access_of(permissions: frozenset[Permission]) -> str:
    if Permission.MANAGE in permissions:
        return "manage"
    return next((access for access, those in ACCESS.items() if those == permissions), "")


class Form:
    """`with form:` takes what a feature refuses to the fields that it is about; the page is then shown again."""

    def __init__(self, typed: Iterable[tuple[str, str]] = (), *, sent: bool = False) -> None:
        self._typed: dict[str, list[str]] = {}
        for name, value in typed:
            self._typed.setdefault(name, []).append(value)
        self.sent = sent
        self.errors: dict[str, str] = {}
        self.problem = ""

    @property
    def ok(self) -> bool:
        return not self.errors and not self.problem

    def get(self, name: str, otherwise: object = "") -> str:
        """What was typed; before anything was, what is there."""
        if self.sent:
            return self._typed.get(name, [""])[0]
        return "" if otherwise is None else str(otherwise)

    def has(self, name: str, value: str, otherwise: bool = False) -> bool:
        """Whether this box is checked, or this choice chosen."""
        return value in self._typed.get(name, ()) if self.sent else otherwise

    def all(self, name: str) -> list[str]:
        return self._typed.get(name, [])

    def text(self, name: str) -> str:
        return self.get(name).strip()

    def maybe(self, name: str) -> str | None:
        return self.text(name) or None

    def number(self, name: str, most: int, otherwise: str) -> int | None:
        """A whole number from 1; nothing typed is None. `otherwise` says what leaving it blank means."""
        text = self.text(name).replace(",", "")
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most:
            return int(text)
        self.wrong(name, f"Must be a whole number from 1 to {most:,}; leave it blank {otherwise}.")
        return None

    def size(self, name: str) -> int | None:
        """Bytes, from a number and its unit."""
        text, unit = self.text(name).replace(",", ""), UNITS.get(self.get(f"{name}_unit"), 1)
        if not text:
            return None
        try:
            size = Decimal(text[:40]) * unit
            if 1 <= size <= _MOST_BYTES:  # before int(), which would write out 1e999999999
                return int(size)
        except DecimalException:
            pass
        self.wrong(name, "Must be a number above 0; leave it blank for no limit.")
        return None

    def access(self, name: str) -> frozenset[Permission]:
        """What a grant is to be worth."""
        permissions = ACCESS.get(self.get(name))
        if permissions is None:
            self.wrong(name, "Choose what they may do.")
            return frozenset()
        return permissions

    def wrong(self, name: str, why: str) -> None:
        self.errors.setdefault(name, why)

    def refuse(self, error: HeadraceError) -> None:
        """Each reason to its field; what names none to the form as a whole."""
        for item in error.items:
            if item.field is not None:
                self.wrong(item.field.rpartition(".")[2], sentence(item.detail.removeprefix(f"{item.field} ")))
        if error.code in _FIELD_OF:
            self.wrong(_FIELD_OF[error.code], error.detail)
        elif not self.errors:
            self.problem = error.detail

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, _REFUSALS):
            self.refuse(error)
            return True
        return False


async def typed(request: Request) -> Form:
    """The form that was sent."""
    sent = await request.form()
    return Form(((name, value) for name, value in sent.multi_items() if isinstance(value, str)), sent=True)


def size_and_unit(size: int | None) -> tuple[str, str]:
    """Bytes as a number and the largest unit that shows them exactly."""
    if size is None:
        return "", "GiB"
    for unit, worth in reversed(UNITS.items()):
        shown = Decimal(size) / worth
        if size >= worth and shown * 1000 == int(shown * 1000):
            return f"{shown.normalize():f}", unit
    return str(size), "bytes"


def sentence(text: str) -> str:
    """With a capital at its begin and a full stop at its end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
