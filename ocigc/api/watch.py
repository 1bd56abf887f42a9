"""Whoever watches a long call."""

from __future__ import annotations

from typing import Protocol

from ocigc.native import Report


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


SILENT = Silent()
