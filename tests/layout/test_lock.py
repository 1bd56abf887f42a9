"""The lock of a layout, and what a run that changes nothing leaves: nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ocigc.errors import Busy, Refused
from ocigc.layout import lock
from ocigc.layout.layout import Layout
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter

SECOND = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("one"), "example.com/app:1")
    layout.tag(layout.image("two", ["two"]), "example.com/app:2")
    return layout.path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("prune", "--all", "--force"), 3),
        (("rm", "--force", "LAYOUT", "example.com/other:1"), 2),
        (("restore",), 2),
        (("restore", "--interrupted"), 2),
        (("trash", "empty", "--force"), 0),
        (("lease", "release", "LAYOUT", "none"), 2),
    ],
)
def test_a_run_that_changes_nothing_leaves_nothing(path: Path, arguments: tuple[str, ...], code: int) -> None:
    before = sorted(path.rglob("*"))
    words = [str(path) if each == "LAYOUT" else each for each in arguments]
    assert ocigc(*words, *(() if "LAYOUT" in arguments else (path,))).code == code
    assert sorted(path.rglob("*")) == before
    # What was there before stays.
    (path / ".ocigc").mkdir()
    assert ocigc(*words, *(() if "LAYOUT" in arguments else (path,))).code == code
    assert (path / ".ocigc" / "lock").exists()


def test_who_waits_for_a_lock_that_is_removed_gets_the_next_one(path: Path) -> None:
    """The file that was locked is not the lock any longer once it has lost its name."""
    inside: list[bool] = []

    def wait_for_it() -> None:
        with Layout(path) as layout, lock.exclusive(layout, 20 * SECOND):
            inside.append((path / ".ocigc" / "lock").exists())
            with Layout(path) as other, pytest.raises(Busy), lock.exclusive(other, 0):
                pass

    with Layout(path) as layout, lock.exclusive(layout, 0):
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        while _opened(path / ".ocigc" / "lock") < 2:
            time.sleep(0.01)
        assert not inside
    waiting.join()
    assert inside == [True]
    assert not (path / ".ocigc").exists()


def _opened(file: Path) -> int:
    """How many descriptors of this process are a file."""
    links = (Path("/proc/self/fd") / each for each in os.listdir("/proc/self/fd"))
    return sum(link.is_symlink() and os.path.realpath(link) == str(file) for link in links)


def test_a_state_that_vanishes_while_it_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[Layout], bool] = lock.make_state
    left = 3

    def make_state(layout: Layout) -> bool:
        nonlocal left
        made = real(layout)
        if left:
            left -= 1
            (path / ".ocigc").rmdir()
        return made

    monkeypatch.setattr(lock, "make_state", make_state)
    with Layout(path) as layout, lock.exclusive(layout, 0):
        assert (path / ".ocigc" / "lock").exists()
    assert left == 0


def test_a_lock_that_fails_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_: int, __: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (path / ".ocigc").mkdir()
    (path / ".ocigc" / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    with Layout(path) as layout:
        for locked in (lock.shared, lock.writing, lock.exclusive):
            with pytest.raises(Refused, match=r"\.ocigc/lock: Input/output error"), locked(layout, 0):
                pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads needs no lock, leases protect what a program writes, and nobody changes anything."""

    def flock(_: int, __: int) -> None:
        raise OSError(number, os.strerror(number))

    (path / ".ocigc").mkdir()
    (path / ".ocigc" / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    with Layout(path) as layout:
        with lock.shared(layout, 0):
            pass
        with lock.writing(layout, 0):
            pass
        with pytest.raises(Refused, match=r"\.ocigc/lock: the file system has no locks"), lock.exclusive(layout, 0):
            pass
