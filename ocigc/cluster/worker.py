"""What runs on a worker: shards. They only read, and answer with one line of JSON."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ocigc._version import __version__
from ocigc.cluster import blob_shard, layout_shard, manifest_shard
from ocigc.cluster.view import View, view
from ocigc.errors import OcigcError
from ocigc.layout.dirfd import Dir
from ocigc.native import map_blobs
from ocigc.plain import plain
from ocigc.progress import Progress, Report

_RUNNING = ("executing", "long-running")


class _Stopped(Exception):
    """Nobody is waiting for the answer any more."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker reports before it gets work. `views` has what it sees of some layouts; `memory` is the free memory,
    in bytes.
    """

    version: str
    host: str
    pid: int
    kernel: str
    memory: int
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The plain form of the result of a shard, or what went `wrong`; `host` is the worker that answers."""

    host: str
    value: object = None
    wrong: str = ""


def work(name: str, argument: object) -> str:
    """Runs one shard, and answers with an `Answer` as JSON. It stops soon after its caller has stopped waiting."""
    value, wrong = None, ""
    with suppress(OcigcError):
        map_blobs()  # the process is dask's worker: nothing else in it handles SIGBUS
    try:
        value = plain(_SHARDS[name](argument, _listening()))
    except _Stopped:
        wrong = "stopped"
    except OcigcError as error:
        wrong = str(error)
    except OSError as error:
        wrong = f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    except Exception as error:  # any error is reported to the caller
        wrong = f"{type(error).__name__}: {error}"
    return json.dumps({"host": _host(), "value": value, "wrong": wrong})


def greet(argument: tuple[str, tuple[str, ...]], _: Report) -> Greeting:
    """Greets with what it sees of some layouts below a root."""
    root, paths = argument
    return Greeting(
        __version__, socket.gethostname(), os.getpid(), os.uname().release, _free_memory(), _views(root, paths)
    )


def _views(root: str, paths: tuple[str, ...]) -> tuple[View, ...]:
    with Dir.at(root) as directory:
        return tuple(view(directory, path) for path in paths)


def _free_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) << 10


def _host() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


def _listening() -> Report:
    """A progress report that raises once nobody waits for the task that runs in this thread."""
    from distributed import get_worker

    try:
        worker = get_worker()
        key = worker.get_current_task()
    except ValueError:
        return lambda _: None  # not on a worker

    def report(_: Progress) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state not in _RUNNING:
            raise _Stopped

    return report


_SHARDS: dict[str, Callable[[Any, Report], object]] = {
    "greet": greet,
    "blobs": blob_shard.run,
    "layouts": layout_shard.run,
    "manifests": manifest_shard.run,
}
