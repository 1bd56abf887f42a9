"""Values against dataclasses, which they stand for."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from ocigc.plain import plain, restored
from ocigc.values import field, frozen, replace


@frozen
class Point:
    """A place."""

    x: int
    y: int = 7
    names: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Of both."""
        return self.x + self.y


@frozen
class One:
    x: int


@frozen
class Nothing:
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Same:
    x: int
    y: int = 7
    names: Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_they_are_made_and_compared_as_dataclasses_are() -> None:
    for arguments, named in [((1,), {}), ((1, 2), {}), ((), {"y": 3, "x": 4}), ((5,), {"names": {"a": 1}})]:
        ours, theirs = Point(*arguments, **named), Same(*arguments, **named)  # type: ignore[arg-type]
        assert (ours.x, ours.y, ours.names) == (theirs.x, theirs.y, theirs.names)
        assert repr(ours) == repr(theirs).replace("Same", "Point")
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)  # type: ignore[call-overload]
    assert Point(1) == Point(1, 7) != Point(2)
    assert Point(1) != Same(1)
    assert Point(1).names is not Point(1).names
    assert hash(One(1)) == hash(One(1))
    assert len({One(1), One(1), One(2), Nothing(), Nothing()}) == 3
    assert Point(1).total == 8
    assert Point.__doc__ == "A place."


@pytest.mark.parametrize("arguments", [(), (1, 2, {}, 4)])
def test_they_take_just_their_fields(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)


def test_they_do_not_change() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="cannot change field 'x' of Point"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2  # type: ignore[attr-defined]
    assert not hasattr(point, "__dict__")


def test_they_are_replaced_copied_and_sent() -> None:
    point = Point(1, 2, {"a": 3})
    for each in (replace, dataclasses.replace):
        assert each(point, y=5) == Point(1, 5, {"a": 3})  # type: ignore[type-var]
        with pytest.raises(TypeError):
            each(point, z=5)  # type: ignore[type-var]
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    assert replace(Same(1), x=2) == Same(2)
    assert restored(Point, plain(point)) == point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
