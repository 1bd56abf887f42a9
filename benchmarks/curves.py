"""Curves over two logarithmic axes, as an SVG that reads on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 470
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 60, 50
COLOURS = ("#2f6fde", "#12856a", "#8a4fd0", "#8a8f98", "#b0752a", "#cc3d3d")
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .faint { fill: #6e7781 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .grid { stroke: #3d444d } .faint { fill: #9198a1 } }
"""


@dataclass(frozen=True)
class Curve:
    """A line through points (x, y), all of them positive."""

    name: str
    points: Sequence[tuple[float, float]]


def _decades(values: Sequence[float]) -> list[int]:
    """The exponents of the powers of ten from below the values to above them."""
    return list(range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1))


def _power(exponent: int) -> str:
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:g}"


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """The same places, moved down as far as it takes for none to lie on another."""
    moved: dict[int, float] = {}
    last = -math.inf
    for number in sorted(range(len(places)), key=lambda number: places[number]):
        last = moved[number] = max(places[number], last + gap)
    return [moved[number] for number in range(len(places))]


def draw(title: str, subtitle: str, curves: Sequence[Curve]) -> str:
    """The picture. Each curve has its name at its right end."""
    across = _decades([x for curve in curves for x, _ in curve.points])
    up = _decades([y for curve in curves for _, y in curve.points])

    def place(x: float, y: float) -> tuple[float, float]:
        right = (math.log10(x) - across[0]) / (across[-1] - across[0])
        above = (math.log10(y) - up[0]) / (up[-1] - up[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - above * (HEIGHT - TOP - BOTTOM)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT}" y="24">{escape(title)}</text>',
        f'<text x="{LEFT}" y="42" class="faint">{escape(subtitle)}</text>',
    ]
    for exponent in across:
        x, bottom = place(10.0**exponent, 10.0 ** up[0])
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom:.1f}"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 22:.1f}" text-anchor="middle">{_power(exponent)}</text>')
    for exponent in up:
        left, y = place(10.0 ** across[0], 10.0**exponent)
        lines.append(f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{_power(exponent)}</text>')
    ends = _apart([place(*curve.points[-1])[1] for curve in curves], 17)
    for number, (curve, end) in enumerate(zip(curves, ends, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        x = place(*curve.points[-1])[0] + 10
        lines.append(f'<text x="{x:.1f}" y="{end + 4:.1f}" style="fill: {colour}">{escape(curve.name)}</text>')
    return "\n".join([*lines, "</svg>", ""])
