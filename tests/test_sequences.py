"""Sequences whose items are made when they are asked for."""

from __future__ import annotations

import pytest

from ocigc.sequences import Joined, Mapped


def test_an_item_is_made_when_it_is_asked_for() -> None:
    made = []
    doubled = Mapped(lambda each: made.append(each) or 2 * each, range(1_000_000))  # type: ignore[func-returns-value]
    assert doubled[7] == 14
    assert doubled[-1] == 1_999_998
    assert doubled[2:4] == [4, 6]
    assert len(doubled) == 1_000_000
    assert made == [7, 999_999, 2, 3]
    with pytest.raises(IndexError):
        doubled[1_000_000]


@pytest.mark.parametrize("parts", [[], [[]], [[1, 2], [], [3]], [[], [1], [2, 3, 4], []]])
def test_joined_sequences_are_one(parts: list[list[int]]) -> None:
    joined, whole = Joined(parts), [each for part in parts for each in part]
    assert joined == whole
    assert list(joined) == whole
    assert list(reversed(joined)) == whole[::-1]
    assert [joined[place] for place in range(-len(whole), len(whole))] == whole * 2
    assert joined[1:3] == whole[1:3]
    assert joined != [*whole, 0]
    assert joined != 0
    with pytest.raises(IndexError):
        joined[len(whole)]
