"""Whoever watches a long call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long call is; totals are 0 until they are known. `doing` may say what it is at just now."""

    items: int
    bytes: int
    total_items: int
    total_bytes: int
    doing: str = ""


Report = Callable[[Progress], None]


class Watcher(Protocol):
    """Told what a call is at. Called with the name of each long step, it gives what is to be called with the step's
    progress, or None; what that raises stops the call.
    """

    def __call__(self, step: str, /) -> Report | None: ...

    def note(self, message: str) -> None:
        """Something that a person should know, though it is no failure."""


class Silent:
    """Watches nothing."""

    def __call__(self, _: str, /) -> Report | None:
        return None

    def note(self, message: str) -> None:
        """Is not told to anybody."""


class Quiet:
    """Shows the progress of a first look or a trial, and leaves its notes to the run itself."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch

    def __call__(self, step: str, /) -> Report | None:
        return self._watch(step)

    def note(self, message: str) -> None:
        """Is told when it counts."""


SILENT = Silent()
