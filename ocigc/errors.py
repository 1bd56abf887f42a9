"""What can go wrong, by exit code. Every message is one line: what is wrong, where, and what to do.

Text from outside goes into a message through `printable`.
"""

from __future__ import annotations


class OcigcError(Exception):
    """A failure that the command line shows as one line. `exit_code` is the process's."""

    exit_code = 3


class UsageError(OcigcError):
    """Wrong usage, or a directory that is no layout. Nothing was changed."""

    exit_code = 2


class NotALayout(UsageError):
    """A path that is not an image layout. `path` is as it was given."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class CutOffArchive(NotALayout):
    """An archive that ends too soon, before anything tells what it should have."""


class Refused(OcigcError):
    """The run was refused or failed; nothing was lost, and the message says what stands where."""


class Busy(Refused):
    """Another run, or another program, has the lock."""


class MalformedError(Refused):
    """Content of the layout that is not what it has to be."""


class CorruptError(Refused):
    """Content of the layout that is not what its digest says."""


class Interrupted(KeyboardInterrupt):
    """Interrupted by a signal; the message says what stands where."""


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could take for more than a character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
