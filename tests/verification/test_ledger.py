"""The ledger: what it believes, and that damage costs time, never correctness."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from array import array
from pathlib import Path

import pytest

from ocigc.errors import MalformedError
from ocigc.layout.layout import Layout
from ocigc.native import NEVER, Detail, Ledger, Selection, Store, Verdict
from ocigc.times import SECOND
from ocigc.verification import ledger
from ocigc.verification.hashing import HashTerms, Scope, read_blobs
from tests.helpers.layouts import LayoutWriter

DAY = 86_400 * SECOND


class Runs:
    """Verifies a layout again and again, `later` seconds from now, so that nothing in it is young."""

    def __init__(self, writer: LayoutWriter) -> None:
        self.writer = writer
        self.notes: list[str] = []

    def __call__(self, scope: Scope, later: float = 10, *, before: int = 0, deadline: int | None = None) -> set[str]:
        """What was hashed."""
        self.notes.clear()
        began = time.time_ns() + int(later * SECOND)
        terms = HashTerms(scope, began, before, NEVER if deadline is None else deadline, jobs=1)
        with Layout(str(self.writer.path)) as layout, Store.scan(layout.fd, detail=Detail.IDENTITY) as store:
            with ledger.open_ledger(layout, store, began, self.notes.append, make=scope != Scope.ALL) as known:
                nodes = array("I", range(len(store)))
                self.outcome = read_blobs(store, known, nodes, lambda _: None, terms)
            self.order = [store.digest(node) for node in self.outcome.nodes]
            self.verdicts = dict(zip(self.order, map(Verdict, self.outcome.verdicts), strict=True))
        return set(self.order)

    @property
    def path(self) -> Path:
        return self.writer.path / ".ocigc" / "ledger"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    writer = LayoutWriter(tmp_path / "layout")
    for number in range(4):
        writer.tag(writer.image(f"image {number}", ["base", "x" * (70_000 * number)]), f"app:{number}")
    writer.blob("of another algorithm", algorithm="sha512")
    writer.blob("")
    return Runs(writer)


def test_what_is_known_is_not_hashed_again(runs: Runs) -> None:
    everything = runs.writer.present()
    assert runs(Scope.CHANGED) == everything
    written = runs.path.stat()
    assert runs(Scope.CHANGED) == set()
    assert runs.outcome.skipped == len(everything)
    assert runs.path.stat().st_ino == written.st_ino  # and nothing is written again
    new = runs.writer.blob("new")["digest"]
    assert runs(Scope.CHANGED) == {new}
    assert runs(Scope.CHANGED) == set()


def test_whatever_touches_a_blob_is_seen(runs: Runs) -> None:
    blob = runs.writer.blob("precious")
    path = runs.writer.blob_path(blob)
    runs(Scope.CHANGED)
    before = path.stat()
    path.write_bytes(b"PRECIOUS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert runs(Scope.CHANGED) == {blob["digest"]}  # by its ctime
    assert runs.verdicts == {blob["digest"]: Verdict.CORRUPT}
    assert runs(Scope.CHANGED) == {blob["digest"]}  # what is corrupt stays so
    replacement = path.with_name("replacement")
    replacement.write_bytes(b"precious")
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(path)
    assert runs(Scope.CHANGED) == {blob["digest"]}
    assert runs.verdicts == {blob["digest"]: Verdict.SOUND}
    assert runs(Scope.CHANGED) == set()


def test_a_blob_that_was_young_is_hashed_again(runs: Runs) -> None:
    everything = runs(Scope.CHANGED, 0)
    assert runs(Scope.CHANGED, 10) == everything
    young = runs.writer.blob("from the future")
    later = time.time_ns() + 20 * SECOND
    os.utime(runs.writer.blob_path(young), ns=(later, later))
    runs(Scope.CHANGED)
    assert runs(Scope.CHANGED, 15) == {young["digest"]}
    assert runs(Scope.CHANGED, 30) == {young["digest"]}
    assert runs(Scope.CHANGED, 31) == set()


def test_records_of_a_clock_that_was_ahead_are_not_believed(runs: Runs) -> None:
    everything = runs(Scope.CHANGED, 1000)
    assert runs(Scope.CHANGED, 10) == everything
    assert runs(Scope.CHANGED, 11) == set()


def test_a_copy_of_a_layout_is_verified_anew(runs: Runs, tmp_path: Path) -> None:
    everything = runs(Scope.CHANGED)
    copy = Runs(LayoutWriter(tmp_path / "copy"))
    shutil.copytree(runs.writer.path, copy.writer.path, dirs_exist_ok=True)
    assert copy(Scope.CHANGED) == everything


def test_a_flip_of_any_byte_of_the_ledger_is_noticed(runs: Runs) -> None:
    runs(Scope.CHANGED)
    sound = runs.path.read_bytes()
    now = time.time_ns() + 20 * SECOND
    with Layout(str(runs.writer.path)) as layout, Store.scan(layout.fd, detail=Detail.IDENTITY) as store:
        nodes = array("I", range(len(store)))
        for position in range(len(sound)):
            flipped = bytearray(sound)
            flipped[position] ^= 1 << position % 8
            runs.path.write_bytes(flipped)
            known = Ledger(store)
            with runs.path.open("rb") as file:
                try:
                    assert known.read(file.fileno(), now) == 1
                except MalformedError:
                    assert position < 48
            assert known.differs
            assert len(known.select(nodes, Selection.CHANGED)) in (1, len(nodes) - 1, len(nodes))
            known.close()


@pytest.mark.parametrize("scope", [Scope.CHANGED, Scope.QUICK, Scope.OLDER])
def test_what_is_rotten_is_found_with_a_damaged_ledger(runs: Runs, scope: Scope) -> None:
    rotten = runs.writer.blob("rotten")
    runs(Scope.CHANGED)
    sound = runs.path.read_bytes()
    runs.writer.blob_path(rotten).write_bytes(b"ROTTEN")
    for position in range(0, len(sound), 29):
        flipped = bytearray(sound)
        flipped[position] ^= 1 << position % 8
        runs.path.write_bytes(flipped)
        runs(scope)
        assert runs.verdicts[rotten["digest"]] == Verdict.CORRUPT
        assert len(runs.notes) == 1, position
        assert "\n" not in runs.notes[0]


def test_a_ledger_that_was_cut_off(runs: Runs) -> None:
    everything = runs(Scope.CHANGED)
    whole = runs.path.read_bytes()
    for length in range(0, len(whole), 23):
        runs.path.write_bytes(whole[:length])
        hashed = runs(Scope.CHANGED)
        assert hashed <= everything
        assert hashed
        assert len(runs.notes) == 1
        assert runs(Scope.CHANGED) == set()  # it is whole again
        assert runs.notes == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" * 100, b"ocigcldg" + bytes(100), os.urandom(5000)])
def test_a_file_that_is_no_ledger_is_replaced(runs: Runs, content: bytes) -> None:
    everything = runs(Scope.CHANGED)
    runs.path.write_bytes(content)
    assert runs(Scope.CHANGED) == everything
    assert len(runs.notes) == 1
    assert runs(Scope.CHANGED) == set()


def test_a_damaged_bucket_is_not_the_whole_ledger(runs: Runs) -> None:
    for number in range(5000):
        runs.writer.blob(f"blob {number}")
    everything = runs(Scope.CHANGED)
    content = bytearray(runs.path.read_bytes())
    content[1000] ^= 1
    runs.path.write_bytes(content)
    assert len(runs(Scope.CHANGED)) == 4096 < len(everything)
    assert "1 parts" in runs.notes[0]


def test_no_symlink_is_followed_and_no_directory_replaced(runs: Runs, tmp_path: Path) -> None:
    everything = runs(Scope.CHANGED)
    elsewhere = tmp_path / "elsewhere"
    runs.path.rename(elsewhere)
    runs.path.symlink_to(elsewhere)
    content = elsewhere.read_bytes()
    assert runs(Scope.CHANGED) == everything
    assert not runs.path.is_symlink()
    assert elsewhere.read_bytes() == content
    runs.path.unlink()
    runs.path.mkdir()
    assert runs(Scope.CHANGED) == everything
    assert len(runs.notes) == 2
    assert runs.path.is_dir()


def test_what_a_killed_run_has_left_is_taken_over(runs: Runs) -> None:
    runs(Scope.CHANGED)
    runs.path.with_name("ledger.new").write_bytes(b"left" * 10_000)
    runs.writer.blob("new")
    runs(Scope.CHANGED)
    assert runs(Scope.CHANGED) == set()
    assert [path.name for path in runs.path.parent.iterdir()] == ["ledger"]


def test_a_program_that_has_it_locked_does_not_stop_the_run(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PATIENCE", SECOND // 20)
    runs(Scope.CHANGED)
    new = runs.writer.blob("new")["digest"]
    with runs.path.with_name("ledger.new").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert runs(Scope.CHANGED) == {new}
        (note,) = runs.notes
        assert "/.ocigc/ledger: another program has locked it: the ledger is not kept" in note
    assert runs(Scope.CHANGED) == {new}
    assert runs(Scope.CHANGED) == set()


def test_records_of_blobs_that_are_gone_go(runs: Runs) -> None:
    runs(Scope.CHANGED)
    size = runs.path.stat().st_size
    gone = runs.writer.blob("gone")
    runs(Scope.CHANGED)
    assert runs.path.stat().st_size == size + 96
    runs.writer.blob_path(gone).unlink()
    runs(Scope.CHANGED)
    assert runs.path.stat().st_size == size


def test_quick_reads_what_nothing_has_touched(runs: Runs) -> None:
    blob = runs.writer.blob(b"\0" * 1_000_000)
    runs(Scope.CHANGED)
    new = runs.writer.blob("new")["digest"]
    assert runs(Scope.QUICK) == {new}
    assert runs.outcome.compared == len(runs.writer.present()) - 1
    path = runs.writer.blob_path(blob)
    with path.open("r+b") as file:
        file.seek(777_777)
        file.write(b"\x01")
    assert runs(Scope.QUICK) == {blob["digest"]}
    assert runs.verdicts[blob["digest"]] == Verdict.CORRUPT
    path.write_bytes(bytes(1_000_000))
    assert runs(Scope.QUICK) == {blob["digest"]}
    assert runs.verdicts[blob["digest"]] == Verdict.SOUND
    path.touch()
    assert runs(Scope.QUICK) == set()
    path.unlink()
    assert runs(Scope.QUICK) == set()


def test_the_oldest_go_first(runs: Runs) -> None:
    first = runs(Scope.CHANGED, 10)
    second = runs.writer.blob("second", algorithm="sha512")["digest"]
    runs(Scope.CHANGED, 20)
    now = time.time_ns()
    new = runs.writer.blob("new")["digest"]
    touched = runs.writer.blob("base")["digest"]
    assert runs(Scope.OLDER, 30, before=now) == {new, touched}
    assert runs(Scope.OLDER, 40, before=now + 15 * SECOND) == first - {touched}
    third = runs.writer.blob("third")["digest"]
    runs(Scope.OLDER, 50, before=now + DAY)
    assert runs.order[:2] == [third, second]  # the others by their digests
    assert len(runs.order) == len(first) + 3


def test_no_blob_is_begun_when_time_is_up(runs: Runs) -> None:
    everything = runs.writer.present()
    for scope in (Scope.OLDER, Scope.CHANGED, Scope.QUICK):
        assert runs(scope, deadline=time.monotonic_ns()) == set()
        assert runs.outcome.left == len(everything)
    assert not runs.path.exists()
    runs(Scope.CHANGED)
    assert runs(Scope.QUICK, deadline=time.monotonic_ns()) == set()
    assert (runs.outcome.left, runs.outcome.compared) == (len(everything), 0)


def test_many_writers_at_once(runs: Runs) -> None:
    """Whoever wins, what is there is a whole ledger."""
    runs(Scope.CHANGED)

    def often() -> None:
        own = Runs(runs.writer)
        for number in range(20):
            own(Scope.OLDER, 10 + number, before=time.time_ns() + DAY)
            assert own.notes == []

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs(Scope.CHANGED, 60) == set()
    assert runs.notes == []
    assert [path.name for path in runs.path.parent.iterdir()] == ["ledger"]
