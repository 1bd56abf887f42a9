"""Finishes or undoes a run that was cut off. The next command that changes the layout does this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused, Remedy
from ocigc.layout.dirfd import Dir, cause, naming
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.lock import clear_index_lock
from ocigc.progress import Watcher
from ocigc.pruning import preflight, run_directory
from ocigc.pruning.after_commit import RunTerms
from ocigc.pruning.commit import RunState, roll_back, run_state
from ocigc.pruning.execute import finish
from ocigc.pruning.journal import RestoreJournal
from ocigc.pruning.restore_steps import carry_out_restore


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done about the interrupted run of this id: a sentence, the digests of the blobs that went, and the bytes
    that were freed or are in the trash.
    """

    message: str
    run: str = ""
    gone: Sequence[Digest] = ()
    freed: int = 0
    trashed: int = 0


def recover(layout: Layout, state: Dir, terms: RunTerms, watch: Watcher) -> Recovered | None:
    """Finishes or undoes a run that was cut off, under the exclusive lock. None where there was no such run. Raises
    Refused and Interrupted.
    """
    with naming(f"{layout.path}/{STATE}"):
        run_directory.check(state, f"{layout.path}/{STATE}")
        preflight.clean(layout, state)
        clear_index_lock(layout)
        if not run_directory.pending(state):
            return _freed(state)
        with run_directory.interrupted_run(layout, state) as (run, record):
            if isinstance(record, RestoreJournal):
                with _still_open("an earlier restore is still to be finished"):
                    carry_out_restore(layout, state, run, record, terms.wait)
                return Recovered("finished an earlier restore that was interrupted")
            # Only a prune of the whole tree can tell what other layouts have come to need since.
            knows_enough = terms.elsewhere is not None or not record.shared
            if run_state(layout, run, record) is RunState.COMMITTED and knows_enough:
                with _still_open("the next prune tries again to finish an earlier one"):
                    done = finish(layout, state, run, record, terms, watch)
                if done is not None:
                    freed, trashed = (done.size, 0) if record.expires is None else (0, done.size)
                    return Recovered(_finished(len(done.gone), freed, trashed), record.id, done.gone, freed, trashed)
            else:
                with _still_open("an earlier prune is still to be undone"):
                    roll_back(layout, state, run, record, terms.wait)
        return Recovered("undid an earlier prune that was interrupted: index.json, labels and blobs are as before it")


@contextmanager
def _still_open(what: str) -> Iterator[None]:
    """Adds to a failure what is still to be done, and that it can be undone instead."""
    try:
        yield
    except (OcigcError, OSError) as error:
        if isinstance(error, OcigcError) and error.remedy is Remedy.UNDO_RUN:
            raise  # says so already
        raise Refused(f"{cause(error)}; nothing is lost, and {what}", Remedy.UNDO_RUN) from error


def _finished(count: int, freed: int, trashed: int) -> str:
    where = f"{freed:,} bytes freed" if not trashed else f"{trashed:,} bytes in the trash"
    return f"finished an earlier prune that was interrupted: {count:,} blobs, {where}"


def _freed(state: Dir) -> Recovered | None:
    """Frees what a complete run has not freed."""
    freed = run_directory.being_freed(state)
    run_directory.discard(state)
    return Recovered(f"freed what an earlier prune had removed: {freed:,} bytes", freed=freed) if freed else None
