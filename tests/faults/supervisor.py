"""Programs that stop before each of their calls on files: real ones, whatever language they are written in.

They run below `pause.c`, and a thread here lets each call go on. The calls of all threads of a program come one at a
time; those that are not below the layout are not told of.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.compiled import compiled

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV and _SEND
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_NOTICE = struct.Struct("=QII iIQ 6Q")  # struct seccomp_notif
_ANSWER = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_PATH_LIMIT = 4096
_AT_FDCWD = 0xFFFFFF9C
_WRITES = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR

# By number, on x86-64: the name, and which arguments are the directory and the path, or the open file.
_CALLS: dict[int, tuple[str, int | None, int | None]] = {
    **dict.fromkeys((1, 18), ("write", 0, None)),
    2: ("open", None, 0),
    **dict.fromkeys((4, 6, 21), ("stat", None, 0)),
    73: ("flock", 0, None),
    74: ("fsync", 0, None),
    76: ("truncate", None, 0),
    77: ("truncate", 0, None),
    82: ("rename", None, 1),
    83: ("mkdir", None, 0),
    **dict.fromkeys((84, 87), ("unlink", None, 0)),
    86: ("link", None, 1),
    217: ("list", 0, None),
    257: ("open", 0, 1),
    258: ("mkdir", 0, 1),
    **dict.fromkeys((262, 269, 332), ("stat", 0, 1)),
    263: ("unlink", 0, 1),
    **dict.fromkeys((264, 316), ("rename", 2, 3)),
    265: ("link", 2, 3),
    268: ("chmod", 0, 1),
    280: ("touch", 0, 1),
}


def supported() -> bool:
    """Whether calls can be supervised here."""
    return (
        os.uname().machine == "x86_64" and shutil.which("cc") is not None and os.path.exists("/proc/sys/kernel/seccomp")
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A call that a program is about to make: its name, the path below the layout, and whether it may change that."""

    name: str
    path: str
    changes: bool


def supervise(
    command: Sequence[str], root: Path, before: Callable[[int, Seen], bool], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a program. Before each of its calls below the directory `root`, `before` is called with its number, from 0;
    where that returns False, the program is killed."""
    program = shutil.which(command[0], path=environment.get("PATH"))
    assert program is not None, command
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as output:
        with theirs:
            process = subprocess.Popen(
                [str(compiled(Path(__file__).with_name("pause.c"))), str(theirs.fileno()), program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                env=dict(environment),
                cwd="/",
            )
        listener = _receive(ours)
        try:
            _serve(process, listener, str(root), before)
        finally:
            os.close(listener)
            code = _end(process)
        output.seek(0)
        return subprocess.CompletedProcess(list(command), code, output.read().decode(errors="replace"), "")


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def _receive(ours: socket.socket) -> int:
    files = array.array("i")
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_LEN(files.itemsize))
    assert ancillary, "seccomp's user notification is not permitted here"
    files.frombytes(ancillary[0][2][: files.itemsize])
    return files[0]


def _serve(process: subprocess.Popen[bytes], listener: int, root: str, before: Callable[[int, Seen], bool]) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    number = 0
    while True:
        if not all(event & select.POLLIN for _, event in poll.poll()):
            return
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, notice)
        except FileNotFoundError:
            continue  # the thread was killed meanwhile
        identity, pid, _, call, _, _, *arguments = _NOTICE.unpack(notice)
        seen = _seen(pid, call, arguments, root)
        if seen is not None:
            goes_on = before(number, seen)
            number += 1
            if not goes_on:
                process.kill()
                return
        with suppress(FileNotFoundError):
            fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(identity, 0, 0, _CONTINUE)))


def _seen(pid: int, call: int, arguments: Sequence[int], root: str) -> Seen | None:
    name, directory, path = _CALLS[call]
    try:
        if path is None:
            assert directory is not None
            where = os.readlink(f"/proc/{pid}/fd/{arguments[directory]}")
        else:
            where = _text(pid, arguments[path])
            if not where.startswith("/"):
                base = _AT_FDCWD if directory is None else arguments[directory] & 0xFFFFFFFF
                link = f"/proc/{pid}/cwd" if base == _AT_FDCWD else f"/proc/{pid}/fd/{base}"
                where = os.path.normpath(os.path.join(os.readlink(link), where))
    except OSError:
        return None
    if where != root and not where.startswith(f"{root}/"):
        return None
    changes = name not in ("open", "stat", "list", "flock", "fsync")
    if name == "open":
        changes = bool(arguments[1 if directory is None else 2] & _WRITES)
    return Seen("write" if name == "open" and changes else name, os.path.relpath(where, root), changes)


def _text(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        found = b""
        while b"\0" not in found and len(found) < _PATH_LIMIT:
            # Not over the end of a page, as the next one may not be there.
            piece = memory.read(4096 - (address + len(found)) % 4096)
            if not piece:
                break
            found += piece
    return os.fsdecode(found.partition(b"\0")[0])
