"""The labels that mean something to garbage collection, as containerd reads them.

Source: containerd `core/metadata/gc.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ocigc.digest import Digest
from ocigc.times import parse_rfc3339
from ocigc.values import frozen

SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
"""Followed by the name of a snapshotter."""
EXPIRE_LABEL = "containerd.io/gc.expire"
"""On a lease: when it ends (RFC 3339)."""
FLAT_LABEL = "containerd.io/gc.flat"
"""On a lease: it keeps only its resources, not what they refer to."""

PREFIX = "containerd.io/gc."
"""What every label of garbage collection begins with."""


def _parts(key: str) -> list[str]:
    """The family of a label of garbage collection, and its kind if it has one; empty for any other label."""
    return key.removeprefix(PREFIX).replace("/", ".").split(".")[:2] if key.startswith(PREFIX) else []


def is_content_reference(key: str) -> bool:
    """Whether a label refers to content: `gc.ref.content`, alone or followed by `.` or `/`."""
    return _parts(key) == ["ref", "content"]


def is_root(key: str) -> bool:
    """Whether a label makes its blob a root, as `gc.root` and unknown labels of garbage collection do."""
    family, *kind = _parts(key) or ["flat"]
    return family not in ("ref", "bref", "expire", "flat") or (
        family == "bref" and kind not in (["content"], ["image"])
    )


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
    """A label to remove from a blob, and its value, so that it can be put back."""

    digest: Digest
    label: str
    value: str
