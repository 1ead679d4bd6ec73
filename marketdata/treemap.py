"""A squarified treemap: rectangles whose areas are the weights, as square as can be. Pure.

After Bruls, Huizing and van Wijk (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of item `place`, in the units of the whole."""

    place: int
    x: float
    y: float
    width: float
    height: float


def squarify(
    weights: Sequence[float], *, x: float, y: float, width: float, height: float
) -> list[Box]:
    """One box for each weight above zero, largest first, together filling the rectangle."""
    order = sorted((w, -i) for i, w in enumerate(weights) if w > 0)[::-1]
    total = sum(w for w, _ in order)
    if not order or width <= 0 or height <= 0:
        return []
    scale = width * height / total
    boxes: list[Box] = []
    row: list[tuple[float, int]] = []
    for weight, negative in order:
        item = (weight * scale, -negative)
        side = min(width, height)
        if row and _worst([*row, item], side) > _worst(row, side):
            boxes += _lay(row, x, y, width, height)
            x, y, width, height = _rest(row, x, y, width, height)
            row = []
        row.append(item)
    return boxes + _lay(row, x, y, width, height)


def _worst(row: Sequence[tuple[float, int]], side: float) -> float:
    """The largest ratio of long to short side that the row would have along `side`."""
    total = sum(area for area, _ in row)
    largest, smallest = max(row)[0], min(row)[0]
    return max(side * side * largest / total**2, total**2 / (side * side * smallest))


def _lay(
    row: Sequence[tuple[float, int]], x: float, y: float, width: float, height: float
) -> list[Box]:
    """The row's boxes along the shorter side of what is left."""
    total = sum(area for area, _ in row)
    boxes = []
    if width >= height:
        across = total / height
        for area, place in row:
            boxes.append(Box(place, x, y, across, area / across))
            y += area / across
    else:
        across = total / width
        for area, place in row:
            boxes.append(Box(place, x, y, area / across, across))
            x += area / across
    return boxes


def _rest(
    row: Sequence[tuple[float, int]], x: float, y: float, width: float, height: float
) -> tuple[float, float, float, float]:
    total = sum(area for area, _ in row)
    if width >= height:
        across = total / height
        return x + across, y, width - across, height
    across = total / width
    return x, y + across, width, height - across
