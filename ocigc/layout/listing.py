"""What is read of a layout first, before anything of it is understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ocigc.errors import CorruptError, MalformedError, Remedy
from ocigc.labels import Lease
from ocigc.layout import leases
from ocigc.layout.layout import Layout
from ocigc.native import Detail, Store
from ocigc.progress import Watcher
from ocigc.values import frozen


@frozen
class Listing:
    """The leases, the bytes of index.json, and the blobs, read in this order: a writer first writes the blobs, then
    names the image in index.json, then releases its lease."""

    leases: Sequence[Lease]
    index: bytes
    store: Store


def list_layout(layout: Layout, watch: Watcher) -> Listing:
    """Reads the leases and index.json, and lists the blobs with their identities. Raises UsageError and Refused."""
    with naming_path(layout):
        found = leases.load(layout.dir)
    index = layout.index_content()
    return Listing(found, index, layout.scan(watch("Scanning blobs"), Detail.IDENTITY))


@contextmanager
def naming_path(layout: Layout) -> Iterator[None]:
    """Makes errors about the content of a layout name its path, and say what to do."""
    try:
        yield
    except CorruptError as error:
        raise CorruptError(f"{layout.path}: {error}", Remedy.REPAIR) from None
    except MalformedError as error:
        raise MalformedError(f"{layout.path}: {error}") from None
