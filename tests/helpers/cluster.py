"""A dask scheduler and its workers, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_START_SECONDS = 60.0


class Cluster:
    """A scheduler, and workers that can be added, killed and stopped. `file` is what it has written for clients."""

    def __init__(self, directory: Path, *options: str, host: str = "127.0.0.1", protocol: str = "tcp") -> None:
        self.directory = directory
        self.file = directory / "scheduler.json"
        self._options = options
        self._processes: list[subprocess.Popen[bytes]] = []
        where = ("--host", host, "--port", "0", "--protocol", protocol, "--scheduler-file", str(self.file))
        self.scheduler = self._start("scheduler", "--no-dashboard", *where)
        wait_until(self._is_written)

    def worker(
        self, name: str, *, code: str = "", prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a worker of one thread, and waits until it is there. It runs `code` first: what a fault does to it."""
        variables = dict(environment or {})
        if code:
            (extra := self.directory / f"{name}.d").mkdir()
            (extra / "sitecustomize.py").write_text(code)
            variables["PYTHONPATH"] = str(extra)
        ready = self.directory / f"{name}.ready"
        preload = f"def dask_setup(worker):\n    open({str(ready)!r}, 'w').close()\n"
        process = self._start(
            "worker",
            *(self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name),
            *("--local-directory", str(self.directory), "--preload", preload),
            prefix=prefix,
            environment=variables,
        )
        wait_until(ready.exists)
        return process

    def _start(
        self, kind: str, *arguments: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = (self.directory / "log").open("ab")
        with log:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", f"distributed.cli.dask_{kind}", *self._options, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
            )
        self._processes.append(process)
        return process

    def _is_written(self) -> bool:
        try:
            return bool(json.loads(self.file.read_text()))
        except (OSError, ValueError):
            return False

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


def wait_until(ready: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "it does not start"
        time.sleep(0.05)
