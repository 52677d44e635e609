"""Plots as SVG, readable on light and on dark pages: lines, bars side by side, and dots on a scale of tens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from pathlib import Path

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 36, 50, 55
STEPS = 5
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .grid { stroke: #ddd }
.line { fill: none; stroke-width: 2 } .one { stroke: #1f6feb } .two { stroke: #b35900; stroke-dasharray: 6 4 }
.small { font-size: 11px } .bar-one { fill: #1f6feb } .bar-two { fill: #d08a4a } .bar-three { fill: #9aa4ad }
.dot-one { fill: #1f6feb } .dot-two { fill: #1f6feb; opacity: .5 } .dot-three { fill: #b35900 } .dot-four { fill: #b35900; opacity: .5 }
@media (prefers-color-scheme: dark) {
  .dot-one, .dot-two { fill: #79b8ff } .dot-three, .dot-four { fill: #ffab70 }
  text { fill: #ccc } .grid { stroke: #444 } .one { stroke: #79b8ff } .two { stroke: #ffab70 }
  .bar-one { fill: #79b8ff } .bar-two { fill: #c07a3a } .bar-three { fill: #6e7780 }
}
"""
LOOKS = ("one", "two", "three", "four")
BAR = 14  # height
GROUP_GAP = 14
NAMES = 190  # width that the names of the groups need
LINE = 22  # height of a row of dots
WIDE_NAMES = 320

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[Point]


def draw(to: Path, title: str, *, across: str, up: str, lines: Sequence[Line]) -> None:
    """Both axes begin at 0; `across` and `up` name them. Up to two lines."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("\n".join(_elements(title, across, up, lines)) + "\n")


def _elements(title: str, across: str, up: str, lines: Sequence[Line]) -> Iterator[str]:
    step_x, step_y = (_step(max(point[axis] for line in lines for point in line.points)) for axis in (0, 1))
    yield from _beginning(title, HEIGHT, LEFT)
    for number in range(STEPS + 1):
        x, y = _place((number, number), STEPS, STEPS)
        yield f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{number * step_y:,g}</text>'
        yield f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number * step_x:,g}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>'
    yield f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    for number, (look, line) in enumerate(zip(LOOKS, lines, strict=False)):
        places = (_place(point, STEPS * step_x, STEPS * step_y) for point in line.points)
        yield f'<polyline class="line {look}" points="{" ".join(f"{x},{y}" for x, y in places)}"/>'
        x = LEFT + number * (WIDTH - LEFT - RIGHT) // 2
        yield f'<path class="line {look}" d="M{x} {TOP - 14}h24"/><text x="{x + 30}" y="{TOP - 10}">{escape(line.name)}</text>'
    yield "</svg>"


@dataclass(frozen=True)
class Bars:
    """One bar of each group: how long it is, and what is written behind it."""

    name: str
    lengths: Sequence[float]
    labels: Sequence[str]


def draw_bars(to: Path, title: str, *, groups: Sequence[str], bars: Sequence[Bars]) -> None:
    """Bars that lie, up to three in each group, with a line at 1."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("\n".join(_bar_elements(title, groups, bars)) + "\n")


def _bar_elements(title: str, groups: Sequence[str], bars: Sequence[Bars]) -> Iterator[str]:
    each = len(bars) * BAR + GROUP_GAP
    height = TOP + len(groups) * each + GROUP_GAP
    scale = (WIDTH - NAMES - 2 * RIGHT) / max(1, *(length for row in bars for length in row.lengths))
    yield from _beginning(title, height, GROUP_GAP)
    for number, (look, row) in enumerate(zip(LOOKS, bars, strict=False)):
        x = NAMES + number * 150
        yield f'<rect class="bar-{look}" x="{x}" y="{TOP - 22}" width="12" height="12"/>'
        yield f'<text x="{x + 18}" y="{TOP - 11}">{escape(row.name)}</text>'
        for place, (length, label) in enumerate(zip(row.lengths, row.labels, strict=True)):
            y, width = TOP + place * each + number * BAR, round(length * scale, 1)
            yield f'<rect class="bar-{look}" x="{NAMES}" y="{y}" width="{width}" height="{BAR - 2}"/>'
            yield f'<text class="small" x="{NAMES + width + 4}" y="{y + BAR - 4}">{escape(label)}</text>'
    for place, group in enumerate(groups):
        y = TOP + place * each + len(bars) * BAR / 2 + 4
        yield f'<text x="{NAMES - 8}" y="{y}" text-anchor="end">{escape(group)}</text>'
    yield f'<path class="grid" d="M{round(NAMES + scale, 1)} {TOP - 4}V{height - GROUP_GAP}"/>'
    yield "</svg>"


@dataclass(frozen=True)
class Dots:
    """One dot in each group, None where there is none."""

    name: str
    values: Sequence[float | None]


def draw_dots(title: str, *, groups: Sequence[str], rows: Sequence[Dots]) -> str:
    """A line for each group with up to four dots, on a scale where each step is ten times the one before."""
    return "\n".join(_dot_elements(title, groups, rows)) + "\n"


def _dot_elements(title: str, groups: Sequence[str], rows: Sequence[Dots]) -> Iterator[str]:
    height = TOP + len(groups) * LINE + BOTTOM
    known = [value for row in rows for value in row.values if value]
    least, most = floor(log10(min(known))), ceil(log10(max(known)))
    scale = (WIDTH - WIDE_NAMES - RIGHT) / (most - least)
    yield from _beginning(title, height, GROUP_GAP)
    for power in range(least, most + 1):
        x = round(WIDE_NAMES + (power - least) * scale, 1)
        yield f'<path class="grid" d="M{x} {TOP}V{height - BOTTOM}"/>'
        yield f'<text x="{x}" y="{height - BOTTOM + 18}" text-anchor="middle">{10**power:,g}</text>'
    for place, group in enumerate(groups):
        yield f'<text class="small" x="{WIDE_NAMES - 12}" y="{TOP + (place + 0.5) * LINE + 4}" text-anchor="end">{escape(group)}</text>'
    for number, (look, row) in enumerate(zip(LOOKS, rows, strict=False)):
        x = GROUP_GAP + number * (WIDTH - GROUP_GAP) // 4
        yield f'<circle class="dot-{look}" cx="{x + 5}" cy="{height - 16}" r="5"/>'
        yield f'<text x="{x + 16}" y="{height - 12}">{escape(row.name)}</text>'
        for place, value in enumerate(row.values):
            if value:
                x_of = round(WIDE_NAMES + (log10(value) - least) * scale, 1)
                yield f'<circle class="dot-{look}" cx="{x_of}" cy="{TOP + (place + 0.5) * LINE}" r="5"/>'
    yield "</svg>"


def _beginning(title: str, height: float, left: float) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    yield f"<style>{STYLE}</style>"
    yield f'<text class="title" x="{left}" y="20">{escape(title)}</text>'


def _step(most: float) -> float:
    """A round number, STEPS of which reach `most`."""
    power = 10 ** floor(log10(most / STEPS))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 10) if step * power * STEPS >= most)


def _place(point: Point, most_x: float, most_y: float) -> Point:
    x = LEFT + point[0] / most_x * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BOTTOM - point[1] / most_y * (HEIGHT - TOP - BOTTOM)
    return round(x, 1), round(y, 1)
