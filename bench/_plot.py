"""A plot of lines as SVG, readable on light and on dark pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from pathlib import Path

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 36, 50, 55
STEPS = 5
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .grid { stroke: #ddd }
.line { fill: none; stroke-width: 2 } .one { stroke: #1f6feb } .two { stroke: #b35900; stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #ccc } .grid { stroke: #444 } .one { stroke: #79b8ff } .two { stroke: #ffab70 }
}
"""
LOOKS = ("one", "two")

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
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    yield f"<style>{STYLE}</style>"
    yield f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>'
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


def _step(most: float) -> float:
    """A round number, STEPS of which reach `most`."""
    power = 10 ** floor(log10(most / STEPS))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 10) if step * power * STEPS >= most)


def _place(point: Point, most_x: float, most_y: float) -> Point:
    x = LEFT + point[0] / most_x * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BOTTOM - point[1] / most_y * (HEIGHT - TOP - BOTTOM)
    return round(x, 1), round(y, 1)
