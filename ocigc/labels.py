"""The labels that mean something to garbage collection, as containerd reads them.

Source: containerd `core/metadata/gc.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ocigc.digest import Digest
from ocigc.times import parse_rfc3339
from ocigc.values import frozen

ROOT_LABEL = "containerd.io/gc.root"
"""The blob is a root, whatever the value."""
CONTENT_LABEL = "containerd.io/gc.ref.content"
"""Alone or followed by `.` or `/`: the blob refers to the digest in the value."""
SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
"""Followed by the name of a snapshotter."""
EXPIRE_LABEL = "containerd.io/gc.expire"
"""On a lease: when it ends (RFC 3339)."""
FLAT_LABEL = "containerd.io/gc.flat"
"""On a lease: it keeps only its resources, not what they refer to."""


def is_content_reference(key: str) -> bool:
    """Whether a label refers to content."""
    return key.startswith(CONTENT_LABEL) and key[len(CONTENT_LABEL) :][:1] in ("", ".", "/")


@frozen
class Lease:
    """A lease. `resources` are digests; resources that are not content are left out."""

    id: str
    labels: Mapping[str, str]
    resources: tuple[str, ...]
    created: str = ""

    @property
    def flat(self) -> bool:
        """Whether it keeps only its resources, not what they refer to."""
        return FLAT_LABEL in self.labels

    @property
    def expires(self) -> int | None:
        """The instant at which it ends. None if the label is missing or is not an RFC 3339 time: such a lease never
        ends.
        """
        try:
            return parse_rfc3339(self.labels[EXPIRE_LABEL])
        except (KeyError, ValueError):
            return None

    def active(self, now: int) -> bool:
        """Whether it still keeps its resources at the instant `now`."""
        expires = self.expires
        return expires is None or expires >= now


@frozen
class Unlease:
    """A label to take off a blob, and its value, for the one who wants it back."""

    digest: Digest
    label: str
    value: str
