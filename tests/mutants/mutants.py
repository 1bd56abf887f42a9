"""The list. A mutant is a change of one place; it is killed if one of its tests fails with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file`, below `ocigc/` or, in C, below `native/`, `old` (which stands there once) becomes `new`; `tests` have
    to fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    before: str | None = None
    """Where `old` goes instead of to `new`, if it moves: before this text."""

    @property
    def is_native(self) -> bool:
        """Whether it is in the C core."""
        return self.file.startswith("native/")

    def apply(self, text: str) -> str:
        """The text with the fault. Raises ValueError where it does not have the place once."""
        if text.count(self.old) != 1 or (self.before is not None and text.count(self.before) != 1):
            raise ValueError(f"{self.name}: {self.file} has the place {text.count(self.old)} times, not once")
        text = text.replace(self.old, self.new)
        return text if self.before is None else text.replace(self.before, self.old + self.before)


RULES = "tests/gc"
WRITERS = "tests/pruning/test_writers.py"
POWER = "tests/faults/test_faults.py::test_a_power_failure_loses_nothing"
NOT_ATOMIC = "tests/faults/test_faults.py::test_power_failures_where_renames_are_not_atomic"
ORDERS = "tests/faults/test_interleavings.py"
SWEEP = "tests/native/test_store_sweep.py"
VERIFY = "tests/cli/test_verify.py"
TRASH = "tests/cli/test_trash.py"
ARCHIVES = "tests/cli/test_archives.py"

MUTANTS = (
    Mutant("an archive that is cut off is sound", "verification/scan.py", " or self.cut_off", "", (ARCHIVES,)),
    Mutant(
        "the first member of a name counts",
        "layout/archive.py",
        "        parent[parts[-1]] = entry\n",
        "        parent.setdefault(parts[-1], entry)\n",
        (ARCHIVES,),
    ),
    Mutant(
        "a stream is believed",
        "verification/streamed.py",
        "return Verdict.CORRUPT if actual",
        "return Verdict.SOUND if actual",
        (ARCHIVES,),
    ),
    Mutant("lease ends too soon", "labels.py", "expires >= now", "expires > now", ("tests/test_labels.py",)),
    Mutant(
        "touched blobs go in a recovery",
        "pruning/roots.py",
        'marks.add([Group(array("I", chain(touched, in_grace)))])',
        'marks.add([Group(array("I", in_grace))])',
        (WRITERS, "tests/pruning/test_roots.py"),
    ),
    Mutant("the draft is not synced", "pruning/run_directory.py", "            draft.sync()\n", "", (POWER,)),
    Mutant(
        "the state is not synced",
        "pruning/run_directory.py",
        "        raise\n    state.sync()\n",
        "        raise\n",
        (POWER,),
    ),
    Mutant(
        "directories of blobs are not synced",
        "pruning/after_commit.py",
        "        sync_directories(self.layout.dir)\n        return self._put_back_needed(",
        "        return self._put_back_needed(",
        (POWER,),
    ),
    Mutant(
        "another's index.json is not swapped back",
        "pruning/index_exchange.py",
        "        _swap(layout, run)\n        if aside_digest(run) not in (new, None):",
        "        if aside_digest(run) not in (new, None):",
        (WRITERS,),
    ),
    Mutant(
        "our index.json is taken back while another program writes it",
        "pruning/index_exchange.py",
        "        if aside_digest(run) not in (new, None):",
        "        if False:",
        (WRITERS,),
    ),
    Mutant(
        "what another program has written is overwritten",
        "pruning/index_merge.py",
        "        if is_theirs(run, record, aside_digest(run)):\n            _keep_theirs(run)\n",
        "",
        (WRITERS,),
    ),
    Mutant(
        "a restore that is given up forgets what another program has written",
        "pruning/restore.py",
        "                add_others(layout, run, wait)\n",
        "",
        ("tests/pruning/test_interrupts.py",),
    ),
    Mutant(
        "the exchange is not synced",
        "pruning/index_exchange.py",
        "    layout.dir.sync()\n    aside.sync()\n",
        "",
        (POWER, NOT_ATOMIC),
    ),
    Mutant("files are not synced", "layout/dirfd.py", "            os.fsync(file.fileno())\n", "", (POWER,)),
    Mutant(
        "roots are not looked at again",
        "pruning/after_commit.py",
        "if not skipped and not self._has_moved_on(roots, known):",
        "if not skipped:",
        (WRITERS,),
    ),
    Mutant(
        "a copy that is not sound comes back",
        "pruning/put_back.py",
        "            if verdict(self._source, digest) is not Verdict.SOUND:\n                return False\n",
        "",
        (TRASH,),
    ),
    Mutant(
        "a file that is in the way wins",
        "pruning/put_back.py",
        "        elif found is not Verdict.SOUND:",
        "        elif False:",
        (TRASH,),
    ),
    Mutant(
        "two prunes run at once",
        "layout/lock.py",
        "_locked(layout, _make_lock, fcntl.LOCK_EX, wait)",
        "_locked(layout, _make_lock, fcntl.LOCK_SH, wait)",
        ("tests/cli/test_prune.py", "tests/cli/test_run.py"),
    ),
    Mutant(
        "all is looked at once, not until nothing has changed",
        "pruning/after_commit.py",
        "            for _ in range(_ATTEMPTS):\n                self.check()",
        "            for last in (False, True):\n                if last:\n                    return moved",
        (WRITERS,),
    ),
    Mutant(
        "the displaced index.json is not looked at",
        "pruning/after_commit.py",
        "if run_state(self.layout, self.run, self.record) is RunState.CONTESTED:\n                    return None",
        "if False:\n                    return None",
        (WRITERS,),
    ),
    Mutant(
        "a repaired blob is not synced",
        "verification/repair.py",
        "        os.fsync(fd)\n",
        "",
        ("tests/faults/test_power.py",),
    ),
    Mutant(
        "the name of a repaired blob is not synced",
        "verification/repair.py",
        "        target.sync()\n",
        "",
        ("tests/faults/test_power.py",),
    ),
    Mutant(
        "a restore writes index.json before the blobs are back",
        "pruning/restore_steps.py",
        "    add_entries(layout, run, lacking, wait)\n",
        "",
        (ORDERS,),
        before="    placed, damaged = _bring_blobs(",
    ),
    Mutant(
        "what goes to the trash is renamed",
        "pruning/after_commit.py",
        "durable=self.record.expires is not None",
        "durable=False",
        (NOT_ATOMIC,),
    ),
    Mutant(
        "a source is given up before its blob is durably back",
        "pruning/put_back.py",
        "            self._give_up(source, target, name)\n            return\n        source.rename",
        "            source.remove(name)\n            return\n        source.rename",
        ("tests/pruning/test_put_back.py",),
    ),
    Mutant(
        "the lock of BuildKit is not taken",
        "pruning/index_exchange.py",
        "    with index_lock(layout, wait):\n",
        "    if True:\n",
        (WRITERS,),
    ),
    Mutant(
        "links are not looked at before the sweep",
        "native/store/sweep.c",
        "    if (store->inode_count > 0)\n        check_links(&sweep);\n",
        "",
        (SWEEP,),
    ),
    Mutant(
        "a blob that has changed is swept",
        "native/store/sweep.c",
        "        return ocigc_blob_unchanged(store, node, status);",
        "        return true;",
        (WRITERS, SWEEP),
    ),
    Mutant(
        "a blob that changes while it is linked is swept",
        "native/store/sweep.c",
        "if (status.st_ino == trashed.st_ino && (shared || ctime_of(&status) == sweep->changed[index])) {",
        "if (true) {",
        (SWEEP, ORDERS),
    ),
    Mutant(
        "what the trash keeps is not synced",
        "native/store/sweep.c",
        "    int cause = ocigc_sync_trash(sweep, false);",
        "    int cause = 0;",
        (NOT_ATOMIC,),
    ),
    Mutant(
        "label files that the trash keeps are not synced",
        "native/store/sweep_labels.c",
        "    int cause = ocigc_sync_trash(sweep, true);",
        "    int cause = 0;",
        (NOT_ATOMIC,),
    ),
    Mutant(
        "two names are not exchanged but one takes the place of the other",
        "native/base/exchange.c",
        "RENAME_EXCHANGE",
        "0",
        (WRITERS,),
    ),
    Mutant(
        "digests are compared in part",
        "native/store/verify_lanes.c",
        "ocigc_algorithm_width(queue->algorithm)) == 0)",
        "4) == 0)",
        (VERIFY, "tests/cli/test_verify_ledger.py"),
    ),
    Mutant(
        "a blob that was read while it changed is corrupt",
        "native/store/verify_lanes.c",
        "!ocigc_blob_status(&blob->content, &status) || !ocigc_blob_unchanged(queue->store, node, &status) ||",
        "",
        (VERIFY, "tests/cli/test_verify_ledger.py"),
    ),
)
