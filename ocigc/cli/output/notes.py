"""Notes and errors about the layouts of a tree. Those that differ only in the layout become one line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from ocigc.cli import log
from ocigc.cli.output.terminal import ProgressLine
from ocigc.errors import Message
from ocigc.progress import Report

_SHOWN = 3
"""How many layouts one line names. Messages are joined only if they come from more layouts than that."""


def grouped(messages: Iterable[str], root: str) -> list[str]:
    """The messages, each of which begins with the path of a layout, with the `root` of the tree or below it. Those that
    differ in nothing else become one, in place of the first.
    """
    groups: dict[tuple[str, object], list[str]] = {}
    for message in messages:
        _, text = _parts(message, root)
        groups.setdefault((text, getattr(message, "remedy", None)), []).append(message)
    return [line for (text, _), group in groups.items() for line in _as_one(group, text, root)]


def _parts(message: str, root: str) -> tuple[str, str]:
    """The path of the layout, below the root, and what is said of it."""
    name, colon, text = message.removeprefix(_below(root)).partition(": ")
    return (name, text) if colon else ("", message)


def _below(root: str) -> str:
    """What the paths of its layouts begin with in messages."""
    root = os.path.normpath(root)
    return "" if root == "." else f"{root}/"


def _as_one(messages: list[str], text: str, root: str) -> list[str]:
    if len(messages) <= _SHOWN:
        return messages
    names = ", ".join(_parts(each, root)[0] for each in messages[:_SHOWN])
    remedy = getattr(messages[0], "remedy", None)
    return [Message(f"{root}: {len(messages):,} layouts ({names}, …): {text}", remedy)]


class GroupedNotes:
    """Watches a run over the layouts of these `names` below a root. Their notes are printed together and in order when
    `tell` is called; with `whole`, each note is a line of its own.
    """

    def __init__(self, progress: ProgressLine, root: str, names: Collection[str], *, whole: bool) -> None:
        self._progress = progress
        self._root = root
        self._names = frozenset(names)
        self._whole = whole
        self._kept: list[str] = []

    def __call__(self, step: str, /) -> Report | None:
        return self._progress(step)

    def note(self, message: str) -> None:
        """Keeps a note about a layout for later; prints any other at once."""
        if _parts(message, self._root)[0] in self._names:
            self._kept.append(message)
        else:
            self._progress.note(message)

    def tell(self) -> None:
        """Prints the notes that were kept."""
        kept, self._kept = sorted(self._kept), []
        for message in kept if self._whole else grouped(kept, self._root):
            self._progress.note(message)


def log_errors(errors: Iterable[str], root: str, *, whole: bool = False) -> None:
    """Prints why layouts of a tree failed; with `whole`, each on a line of its own."""
    for error in errors if whole or not log.for_people() else grouped(errors, root):
        log.error(error)
