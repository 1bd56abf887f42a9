"""One process of `ocigc` that stops where it is told to: a scheduler's actor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.injection import Call, call_of, shim
from tests.helpers.command import Result

_FILES_CLOCK = 5  # CLOCK_REALTIME_COARSE
_ROOT = Path(__file__).parents[2]
_START = f"""
import runpy, sys
sys.path.append({str(_ROOT)!r})
runpy.run_module('tests.faults.fork_server', run_name='__main__')
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a command, and the calls that it made below the layout."""

    result: Result
    calls: list[Call]


class Actor:
    """Runs one command after the other, on one CPU: then its calls come in the same order each time."""

    def __init__(self, cpu: int) -> None:
        self._messages, messages_end = os.pipe()
        answers_end, self._answers = os.pipe()
        self._environment = {"FAULT_ASK": str(messages_end), "FAULT_ANSWER": str(answers_end)}
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, str(messages_end), str(cpu)],
            env={**os.environ, "LD_PRELOAD": str(shim())},
            stdin=subprocess.PIPE,
            pass_fds=(messages_end, answers_end),
            text=True,
            cwd="/",
        )
        os.close(messages_end)
        os.close(answers_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.communicate()
        os.close(self._messages)
        os.close(self._answers)

    def run(
        self,
        layout: Path,
        arguments: Sequence[str],
        stops: Iterable[int] = (),
        act: Callable[[], bool] = lambda: True,
        *,
        exchange: bool = True,
        old: int | None = None,
    ) -> Run:
        """Runs a command. What is in the layout since before the instant `old`, or at its beginning, looks a day old.
        Before each of the calls `stops`, from 0, in their order, `act` is called; where that returns False, the process
        is killed. Without `exchange`, the file system cannot exchange two names."""
        now = time.time_ns()
        while time.clock_gettime_ns(_FILES_CLOCK) <= now:
            time.sleep(0.0005)  # the clock of files is some milliseconds late
        environment = {
            **self._environment,
            "FAULT_ROOT": str(layout),
            "FAULT_OLD": str(now + 1 if old is None else old),
            "FAULT_NO_EXCHANGE": str(int(not exchange)),
            "FAULT_STOPS": ",".join(map(str, stops)),
        }
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([list(arguments), environment]) + "\n")
        self._server.stdin.flush()
        message = b""
        while not message.endswith(b"\n"):
            received = os.read(self._messages, 1 << 20)
            assert received, "the server has ended"
            if received == b"?":
                os.write(self._answers, b"g" if act() else b"k")
            else:
                message += received
        code, out, err, log = json.loads(message)
        assert "Traceback" not in err, err
        return Run(Result(code, out, err), [call_of(line) for line in log.splitlines()])
