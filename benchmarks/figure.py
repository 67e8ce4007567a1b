"""A figure: what was measured, what it is compared with, and whether the target holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Target(Protocol):
    def holds(self, value: float, reference: float | None, /) -> bool: ...

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AtLeast:
    """So much of the figure's unit."""

    least: float

    def holds(self, value: float, _reference: float | None, /) -> bool:
        return value >= self.least

    def __str__(self) -> str:
        return f"≥ {self.least:,g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """So much of the figure's unit."""

    most: float

    def holds(self, value: float, _reference: float | None, /) -> bool:
        return value <= self.most

    def __str__(self) -> str:
        return f"≤ {self.most:,g}"


@dataclass(frozen=True, slots=True)
class TimesAtLeast:
    """So many times the reference."""

    times: float

    def holds(self, value: float, reference: float | None, /) -> bool:
        return reference is not None and value >= self.times * reference

    def __str__(self) -> str:
        return f"≥ {self.times:g} ×"


@dataclass(frozen=True, slots=True)
class TimesAtMost:
    """So many times the reference, and `plus` of the figure's unit."""

    times: float
    plus: float = 0.0

    def holds(self, value: float, reference: float | None, /) -> bool:
        return reference is not None and value <= self.times * reference + self.plus

    def __str__(self) -> str:
        return f"≤ {self.times:g} ×" + (f" + {self.plus:g}" if self.plus else "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `row` is the group that `--only` names; `detail` goes into the JSON alone."""

    row: str
    name: str
    value: float
    unit: str
    against: str = ""
    reference: float | None = None
    target: Target | None = None
    orientation: str = ""
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.reference if self.reference else None

    @property
    def held(self) -> bool | None:
        """None where there is no target."""
        return None if self.target is None else self.target.holds(self.value, self.reference)
