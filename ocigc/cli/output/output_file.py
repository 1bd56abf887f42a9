"""`--output`: a file that is there whole or not at all, and that never takes the place of something else."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from ocigc.errors import Refused, UsageError
from ocigc.layout import dirfd
from ocigc.printable import printable


class OutputFile:
    """The file of that path, or standard output for `-`. The run confines itself before it knows what to write: the
    open directories `directories` have to stay writable.
    """

    def __init__(self, path: str, mark: bytes) -> None:
        """Only a file that begins with `mark` is ever replaced. Raises UsageError where none can be written."""
        self._shown = printable(path)
        self._mark = mark
        self._name = os.path.basename(path)
        self.directories: list[int] = []
        if path == "-":
            return
        if not self._name:
            raise UsageError(f"--output {self._shown}: a file is wanted, not a directory")
        try:
            parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            raise UsageError(f"--output {self._shown}: {reason}: its directory has to be there") from None
        self.directories.append(parent)
        try:
            self._replaceable(parent)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the directory."""
        while self.directories:
            with suppress(OSError):
                os.close(self.directories.pop())

    def _replaceable(self, parent: int) -> None:
        try:
            with open(dirfd.open_plain(parent, self._name), "rb") as file:
                ours = file.read(len(self._mark)) == self._mark
        except FileNotFoundError:
            return
        except (OSError, Refused) as error:
            reason = getattr(error, "strerror", None) or "not a plain file"
            raise UsageError(f"--output {self._shown}: {reason}; name another file") from None
        if not ours:
            raise UsageError(f"--output {self._shown}: this file holds something else; name another, or remove it")

    def write(self, content: bytes) -> None:
        """Writes the file, at once or not at all. Raises Refused and UsageError."""
        if not self.directories:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        (parent,) = self.directories
        self._replaceable(parent)
        try:
            dirfd.replace(parent, self._name, content)
        except OSError as error:
            raise Refused(
                f"--output {self._shown}: {error.strerror or error}; the page is not there, or not for long"
            ) from None
