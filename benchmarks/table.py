"""One table for all benchmarks, printed line by line as they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_WIDE = 46  # of the first column, and of the others
_NARROW = 15


@dataclass
class Table:
    """Prints what was measured, beside the budget, and counts what holds.

    Args:
        columns: The contenders by key, with the names to print.
        absent: The keys of those that are not installed.
    """

    columns: Mapping[str, str]
    absent: frozenset[str]
    met: int = 0
    missed: list[str] = field(default_factory=list)

    def head(self) -> None:
        self._print("", [*self.columns.values()], "budget")
        print("-" * (_WIDE + _NARROW * len(self.columns) + 30))

    def line(self, what: str, found: Mapping[str, float], budget: str = "", *, holds: bool | None = None) -> None:
        """Print one line.

        Args:
            what: What was measured, and its unit.
            found: The figures by contender.
            budget: What ours is held to, in words.
            holds: Whether it holds; None where there is no budget.
        """
        cells = [
            shown(found[key]) if key in found else "not installed" if key in self.absent else "-"
            for key in self.columns
        ]
        self._print(what, cells, budget if holds is None else f"{budget}: {'met' if holds else 'NOT met'}")
        self.met += bool(holds)
        if holds is False:
            self.missed.append(what.strip())

    def note(self, text: str) -> None:
        print(f"  {text}")

    def foot(self) -> None:
        total = self.met + len(self.missed)
        print(f"\n{self.met} of {total} budgets are met.", *(f"NOT met: {what}." for what in self.missed))

    def _print(self, what: str, cells: list[str], end: str) -> None:
        print(what.ljust(_WIDE) + "".join(cell.rjust(_NARROW) for cell in cells) + "   " + end, flush=True)


def shown(value: float) -> str:
    """A figure to three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
