"""A file that an option names. It is written whole or not at all, and never replaces a file of another kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from ocigc.closing import Closing
from ocigc.errors import Refused, UsageError, printable
from ocigc.layout.dirfd import Dir


class OutputFile(Closing):
    """The file at a path, or standard output for `-`. The run gives up rights before it knows what to write, so the
    open directories `directories` must stay writable.
    """

    def __init__(self, path: str, mark: bytes, option: str = "--output") -> None:
        """Only a file that begins with `mark` is ever replaced; `option` is for messages. Raises UsageError where no
        such file can be written."""
        self._shown = f"{option} {printable(path)}"
        self._mark = mark
        self._name = os.path.basename(path)
        self._parent: Dir | None = None
        if path == "-":
            return
        if not self._name:
            raise UsageError(f"{self._shown}: expected a file, not a directory")
        try:
            self._parent = Dir.at(os.path.dirname(path) or ".")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            raise UsageError(f"{self._shown}: {reason}: its directory must exist") from None
        try:
            self._replaceable(self._parent)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the directory."""
        if self._parent is not None:
            self._parent.close()

    @property
    def directories(self) -> list[int]:
        """The descriptor of its directory, if it has one."""
        return [] if self._parent is None else [self._parent.fd]

    def _replaceable(self, parent: Dir) -> None:
        try:
            with open(parent.open_plain(self._name), "rb") as file:
                ours = file.read(len(self._mark)) == self._mark
        except FileNotFoundError:
            return
        except (OSError, Refused) as error:
            reason = getattr(error, "strerror", None) or "not a plain file"
            raise UsageError(f"{self._shown}: {reason}; name another file") from None
        if not ours:
            raise UsageError(f"{self._shown}: this file has other content; name another, or remove it")

    def write(self, content: bytes) -> None:
        """Writes the file atomically. Raises Refused and UsageError."""
        self.write_pieces((content,))

    def write_pieces(self, content: Iterable[bytes]) -> None:
        """The same, piece by piece."""
        if self._parent is None:
            sys.stdout.buffer.writelines(content)
            sys.stdout.buffer.flush()
            return
        self._replaceable(self._parent)
        try:
            self._parent.replace_pieces(self._name, content)
        except OSError as error:
            raise Refused(f"{self._shown}: {error.strerror or error}; nothing was written there") from None
