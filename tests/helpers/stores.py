"""The native store over a layout that a test has written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocigc.native import Detail, Store
from tests.helpers.layouts import Descriptor, LayoutWriter


@contextmanager
def scanned(layout: LayoutWriter | Path, detail: Detail = Detail.NAMES) -> Iterator[Store]:
    """The layout's store, as it is now."""
    directory = os.open(layout.path if isinstance(layout, LayoutWriter) else layout, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Store.scan(directory, detail=detail) as store:
            yield store
    finally:
        os.close(directory)


def node(store: Store, target: Descriptor | str) -> int:
    """The node of a blob that is there."""
    found = store.find(target if isinstance(target, str) else target["digest"])
    assert found is not None
    return found
