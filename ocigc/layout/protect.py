"""Protects blobs from prunes, by a lease or while a program runs.

While a program that knows nothing of ocigc writes to a layout, `guard` keeps the lock, so that no prune can start. The
program inherits the lock, so it is locked until the program ends, even if ocigc is killed. Where locks do not reach
(another machine, a file system without them), leases protect all blobs that are present.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from typing import TYPE_CHECKING

from ocigc.digest import Digest
from ocigc.errors import UsageError
from ocigc.gc.resolve import resolve_images
from ocigc.labels import EXPIRE_LABEL, FLAT_LABEL, Lease
from ocigc.layout import leases, lock
from ocigc.layout.dirfd import Dir
from ocigc.layout.index_images import IndexImages
from ocigc.layout.layout import Layout
from ocigc.layout.opening import accepts_path
from ocigc.native import Store
from ocigc.times import SECOND, Duration, format_rfc3339, instant, nanoseconds

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_LEASED_FOR = 7 * 86_400 * SECOND  # so that a lease left by a crash ends by itself
_PER_LEASE = 200_000  # digests: a file of some 20 MB


@accepts_path
def hold(
    layout: Layout,
    resources: Iterable[str],
    *,
    identity: str | None = None,
    expires: int | datetime | timedelta | None = None,
    flat: bool = False,
    wait: Duration = 0,
) -> str:
    """Makes a lease on digests, and on the targets that images (by name) have now; gives its name.

    It ends at `expires`: an instant, a `datetime`, or a `timedelta` from now. A `flat` lease covers only the blobs
    themselves, not what they refer to. The digests need not be present yet. Waits up to `wait` for the lock. Raises
    UsageError and Refused.
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
    from datetime import timedelta

    return now + nanoseconds(expires) if isinstance(expires, timedelta) else instant(expires)


@accepts_path
def release(layout: Layout, identities: Iterable[str], *, wait: Duration = 0) -> None:
    """Ends leases. Raises UsageError where a lease does not exist, and Refused."""
    with lock.exclusive(layout, wait):
        for identity in identities:
            leases.release(layout.dir, identity)


@accepts_path
def held(layout: Layout, *, wait: Duration = 0) -> list[Lease]:
    """All leases, by name. Raises Refused."""
    with lock.shared(layout, wait):
        return leases.load(layout.dir)


def _digests(layout: Layout, resource: str) -> list[Digest]:
    # By the grammar alone, alpine:3 is a digest too, so names come first.
    images = IndexImages.of(layout.read_index().entries, None)
    found = [image.target.digest for image in images if image.is_called(resource)]
    if not found and (digest := Digest.parse_registered(resource)) is not None:
        return [digest]
    return found or [image.target.digest for image in resolve_images(images, resource)]


@contextmanager
def guard(layout: Layout, wait: Duration | None, note: Callable[[str], None] = lambda _: None) -> Iterator[int]:
    """Lets no prune of the layout start until the block ends. Waits up to `wait` for one that is running (None: without
    limit). Gives the descriptor of the lock, for the program to inherit. A lease that cannot be released is noted.
    Raises Refused.
    """
    with lock.writing(layout, wait) as (state, descriptor):
        made: list[str] = []
        try:
            _lease_all(layout, state, made)
            yield descriptor
        finally:
            for identity in made:
                _release(layout, identity, note)


def _release(layout: Layout, identity: str, note: Callable[[str], None]) -> None:
    """Releases a lease of `guard`. What the program has done to the layout is no reason to fail."""
    try:
        with suppress(UsageError):  # it may have been released already
            leases.release(layout.dir, identity)
    except OSError as error:
        place = f"{layout.path}/{leases.DIRECTORY}/{identity}{leases.SUFFIX}"
        note(f"{place}: {error.strerror}: this lease is not released; remove it, or it keeps blobs for a week")


def _lease_all(layout: Layout, state: Dir, made: list[str]) -> None:
    """Makes flat leases on every blob that is present; adds their names to `made`."""
    now = time.time_ns()
    run = f"run-{os.urandom(4).hex()}"
    labels = {EXPIRE_LABEL: format_rfc3339(now + _LEASED_FOR), FLAT_LABEL: "true"}
    with Store.scan(layout.fd) as store:
        present: Iterator[Digest] = store.digests(range(len(store)))
        for number in count(1):
            resources = tuple(islice(present, _PER_LEASE))
            if not resources:
                return
            lease = Lease(f"{run}-{number}", labels, resources, format_rfc3339(now))
            made.append(lease.id)
            leases.create(layout.dir, state, lease)
