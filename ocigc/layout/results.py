"""What came of work on several layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Results(Generic[T]):
    """What came of each layout, by its path below the root, and what went wrong, each beginning with such a path; both
    in the order of the paths.
    """

    values: Sequence[tuple[str, T]]
    errors: Sequence[str]
    interrupted: bool = False
