"""The list. A mutant is a change of one place; it is killed if one of its tests fails with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file`, below `ocigc/`, `old` (which stands there once) becomes `new`; `tests` have to fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


RULES = "tests/gc"
WRITERS = "tests/pruning/test_writers.py"
POWER = "tests/faults/test_faults.py"
FAULTS = "tests/faults/test_faults.py"
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
    Mutant("the draft is not synced", "pruning/journal.py", "            draft.sync()\n", "", (POWER,)),
    Mutant(
        "the state is not synced",
        "pruning/journal.py",
        "        raise\n    state.sync()\n",
        "        raise\n",
        (POWER,),
    ),
    Mutant(
        "directories of blobs are not synced",
        "pruning/execute.py",
        "        sync_directories(self.layout.dir)\n        journal.close",
        "        journal.close",
        (POWER,),
    ),
    Mutant(
        "another's index.json is not swapped back",
        "pruning/commit.py",
        "        _swap(layout, aside)\n        return False",
        "        return False",
        (WRITERS,),
    ),
    Mutant(
        "the exchange is not synced", "pruning/commit.py", "    layout.dir.sync()\n    aside.sync()\n", "", (POWER,)
    ),
    Mutant("files are not synced", "layout/dirfd.py", "            os.fsync(file.fileno())\n", "", (POWER,)),
    Mutant(
        "roots are not looked at again",
        "pruning/execute.py",
        "if skipped or self._has_moved_on(roots, store):",
        "if skipped:",
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
        "        _acquire(fd, fcntl.LOCK_EX, wait)\n        yield state",
        "        _acquire(fd, fcntl.LOCK_SH, wait)\n        yield state",
        ("tests/cli/test_prune.py", "tests/cli/test_run.py"),
    ),
)
