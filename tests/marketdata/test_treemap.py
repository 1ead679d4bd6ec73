"""A treemap fills its rectangle by weight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.treemap import squarify

WEIGHTS = st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=60)


@given(WEIGHTS)
def test_areas_are_the_weights(weights: list[float]) -> None:
    boxes = squarify(weights, x=0, y=0, width=1000, height=480)
    assert sorted(box.place for box in boxes) == list(range(len(weights)))
    total = sum(weights)
    for box in boxes:
        share = weights[box.place] / total * 1000 * 480
        assert box.width * box.height == pytest.approx(share, rel=1e-6)


@given(WEIGHTS)
def test_boxes_stay_inside_and_apart(weights: list[float]) -> None:
    boxes = squarify(weights, x=0, y=0, width=1000, height=480)
    for box in boxes:
        assert box.x >= -1e-6
        assert box.y >= -1e-6
        assert box.x + box.width <= 1000 + 1e-6
        assert box.y + box.height <= 480 + 1e-6
    for one in boxes[:12]:
        for other in boxes[:12]:
            if one is other:
                continue
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert across <= 1e-6 or down <= 1e-6


def test_nothing_to_show_is_an_empty_map() -> None:
    assert squarify([], x=0, y=0, width=10, height=10) == []
    assert squarify([0, 0], x=0, y=0, width=10, height=10) == []
