"""Whether a layout is consistent, without hashing its layers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

from ocigc.errors import CorruptError, MalformedError, Refused
from ocigc.layout import label_files, lock
from ocigc.layout.completeness import Incomplete, incomplete_images
from ocigc.layout.damage import Affected, affected
from ocigc.layout.dirfd import naming, reason
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.leftovers import find_leftovers, partial_names
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import TOLERATING_ALL, Snapshot, load
from ocigc.progress import SILENT, Watcher
from ocigc.pruning import journal, run_directory, trash
from ocigc.times import Duration
from ocigc.verification.scan import wrong_sizes

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong. The following are normal and not findings: `absent` (digests that something refers to), `orphans`
    (a count), `expired_leases`, `leases_of_absent`, and `leftovers` (temporary files of other tools). `unknown_files`
    names at most a thousand.
    """

    absent: Sequence[str]
    orphans: int
    expired_leases: Sequence[str]
    affected: Sequence[Affected]
    leftovers: Sequence[str]
    incomplete: Sequence[Incomplete]
    absent_images: Sequence[str]
    wrong_size: Sequence[str]
    malformed: Sequence[str]
    unknown_files: Sequence[str]
    stray_sidecars: Sequence[str]
    leases_of_absent: Sequence[str]
    interrupted_runs: Sequence[str]
    expired_trash: Sequence[str]
    errors: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not any(getattr(self, field.name) for field in fields(self) if field.name not in _NORMAL)


_NORMAL = ("absent", "orphans", "expired_leases", "leases_of_absent", "affected", "leftovers")


@accepts_path
def check(layout: Layout, *, sparse: bool = False, wait: Duration = 0, watch: Watcher = SILENT) -> Findings:
    """Checks a layout. With `sparse`, no image has to be complete. Raises UsageError where it is not a layout, and
    Refused where it cannot be read.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        snapshot = load(layout, None, now, watch, TOLERATING_ALL)
        with snapshot.store as store:
            faults = [(f"{store.digest(node)}: {error}", error) for node, error in store.faults()]
            bad = (MalformedError, CorruptError)
            active = [lease for lease in snapshot.leases if lease.active(now)]
            marks = store.mark(snapshot.roots(now))
            foreign = store.foreign()[1]
            with naming(layout.path):
                leftovers = find_leftovers(layout.dir, foreign)
            partial = frozenset(partial_names(foreign))
            wrong = wrong_sizes(snapshot)
            absent = sorted(set(store.missing()))
            expired, trouble = _expired_trash(layout, now)
            with naming(f"{layout.path}/{STATE}"):
                interrupted = run_directory.pending_below(layout)
            states = {"wrong size": wrong, "malformed": sorted({store.digest(node) for node, _ in store.faults()})}
            return Findings(
                absent=absent,
                orphans=len(marks.unreachable()),
                expired_leases=[lease.id for lease in snapshot.leases if not lease.active(now)],
                affected=affected(snapshot, states, {*absent, *snapshot.absent}),
                incomplete=[] if sparse else incomplete_images(snapshot),
                absent_images=[]
                if sparse
                else [image.familiar for image in snapshot.images if store.find(image.target.digest) is None],
                wrong_size=wrong,
                malformed=[
                    *([f"{layout.path}: {layout.trouble}"] if layout.is_cut_off else []),
                    *sorted(line for line, error in faults if isinstance(error, bad)),
                ],
                leftovers=[file for each in leftovers for file in each.files],
                unknown_files=[f"blobs/{name}" for name in foreign if name not in partial],
                stray_sidecars=list(_stray_sidecars(snapshot)),
                leases_of_absent=[
                    f"{lease.id}: {digest}"
                    for lease in active
                    for digest in lease.resources
                    if store.find(digest) is None
                ],
                interrupted_runs=[journal.PLACE] if interrupted else [],
                expired_trash=expired,
                errors=[*sorted(line for line, error in faults if not isinstance(error, bad)), *trouble],
            )


def _stray_sidecars(snapshot: Snapshot) -> Iterator[str]:
    """Label files of absent blobs, and files that are not label files."""
    layout = snapshot.layout.dir
    with naming(label_files.DIRECTORY):
        for algorithm in layout.names_below(label_files.DIRECTORY):
            names = layout.names_below(label_files.DIRECTORY, algorithm)
            for name in names:
                digest = f"{algorithm}:{name.removesuffix(_SUFFIX)}"
                if not name.endswith(_SUFFIX) or snapshot.store.find(digest) is None:
                    yield f"{label_files.DIRECTORY}/{algorithm}/{name}"


def _expired_trash(layout: Layout, now: int) -> tuple[list[str], list[str]]:
    """The runs in the trash whose time is over, and what is wrong with the trash."""
    expired: list[str] = []
    try:
        with suppress(FileNotFoundError), layout.dir.below(STATE) as state:
            for run, record in trash.journals(state):
                if trash.is_over(run, record, now):
                    expired.append(record.id)
    except OSError as error:
        return expired, [f"{STATE}: {reason(error)}"]
    except Refused as error:
        return expired, [str(error)]
    return expired, []
