"""`--metrics-file`: what came of a run, in a file that a collector reads whenever it likes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ocigc.errors import Refused, UsageError
from ocigc.printable import printable
from ocigc.report import metrics
from ocigc.store import files

_MODE = 0o644  # the collector is another user
_LIMIT = 1 << 20  # bytes
_SUCCESS = "last_success_timestamp_seconds"


class MetricsFile:
    """The metrics file of one run of `command` on `layout`. The run confines itself before it knows what to write:
    `directory`, open from the start, has to stay writable.
    """

    def __init__(self, path: str, command: str, layout: str) -> None:
        """Raises UsageError where no such file can be written, or the file that is there is of something else."""
        self._shown = printable(path)
        self._name = os.path.basename(path)
        self._labels = metrics.labels(command, os.path.abspath(layout))
        self._began = time.monotonic()
        self._measured: dict[str, float] = {}
        if not self._name:
            raise UsageError(f"--metrics-file {self._shown}: a file is wanted, not a directory")
        parent = os.path.dirname(path) or "."
        try:
            self.directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            raise UsageError(f"--metrics-file {self._shown}: {reason}: its directory has to be there") from None
        try:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.directory, effective_ids=True):
                raise UsageError(f"--metrics-file {self._shown}: its directory cannot be written to")
            self._success = self._previous_success()
        except BaseException:
            os.close(self.directory)
            raise

    def _previous_success(self) -> float:
        try:
            content = files.read(self.directory, self._name, _LIMIT)
            return metrics.read(content.decode(errors="replace"), self._labels).get(_SUCCESS, 0)
        except FileNotFoundError:
            return 0
        except (OSError, Refused) as error:
            raise UsageError(f"--metrics-file {self._shown}: {getattr(error, 'strerror', None) or error}") from None
        except ValueError:
            raise UsageError(
                f"--metrics-file {self._shown}: this file holds something else; give every command and layout a file "
                "of its own"
            ) from None

    def add(self, values: Mapping[str, float]) -> None:
        """Adds what was measured to what is known."""
        for name, value in values.items():
            self._measured[name] = self._measured.get(name, 0) + value

    def write(self, code: int) -> None:
        """Replaces the file, at once or not at all, by what is known of a run that ends with an exit code. Raises
        Refused."""
        now = round(time.time(), 3)
        values = {
            "last_run_timestamp_seconds": now,
            _SUCCESS: self._success if code else now,
            "last_exit_code": code,
            "duration_seconds": round(time.monotonic() - self._began, 3),
            **self._measured,
        }
        content = metrics.exposition(values, self._labels).encode()
        try:
            # Collectors read *.prom, and not the hidden file that this is at first.
            files.replace(self.directory, self._name, content, _MODE)
        except OSError as error:
            raise Refused(
                f"--metrics-file {self._shown}: {error.strerror or error}; only the metrics are lost"
            ) from None
