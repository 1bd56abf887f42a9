"""An OCI image layout, as an open directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from ocigc.closing import Closing
from ocigc.errors import NotALayout, Refused, UsageError, printable
from ocigc.layout.dirfd import Dir, reason
from ocigc.layout.index import Index, parse
from ocigc.native import sha256
from ocigc.strict_json import parse_json

if TYPE_CHECKING:
    from array import array

    from ocigc.digest import Digest
    from ocigc.hard_links import RemovedLinks
    from ocigc.native import Detail, Store
    from ocigc.progress import Report, Watcher

VERSION = "1.0.0"
STATE = ".ocigc"
INDEX = "index.json"
INDEX_LIMIT = 1 << 29  # bytes
MARKER = "oci-layout"
_MARKER_LIMIT = 1 << 16

T = TypeVar("T")


class BlobsElsewhere(Protocol):
    """An open directory of blobs that layouts share, as `<algorithm>/<encoded>`."""

    @property
    def fd(self) -> int:
        """Its descriptor."""

    def wanted_by(self, layout: Layout) -> Iterable[Digest]:
        """The digests of what a layout needs and lacks. Raises UsageError and Refused."""

    def again(self) -> Self:
        """The same directory, opened once more."""

    def close(self) -> None:
        """Closes the directory."""


class OpenDirectory(Closing):
    """An open directory, and one of blobs that layouts in it may share with others."""

    dir: Dir
    _shared: BlobsElsewhere | None = None

    def share(self, blobs: BlobsElsewhere) -> None:
        """Takes over a directory of shared blobs. Layouts that have one can only be read."""
        self._shared = blobs

    def close(self) -> None:
        """Closes the directory, and that of shared blobs."""
        self.dir.close()
        if self._shared is not None:
            self._shared.close()

    @property
    def fd(self) -> int:
        """The descriptor of its directory."""
        return self.dir.fd


class Layout(OpenDirectory):
    """An open layout: everything below it is reached through `dir`, never by a path. `path` is for messages."""

    is_archive = False
    """Whether it is an `Archive`, which can only be read."""
    is_streamed = False
    """Whether it was read once from a stream, so that layers are gone."""
    trouble = ""
    """What is wrong with an archive as a whole."""
    is_cut_off = False
    """Whether an archive ends too soon, so that something is missing."""

    def __init__(self, path: str | os.PathLike[str], directory: Dir | None = None) -> None:
        """Takes over the open directory. Raises UsageError where it is not an image layout."""
        self.path = printable(os.fspath(path))
        self._given = os.fspath(path)
        try:
            self.dir = Dir.at(path) if directory is None else directory
        except OSError as error:
            raise self._not_one(f"{error.strerror}: expected the directory of an image layout") from None
        except ValueError:
            raise self._not_one("not a path") from None
        try:
            self._check_marker()
        except BaseException:
            self.dir.close()
            raise

    def _check_marker(self) -> None:
        try:
            marker = self.dir.parsed(MARKER, _MARKER_LIMIT, lambda content: parse_json(content, MARKER))
        except FileNotFoundError:
            raise self._not_one(f"not an OCI image layout: no file {MARKER!r} in it{self._advice()}") from None
        except OSError as error:
            raise self._not_one(f"not an OCI image layout: {MARKER}: {reason(error)}") from None
        except Refused as error:
            raise self._not_one(f"not an OCI image layout: {error}{self._advice()}") from None
        version = marker.get("imageLayoutVersion") if isinstance(marker, dict) else None
        if version != VERSION:
            raise UsageError(
                f"{self.path}: {MARKER} gives imageLayoutVersion {version!r}, but only {VERSION!r} is known"
            )

    def _not_one(self, what: str) -> NotALayout:
        return NotALayout(f"{self.path}: {what}", self._given)

    def _advice(self) -> str:
        """How to turn a directory that only lacks the marker into a layout: caches of older BuildKits are like this."""
        if not self.dir.exists(INDEX):
            return ""
        from shlex import quote

        marker = quote(f'{{"imageLayoutVersion": "{VERSION}"}}')
        return f"; if it is one, write the file: echo {marker} > {quote(f'{self.path}/{MARKER}')}"

    def __repr__(self) -> str:
        return f"Layout({self.path!r})"

    def scan(
        self, report: Report | None = None, detail: Detail | None = None, taken: RemovedLinks | None = None, /
    ) -> Store:
        """Its blobs, as `Blobs.scan` finds them. Raises Refused."""
        from ocigc.native import Detail, Store

        detail = Detail.NAMES if detail is None else detail
        if self._shared is None:
            return Store.scan(self.fd, report, detail, taken)
        return Store.scan_shared(self.fd, self._shared.fd, self._shared.wanted_by(self), report, detail)

    def read_ahead(self, store: Store, roots: array[int], medias: bytes, watch: Watcher) -> None:
        """Expands some of the roots in a way of its own, before they are read as usual; does nothing here."""

    def read_index(self) -> Index:
        """index.json as it is now. Raises UsageError where there is none, Refused where it cannot be read or parsed."""
        return self._read_index(lambda: self.dir.parsed(INDEX, INDEX_LIMIT, parse))

    def index_content(self) -> bytes:
        """The bytes of index.json. Raises UsageError where there is none, Refused where it cannot be read."""
        return self._read_index(lambda: self.dir.read(INDEX, INDEX_LIMIT))

    def content_of(self, index: Index) -> bytes | None:
        """The bytes of index.json; None if they have changed since."""
        content = self.index_content()
        return content if sha256(content) == index.sha256 else None

    def _read_index(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except FileNotFoundError:
            raise UsageError(f"{self.path}: not an OCI image layout: no {INDEX} in it") from None
        except OSError as error:
            raise Refused(f"{self.path}/{INDEX}: {reason(error)}") from None
        except Refused as error:
            raise type(error)(f"{self.path}/{error}") from None
