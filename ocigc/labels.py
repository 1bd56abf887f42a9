"""The labels that mean something to garbage collection, as containerd reads them.

Source: containerd `core/metadata/gc.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

CONTENT_LABEL = "containerd.io/gc.ref.content"
SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."


def content_references(labels: Mapping[str, str]) -> Iterator[str]:
    """What the labels' `gc.ref.content`, alone or followed by `.` or `/`, refer to."""
    for key, value in labels.items():
        if key.startswith(CONTENT_LABEL) and key[len(CONTENT_LABEL) :][:1] in ("", ".", "/"):
            yield value
