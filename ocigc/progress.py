"""The progress of a long call, and those who watch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ocigc.values import frozen


@frozen
class Progress:
    """How far a long call has come. Totals are 0 until they are known. `doing` may say what the call is doing now."""

    items: int
    bytes: int
    total_items: int
    total_bytes: int
    doing: str = ""


Report = Callable[[Progress], None]


class Watcher(Protocol):
    """Watches a call. It is called with the name of each long step, and returns None or a function, which is called
    with the step's progress. An exception that this function raises stops the call.
    """

    def __call__(self, step: str, /) -> Report | None: ...

    def note(self, message: str) -> None:
        """Gives the user a message that is not a failure."""


class Silent:
    """Ignores everything."""

    def __call__(self, _: str, /) -> Report | None:
        return None

    def note(self, message: str) -> None:
        """Ignores the message."""


class Quiet:
    """Shows the progress of a trial, and ignores its notes, as the run itself repeats them."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch

    def __call__(self, step: str, /) -> Report | None:
        return self._watch(step)

    def note(self, message: str) -> None:
        """Ignores the message."""


SILENT = Silent()
