"""How a store grows: the estimate, and few points out of many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.inspect.growth import DAY, Point, fit, largest, thinned, together

NOW = 20_000 * DAY


def line(days: int, per_day: int, start: int = 1000) -> list[Point]:
    return [Point(NOW - (days - n) * DAY, start + n * per_day, {}) for n in range(days + 1)]


def test_a_line_is_found_and_the_disk_is_full_when_it_meets_it() -> None:
    found = fit(line(10, 50), NOW, free=500)
    assert found is not None
    assert found.slope == pytest.approx(50)
    assert found.size == pytest.approx(1500)
    assert found.full == pytest.approx(NOW + 10 * DAY)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([], "nothing"),
        (line(3, 50), "four points"),
        ([Point(NOW - n * DAY // 100, 100 + n, {}) for n in range(50)], "half a day"),
        ([Point(point.time - 200 * DAY, point.size, {}) for point in line(30, 50)], "long ago"),
    ],
)
def test_too_little_is_no_estimate(points: list[Point], why: str) -> None:
    assert fit(sorted(points, key=lambda point: point.time), NOW, free=1) is None, why


@pytest.mark.parametrize(("per_day", "free"), [(-50, 500), (0, 500), (50, None), (1, 10**9)])
def test_a_disk_that_is_not_filled_has_no_date(per_day: int, free: int | None) -> None:
    found = fit(line(10, per_day, start=10**6), NOW, free)
    assert found is not None
    assert found.full is None


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=300), st.integers(1, 50))
def test_thinned_keeps_the_last_and_not_more_than_asked_for(times: list[int], most: int) -> None:
    points = [Point(time, 1, {}) for time in sorted(times)]
    found = thinned(points, most)
    assert len(found) <= max(most, 0)
    assert found[-1:] == points[-1:]
    assert [point.time for point in found] == sorted({point.time for point in found})


def test_several_stores_are_added_up_as_they_were_known() -> None:
    found = together([[Point(1, 10, {"a": 10}), Point(3, 20, {"a": 20})], [Point(2, 5, {"a": 1, "b": 4})]])
    assert [(point.time, point.size, dict(point.repositories)) for point in found] == [
        (1, 10, {"a": 10}),
        (2, 15, {"a": 11, "b": 4}),
        (3, 25, {"a": 21, "b": 4}),
    ]


def test_the_largest_at_the_end_come_first() -> None:
    points = [Point(1, 0, {"gone": 100, "now": 1}), Point(2, 0, {"now": 5, "big": 7})]
    assert largest(points, 2) == ["big", "now"]
    assert largest(points, 5) == ["big", "now", "gone"]
    assert largest([], 5) == []
