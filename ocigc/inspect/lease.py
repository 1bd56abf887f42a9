"""Leases: blobs that are held while somebody is at work."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ocigc.digest import Digest
from ocigc.gc.resolve import resolve_images
from ocigc.labels import EXPIRE_LABEL, FLAT_LABEL, Lease
from ocigc.layout import leases, lock
from ocigc.layout.index_images import IndexImages
from ocigc.layout.layout import Layout
from ocigc.times import format_rfc3339, instant, nanoseconds

if TYPE_CHECKING:
    from datetime import datetime, timedelta


def hold(
    layout: Layout,
    resources: Iterable[str],
    *,
    identity: str | None = None,
    expires: int | datetime | timedelta | None = None,
    flat: bool = False,
    wait: float = 0,
) -> str:
    """Makes a lease on digests and on what images (by name) are now; gives its name.

    It ends at `expires`: an instant, a `datetime`, or a `timedelta` from now. A `flat` lease covers only the blobs
    themselves, not what they refer to. The digests need not be there yet. `wait` is in seconds. Raises UsageError and
    Refused.
    """
    now = time.time_ns()
    labels = {} if expires is None else {EXPIRE_LABEL: format_rfc3339(_instant(expires, now))}
    if flat:
        labels[FLAT_LABEL] = "true"
    identity = identity or os.urandom(8).hex()
    with lock.exclusive(layout, wait) as state:
        digests = tuple(dict.fromkeys(digest for each in resources for digest in _digests(layout, each)))
        leases.create(layout.dir, state, Lease(identity, labels, digests, format_rfc3339(now)))
    return identity


def _instant(expires: int | datetime | timedelta, now: int) -> int:
    from datetime import timedelta  # noqa: PLC0415

    return now + nanoseconds(expires) if isinstance(expires, timedelta) else instant(expires)


def release(layout: Layout, identities: Iterable[str], *, wait: float = 0) -> None:
    """Ends leases. Raises UsageError where there is no such lease, and Refused."""
    with lock.exclusive(layout, wait):
        for identity in identities:
            leases.release(layout.dir, identity)


def held(layout: Layout, *, wait: float = 0) -> list[Lease]:
    """All leases, by name. Raises Refused."""
    with lock.shared(layout, wait):
        return leases.load(layout.dir)


def _digests(layout: Layout, resource: str) -> list[Digest]:
    # By the grammar alone alpine:3 is a digest too, so names come first.
    images = IndexImages.of(layout.read_index().entries, None)
    found = [image.target.digest for image in images if image.is_called(resource)]
    if not found and (digest := Digest.parse_registered(resource)) is not None:
        return [digest]
    return found or [image.target.digest for image in resolve_images(images, resource)]
