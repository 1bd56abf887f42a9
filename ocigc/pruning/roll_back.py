"""Undoing a prune that has begun: index.json, manifest.json, labels and blobs become what they were before."""

from __future__ import annotations

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.layout import label_files
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.pruning import docker_list_change, journal
from ocigc.pruning.commit import undo
from ocigc.pruning.journal import UNLEASED, Journal
from ocigc.pruning.put_back import blobs_in, put_back


def roll_back(layout: Layout, state: Dir, run: Dir, record: Journal, wait: float) -> list[Digest]:
    """Undoes a run whose blobs are not freed yet, and removes its journal; the digests of the blobs that came back.

    index.json comes last: an interruption leaves a run that can be finished as well as undone. Waits up to `wait`
    seconds for BuildKit. Raises Refused and OSError; nothing is lost then.
    """
    taken = [digest for digest, _ in blobs_in(run)]
    put_back(layout, run, [*taken, *_labelled(run)])
    with run.ensure(UNLEASED) as kept:
        for unlease in record.unlease:
            label_files.return_label(layout.dir, kept, unlease.digest, unlease.label, unlease.value)
    docker_list_change.undo(layout.dir, run)
    undo(layout, run, record, wait)
    for digest in taken:
        if not _is_there(layout, digest):
            raise Refused(f"blobs/{digest.path}: did not come back")
    journal.discard(state)
    return taken


def _labelled(run: Dir) -> list[Digest]:
    """The digests of which a run has taken out the label files."""
    found = []
    for algorithm in run.names_below(label_files.DIRECTORY):
        for name in run.names_below(label_files.DIRECTORY, algorithm):
            digest = Digest.parse_registered(f"{algorithm}:{name.removesuffix(label_files.SUFFIX)}")
            if digest is not None:
                found.append(digest)
    return found


def _is_there(layout: Layout, digest: Digest) -> bool:
    algorithm, encoded = digest.parts
    try:
        with layout.dir.below("blobs", algorithm) as directory:
            return directory.exists(encoded)
    except FileNotFoundError:
        return False
