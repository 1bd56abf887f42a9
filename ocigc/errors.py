"""The errors, by exit code. Every message is one line: what is wrong, where, and what to do.

Text from outside goes into a message through `printable`.
"""

from __future__ import annotations

from enum import Enum, auto


class Remedy(Enum):
    """What a caller can do about a failure. A message never names an option or a command; the command line adds it."""

    WAIT = auto()
    ALLOW_EMPTY = auto()
    OTHER_LEASE_ID = auto()
    OTHER_REPOSITORY = auto()
    REPAIR = auto()
    REPAIR_OR_REMOVE = auto()
    UNDO_RUN = auto()
    LIST_IMAGES = auto()
    LIST_IMAGES_BELOW = auto()
    LIST_LEASES = auto()
    LIST_TRASH = auto()
    EMPTY_TRASH = auto()
    NAME_SHARED_BLOBS = auto()


class Message(str):
    """A line for people, and what they can do about it."""

    remedy: Remedy | None

    def __new__(cls, text: str, remedy: Remedy | None = None) -> Message:
        message = super().__new__(cls, text)
        message.remedy = remedy
        return message


class OcigcError(Exception):
    """A failure that the command line shows as one line. `exit_code` is the process's."""

    exit_code = 3

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy

    @property
    def message(self) -> Message:
        """The line, and what to do."""
        return Message(str(self), self.remedy)


class UsageError(OcigcError):
    """Wrong usage, or a directory that is not a layout. Nothing was changed."""

    exit_code = 2


class NotALayout(UsageError):
    """A path that is not an image layout. `path` is as the user gave it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class CutOffArchive(NotALayout):
    """An archive that ends so early that it is unknown what it should contain."""


class Refused(OcigcError):
    """The run was refused or failed. Nothing was lost, and the message says what state the layout is in."""


class Busy(Refused):
    """Another run or another program has the lock."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Remedy.WAIT)


class MalformedError(Refused):
    """Content of the layout has the wrong form."""


class CorruptError(Refused):
    """Content of the layout does not have its digest."""


class Interrupted(KeyboardInterrupt):
    """A signal interrupted the run. The message says what state the layout is in."""

    def __init__(self, message: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.message = Message(message, remedy)


def printable(text: str) -> str:
    """Escapes every character that could change a terminal or forge a line of a log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
