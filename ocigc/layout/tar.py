"""Tar archives: their members, one after the other, as tar would unpack them.

It reads the formats ustar, GNU (long names) and pax, but not sparse members. Nothing is unpacked. The standard
library's `tarfile` takes ten times as long for small members, and keeps a kilobyte of memory for each.

Sources: POSIX pax(1), "ustar Interchange Format" and "pax Extended Header"; GNU tar's manual, "Basic Tar Format"; for
members without content, Go's `archive/tar`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from struct import Struct
from typing import IO

from ocigc.errors import MalformedError, printable
from ocigc.times import SECOND
from ocigc.values import frozen

BLOCK = 512
"""Bytes: headers and contents begin at multiples of it."""

_HEADER = Struct("100s24x12s12s8s1s100s8s80x155s12x")  # name, size, mtime, checksum, type, link, magic, prefix
_ZEROS = bytes(BLOCK)
_NAME, _MODE = 100, 108  # where these fields of a header end
_EXTENSION_LIMIT = 1 << 20  # bytes of a long name, or of pax records
_CHUNK = 1 << 18
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=]+)=")
_SECONDS = re.compile(rb"(-)?([0-9]{1,18})(?:\.([0-9]*))?")


class NotATar(MalformedError):
    """A file that does not begin like an archive."""


class Kind(Enum):
    """What a member is."""

    FILE = auto()
    DIRECTORY = auto()
    LINK = auto()
    """A hard link to an earlier member."""
    SYMLINK = auto()
    SPECIAL = auto()
    """A device or a fifo."""


_KINDS = {b"1": Kind.LINK, b"2": Kind.SYMLINK, b"5": Kind.DIRECTORY, b"D": Kind.DIRECTORY}
_KINDS |= dict.fromkeys((b"3", b"4", b"6"), Kind.SPECIAL)


@frozen
class Member:
    """A member, with its name as the archive has it. Its content is the `size` bytes of the archive from `start` on;
    `modified` is an instant. A link has a `target`.
    """

    name: str
    kind: Kind
    start: int
    size: int
    modified: int
    target: str


class Tar:
    """An archive, read from its beginning. Iterating gives the members; between two of them, `read` gives the content
    of the first.

    `trouble` says how the archive ends, if not as it should: in the middle of a member (then `is_cut_off`), or without
    the end-of-archive mark. `length` is that of the file, if known; then content is skipped by seeking.
    """

    def __init__(self, file: IO[bytes], length: int | None = None) -> None:
        self._file = file
        self._length = length
        self._position = 0
        self.trouble = ""
        self.is_cut_off = False

    def read(self, count: int) -> bytes:
        """The next bytes; fewer only at the end of the file."""
        content = self._file.read(count)
        self._position += len(content)
        while len(content) < count and (more := self._file.read(count - len(content))):
            self._position += len(more)
            content += more
        return content

    def __iter__(self) -> Iterator[Member]:
        """Raises NotATar, and MalformedError for an archive that has a kind of member that is not supported."""
        extended: dict[str, bytes] = {}
        while header := self._header():
            name, size, mtime, _, kind, link, magic, prefix = _HEADER.unpack(header)
            length, start = _number(size), self._position
            if kind in (b"L", b"K", b"x", b"X", b"g"):
                content = self._extension(length)
                if content is None:
                    return
                if kind == b"g":
                    _refuse_global(content)
                elif kind in (b"L", b"K"):
                    extended["path" if kind == b"L" else "linkpath"] = content.partition(b"\0")[0]
                else:
                    extended |= _records(content)
                continue
            path = name.partition(b"\0")[0]
            if prefix[0] and magic == b"ustar\x0000":
                path = prefix.partition(b"\0")[0] + b"/" + path
            member = _member(path, kind, start, length, mtime, link, extended)
            extended = {}
            if kind == b"V":  # the name of the volume
                continue
            if self._length is not None and start + member.size > self._length:
                self._cut_off(f"in the middle of {printable(member.name)!r}")
                return
            yield member
            if not self._skip_to(start + -(-member.size // BLOCK) * BLOCK, start + member.size):
                self._cut_off(f"in the middle of {printable(member.name)!r}")
                return
        if extended and not self.is_cut_off:
            self._cut_off("before the member that its last header belongs to")

    def _header(self) -> bytes | None:
        """The next one; None at the end."""
        start = self._position
        header = self.read(BLOCK)
        if header == _ZEROS:
            if self.read(BLOCK).strip(b"\0"):
                self.is_cut_off = True
                self.trouble = f"it is damaged: at byte {start:,}, there are zeros in place of a header"
            return None
        if not header:
            self.trouble = "it has no end-of-archive mark, and may be cut off" if start else "it is empty"
        elif len(header) < BLOCK:
            if start == 0 and not _may_begin_header(header):
                raise NotATar("not a tar archive")
            self._cut_off("in the middle of a header")
        elif _is_header(header):
            return header
        elif start == 0:
            raise NotATar("not a tar archive")
        else:
            self.is_cut_off = True
            self.trouble = f"it is damaged: at byte {start:,}, there is something other than the header of a member"
        return None

    def _cut_off(self, where: str) -> None:
        self.is_cut_off = True
        self.trouble = f"it is cut off: it ends {where}"

    def _extension(self, length: int) -> bytes | None:
        """The content of an extension, a header that belongs to the next one; None where the archive ends in it."""
        if length > _EXTENSION_LIMIT:
            raise MalformedError(f"a header of {length:,} bytes: at most {_EXTENSION_LIMIT:,} are read")
        end = self._position + -(-length // BLOCK) * BLOCK
        content = self.read(length)
        if len(content) == length and self._skip_to(end, self._position):
            return content
        self._cut_off("in the middle of a header")
        return None

    def _skip_to(self, position: int, needed: int) -> bool:
        """Moves on to a position. `needed` is the end of the content before it: False if a stream ends before that."""
        if self._length is not None:
            if position != self._position:
                self._file.seek(position - self._position, 1)
                self._position = position
            return True
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position >= needed


def _is_header(header: bytes) -> bool:
    """Whether its checksum is right. Old programs computed it with signed bytes."""
    stated = header[148:156]
    try:
        expected = _number(stated)
    except MalformedError:
        return False
    found = sum(header) - sum(stated) + 8 * 32  # its own field counts as blank
    return expected == found or expected == found - 256 * sum(byte >= 128 for byte in header)


def _may_begin_header(beginning: bytes) -> bool:
    """Whether these few bytes can begin a header: a name, zeros after it, and a mode."""
    name, _, zeros = beginning[:_NAME].partition(b"\0")
    return not zeros.strip(b"\0") and min(name, default=0) >= 0x20 and not beginning[_NAME:_MODE].strip(b"01234567 \0")


def _number(field: bytes) -> int:
    """A number in octal, or in binary as GNU tar writes large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    digits = field.partition(b"\0")[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise MalformedError(f"a header has {printable(repr(digits))} in place of a number") from None


def _member(
    path: bytes, kind: bytes, start: int, size: int, mtime: bytes, link: bytes, extended: dict[str, bytes]
) -> Member:
    if extended:
        path = extended.get("path", path)
        size = _decimal(extended, "size", size)
    name = path.decode("utf-8", "surrogateescape")
    if kind == b"S" or any(key.startswith("GNU.sparse.") for key in extended):
        raise MalformedError(
            f"{printable(name)!r} is a sparse member, which cannot be read: make the archive without `tar --sparse`"
        )
    if kind == b"M":
        raise MalformedError(f"{printable(name)!r} began in another volume: join the volumes first")
    if size < 0 or "\0" in name:
        raise MalformedError(f"{printable(name)!r} has a malformed header")
    what = _KINDS.get(kind, Kind.FILE)
    if what == Kind.FILE and kind in (b"0", b"\0") and name.endswith("/"):
        what = Kind.DIRECTORY  # as before POSIX
    modified = extended.get("mtime")
    target = extended.get("linkpath", link.partition(b"\0")[0]) if what in (Kind.LINK, Kind.SYMLINK) else b""
    return Member(
        name,
        what,
        start,
        size if what == Kind.FILE or kind == b"D" else 0,
        _number(mtime) * SECOND if modified is None else _instant(modified),
        target.decode("utf-8", "surrogateescape"),
    )


def _records(content: bytes) -> dict[str, bytes]:
    """The records of a pax header."""
    records: dict[str, bytes] = {}
    start = 0
    while start < len(content):
        found = _RECORD.match(content, start)
        end = start + int(found[1]) if found else 0
        if found is None or not found.end() < end <= len(content) or content[end - 1] != ord("\n"):
            raise MalformedError("a pax header has a malformed record")
        records[found[2].decode("utf-8", "replace")] = content[found.end() : end - 1]
        start = end
    return records


def _refuse_global(content: bytes) -> None:
    """A header for all members may have a comment, as git writes one, but no path or size."""
    for key in _records(content):
        if key in ("path", "linkpath", "size") or key.startswith("GNU.sparse."):
            raise MalformedError(f"a global pax header gives all members one {key}")


def _decimal(extended: dict[str, bytes], key: str, otherwise: int) -> int:
    text = extended.get(key)
    if text is None:
        return otherwise
    if not text.isdigit() or len(text) > 19:
        raise MalformedError(f"a pax header has {printable(repr(text))} as {key}")
    return int(text)


def _instant(text: bytes) -> int:
    """Seconds since 1970, which may have a fraction, as an instant."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise MalformedError(f"a pax header has {printable(repr(text[:40]))} as mtime")
    instant = int(found[2]) * SECOND + int((found[3] or b"")[:9].ljust(9, b"0"))
    return -instant if found[1] else instant
