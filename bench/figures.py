"""A measured figure, its target, and the table that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound for the median."""

    limit: float
    at_least: bool = False
    """``False``: at most."""
    because: str = ""
    """Where the limit comes from, in few words."""

    def verdict(self, value: float) -> str:
        """``met``, or by how much it was missed."""
        if self.limit == 0:
            return "met" if value <= 0 else f"missed by {value:g}"
        miss = (self.limit - value if self.at_least else value - self.limit) / self.limit
        return "met" if miss <= 0 else f"missed by {miss * 100:.0f} %"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: the samples of one thing measured."""

    name: str
    unit: str
    samples: Sequence[float]
    """One per round."""
    target: Target | None = None

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def verdict(self) -> str:
        """``""`` where there is no target."""
        return self.target.verdict(self.value) if self.target else ""

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.value,
            "min": min(self.samples),
            "max": max(self.samples),
            "samples": list(self.samples),
            "target": None if self.target is None else self.target.limit,
            "target_is": None if self.target is None else ("at least" if self.target.at_least else "at most"),
            "because": self.target.because if self.target else "",
            "verdict": self.verdict,
        }


def at_most(limit: float, because: str = "") -> Target:
    return Target(limit=limit, because=because)


def at_least(limit: float, because: str = "") -> Target:
    return Target(limit=limit, at_least=True, because=because)


def ratio(name: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> Figure:
    """Round by round, so that what disturbs one round disturbs both sides of it."""
    return Figure(name=name, unit="x", samples=[a / b for a, b in zip(ours, theirs, strict=True)], target=target)


def table(title: str, figures: Sequence[Figure]) -> str:
    """All rows in columns; the range is given where there was more than one round."""
    rows = [(f"{title}: figure", "median", "min..max", "target", "")]
    for figure in figures:
        spread = f"{_number(min(figure.samples))}..{_number(max(figure.samples))}" if len(figure.samples) > 1 else ""
        target = ""
        if figure.target:
            sign = "≥" if figure.target.at_least else "≤"
            because = f" ({figure.target.because})" if figure.target.because else ""
            target = f"{sign} {_number(figure.target.limit)}{because}"
        rows.append((figure.name, f"{_number(figure.value)} {figure.unit}", spread, target, figure.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
