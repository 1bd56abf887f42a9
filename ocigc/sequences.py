"""Sequences whose items are made when they are asked for, as there may be a million of them."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
from operator import eq
from typing import Generic, TypeVar, overload

T = TypeVar("T")
S = TypeVar("S")


class Lazy(Sequence[T]):
    """A sequence that has a length, and makes the item at a position. It equals any sequence of equal items."""

    @abstractmethod
    def _make(self, place: int) -> T:
        """The item at a place: 0 .. len - 1."""

    @overload
    def __getitem__(self, place: int, /) -> T: ...

    @overload
    def __getitem__(self, place: slice, /) -> Sequence[T]: ...

    def __getitem__(self, place: int | slice, /) -> T | Sequence[T]:
        places = range(len(self))
        return list(map(self._make, places[place])) if isinstance(place, slice) else self._make(places[place])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


class Slices(Lazy[Sequence[T]]):
    """The parts of one sequence; part n begins at starts[n] and ends before starts[n + 1]."""

    def __init__(self, items: Sequence[T], starts: Sequence[int]) -> None:
        self._all = items
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _make(self, place: int) -> Sequence[T]:
        return self._all[self._starts[place] : self._starts[place + 1]]


class Mapped(Lazy[T], Generic[S, T]):
    """The results of a function for each item of another sequence."""

    def __init__(self, make: Callable[[S], T], items: Sequence[S]) -> None:
        self._item = make
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def _make(self, place: int) -> T:
        return self._item(self._items[place])

    def __iter__(self) -> Iterator[T]:
        return map(self._item, self._items)


class Joined(Lazy[T]):
    """Several sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _make(self, place: int) -> T:
        part = bisect_right(self._ends, place)
        return self._parts[part][place - self._ends[part]]

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._parts)
