"""Accuracy matrices as SVG: a number in each cell, darker for higher."""

from collections.abc import Sequence

_CELL = (44, 26)
_LEFT, _TOP = 62, 40


def heat_map(matrix: Sequence[Sequence[float | None]]) -> str:
    """Row = after task, column = task, per cent. Tasks count from 1 and stand in numeric order."""
    size = len(matrix)
    width, height = _LEFT + size * _CELL[0] + 6, _TOP + size * _CELL[1] + 6
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="accuracy in per cent after each task, on each task" xmlns="http://www.w3.org/2000/svg">',
        f'<text x="{_LEFT + size * _CELL[0] / 2:.0f}" y="13" text-anchor="middle">test images of task</text>',
        f'<text x="4" y="{_TOP - 8}">after</text>',
    ]
    for i, row in enumerate(matrix):
        middle = _TOP + i * _CELL[1] + _CELL[1] / 2 + 4
        parts.append(f'<text x="{_LEFT - 8}" y="{middle:.0f}" text-anchor="end">task {i + 1}</text>')
        across = _LEFT + i * _CELL[0] + _CELL[0] / 2
        parts.append(f'<text x="{across:.0f}" y="{_TOP - 8}" text-anchor="middle">{i + 1}</text>')
        parts += [_cell(i, j, value) for j, value in enumerate(row)]
    return "".join([*parts, "</svg>"])


def _cell(row: int, column: int, value: float | None) -> str:
    x, y = _LEFT + column * _CELL[0], _TOP + row * _CELL[1]
    share = 0.0 if value is None else min(1.0, max(0.0, value / 100))
    red, green, blue = (round(255 - share * depth) for depth in (230, 190, 130))
    shown = "-" if value is None else f"{value:.1f}"
    ink = "#fff" if share > 0.55 else "#000"
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL[0] - 1}" height="{_CELL[1] - 1}" fill="rgb({red},{green},{blue})" '
        f'stroke="#999" stroke-width=".5"/><text x="{x + _CELL[0] / 2:.0f}" y="{y + _CELL[1] / 2 + 4:.0f}" '
        f'text-anchor="middle" style="fill:{ink}">{shown}</text>'
    )
