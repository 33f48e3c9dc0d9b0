"""A small line plot as SVG: logarithmic to the right, linear and from zero upwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 48, 56
_COLOURS = ("#1f5fa8", "#c2571a", "#3a7d44")


class Line(NamedTuple):
    """One line: x → samples; the median is drawn, with a bar from the least to the greatest."""

    name: str
    points: Mapping[int, Sequence[float]]


def plot(*, title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """The whole SVG document."""
    xs = sorted({x for line in lines for x in line.points})
    step = _step(max(max(samples) for line in lines for samples in line.points.values()))
    top = step * math.ceil(max(max(s) for line in lines for s in line.points.values()) / step)

    def at_x(x: float) -> float:
        share = (math.log(x) - math.log(xs[0])) / (math.log(xs[-1]) - math.log(xs[0]))
        return _LEFT + 16 + share * (_WIDTH - _LEFT - _RIGHT - 32)

    def at_y(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>',
        f'<text transform="translate(16 {_HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>',
    ]
    for number in range(round(top / step) + 1):
        y = at_y(number * step)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>')
    for tick in xs:
        parts.append(f'<text x="{at_x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:,}</text>')
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(at_x(x), at_y(median(samples)), samples) for x, samples in sorted(line.points.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, samples in places:
            low, high = at_y(min(samples)), at_y(max(samples))
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        key_y = 40
        key_x = _LEFT + 16 + number * 120
        parts.append(f'<circle cx="{key_x}" cy="{key_y - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{key_x + 10}" y="{key_y}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def grid(plots: Sequence[str]) -> str:
    """Several plots in one document, two in a row."""
    rows = math.ceil(len(plots) / 2)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {rows * _HEIGHT}">']
    for number, drawing in enumerate(plots):
        place = f'x="{number % 2 * _WIDTH}" y="{number // 2 * _HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        parts.append(drawing.rstrip().replace("<svg ", f"<svg {place} ", 1))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _step(greatest: float) -> float:
    """A round distance between grid lines, for 4 to 8 of them."""
    rough = greatest / 5
    size = 10 ** math.floor(math.log10(rough))
    return float(next(size * factor for factor in (1, 2, 5, 10) if rough <= size * factor))
