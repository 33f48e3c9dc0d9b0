"""A measured figure, what it is held against, its target, and the table that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound for the median: of the figure, or of its ratio where it is held against something."""

    limit: float
    at_least: bool = False
    """``False``: at most."""
    because: str = ""
    """Where the limit comes from, in few words."""

    def verdict(self, value: float) -> str:
        """``met``, or by how much it was missed."""
        miss = (self.limit - value if self.at_least else value - self.limit) / self.limit
        return "met" if miss <= 0 else f"missed by {miss * 100:.0f} %"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: the samples of one thing measured, one per round."""

    name: str
    unit: str
    samples: Sequence[float]
    against: Sequence[float] | None = None
    """The same thing in the same rounds, of the peer or of whatever ``name`` says; the target is for the ratio."""
    target: Target | None = None

    @property
    def ratios(self) -> list[float]:
        """Round by round, so that what disturbs one round disturbs both sides of it."""
        return [] if self.against is None else [a / b for a, b in zip(self.samples, self.against, strict=True)]

    @property
    def verdict(self) -> str:
        """``""`` where there is no target."""
        return self.target.verdict(median(self.ratios or self.samples)) if self.target else ""

    def as_json(self) -> dict[str, object]:
        target: dict[str, object] | None = None
        if self.target:
            target = {
                "limit": self.target.limit,
                "is": "at least" if self.target.at_least else "at most",
                "of": "median ratio" if self.against is not None else "median",
                "because": self.target.because,
                "verdict": self.verdict,
            }
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _summary(self.samples),
            "against": None if self.against is None else _summary(self.against),
            "ratio": None if self.against is None else _summary(self.ratios),
            "target": target,
        }


def at_most(limit: float, because: str = "") -> Target:
    return Target(limit=limit, because=because)


def at_least(limit: float, because: str = "") -> Target:
    return Target(limit=limit, at_least=True, because=because)


def table(title: str, figures: Sequence[Figure]) -> str:
    """All rows in columns: median, with the range in brackets where there was more than one round."""
    rows = [(f"{title}: figure", "ours", "against", "ratio", "target", "")]
    for figure in figures:
        target = ""
        if figure.target:
            sign = "≥" if figure.target.at_least else "≤"
            unit = "x" if figure.against is not None else figure.unit
            because = f", {figure.target.because}" if figure.target.because else ""
            target = f"{sign} {_number(figure.target.limit)} {unit}{because}"
        against = "" if figure.against is None else _cell(figure.against, figure.unit)
        ratio = _cell(figure.ratios, "x") if figure.ratios else ""
        rows.append((figure.name, _cell(figure.samples, figure.unit), against, ratio, target, figure.verdict))
    kept = [number for number in range(6) if any(row[number] for row in rows[1:])]
    widths = {number: max(len(row[number]) for row in rows) for number in kept}
    lines = ["  ".join(f"{row[number]:<{widths[number]}}" for number in kept).rstrip() for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _cell(samples: Sequence[float], unit: str) -> str:
    text = f"{_number(median(samples))} {unit}"
    return f"{text} ({_number(min(samples))}..{_number(max(samples))})" if len(samples) > 1 else text


def _summary(samples: Sequence[float]) -> dict[str, object]:
    return {"median": median(samples), "min": min(samples), "max": max(samples), "samples": list(samples)}


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"
