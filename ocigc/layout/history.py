"""`.ocigc/history.jsonl`: one JSON object per line for each run that changed or verified the layout.

    {"time": "2026-01-02T15:04:05Z", "run": "5f2d01ab", "command": "prune", "user": "root", "images": 12, "blobs": 80,
     "bytes": 123456, "freed": 4096, "trashed": 0, "repositories": {"example.com/app": 4096}}

`time` is when the run ended, `bytes` the size of all blobs after it, and `repositories` the size of the blobs of each
repository's images. Figures that a run did not compute are missing. The file is for people and charts; no decision
depends on it.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from ocigc.errors import Refused
from ocigc.layout.dirfd import Dir, copy_owner_and_mode, reason
from ocigc.layout.layout import INDEX, STATE, Layout
from ocigc.layout.lock import lock_file
from ocigc.progress import Watcher
from ocigc.times import SECOND, format_rfc3339, parse_rfc3339
from ocigc.values import frozen

NAME = "history.jsonl"
LIMIT = 4 << 20
"""Bytes. A file that would grow larger keeps its newer half."""

_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PATIENCE = 5 * SECOND  # a line takes a moment
_READ_LIMIT = 2 * LIMIT


def append(layout: Layout, state: Dir, run: str, command: str, figures: Mapping[str, object], watch: Watcher) -> None:
    """Adds the line of a run that ends now. If the history cannot be written, this is noted, and the run does
    not fail.
    """
    line = {"time": format_rfc3339(time.time_ns()), "run": run, "command": command, "user": _user(), **figures}
    try:
        with _locked(layout, state) as fd:
            _write(state, fd, json.dumps(line).encode() + b"\n")
    except (OSError, Refused) as error:
        what = reason(error) if isinstance(error, OSError) else error
        watch.note(f"{layout.path}/{STATE}/{NAME}: {what}: this run is not in the history")


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@contextmanager
def _locked(layout: Layout, state: Dir) -> Iterator[int]:
    """The open history, under its own lock, as runs of verify share the lock of the layout."""
    while True:
        fd = os.open(NAME, _OPEN, 0o600, dir_fd=state.fd)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Refused("not a plain file; remove it")
            lock_file(fd, _PATIENCE)
            # Another run may have replaced it with a shorter one.
            if os.path.samestat(os.fstat(fd), state.stat(NAME)):
                if os.fstat(fd).st_size == 0:
                    copy_owner_and_mode(fd, layout.dir.stat(INDEX))
                yield fd
                return
        finally:
            os.close(fd)


def _write(state: Dir, fd: int, line: bytes) -> None:
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        line = b"\n" + line  # the last line was cut off
    if size + len(line) <= LIMIT:
        os.write(fd, line)
        os.fsync(fd)
        return
    newer = os.pread(fd, LIMIT // 2, max(0, size - LIMIT // 2))
    state.replace(NAME, newer[newer.find(b"\n") + 1 :] + line.removeprefix(b"\n"), os.fstat(fd))


@frozen
class Run:
    """One run: when it ended (an instant), its command, and the whole line."""

    time: int
    command: str
    line: Mapping[str, object]


def read(layout: Layout) -> list[Run]:
    """The last runs, the oldest first. A damaged line, a line without a time, and a file that cannot be read are
    ignored: the history is never a reason to stop.
    """
    with suppress(OSError, Refused):
        with layout.dir.below(STATE) as state:
            with state.reader(NAME) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_LIMIT))
                content = file.read(_READ_LIMIT)
        return sorted(_runs(content), key=lambda run: run.time)
    return []


def _runs(content: bytes) -> Iterator[Run]:
    for line in content.splitlines():
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            record = json.loads(line)
            yield Run(parse_rfc3339(record["time"]), str(record["command"]), record)
