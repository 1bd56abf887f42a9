"""Runs shards on the workers of a pool.

A shard that fails, dies or hangs goes to another worker; if none is left, the run ends with an error that names the
worker and the path. Dask itself moves the shards of a worker that dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from ocigc.cluster.worker_pool import POLL_SECONDS, Task, WorkerPool, in_a_line
from ocigc.errors import Refused

_ATTEMPTS = 3

Accept = Callable[[Task, object], str]
"""Takes the result of a task, or says why it cannot be trusted."""


def run_tasks(
    pool: WorkerPool, following: Callable[[], Task | None], accept: Accept, poll: Callable[[], None] = lambda: None
) -> list[str]:
    """Runs tasks, as many at once as keep the workers busy, and takes their results as they come. `following` gives the
    next task, or None where there is none for now: a result may make more. An exception of `poll`, or an interrupt,
    stops the workers. Gives the errors; the tasks that they name are not done.
    """
    run = _TaskRun(pool, accept, poll)
    try:
        return run.run(following)
    finally:
        run.cancel()


class _TaskRun:
    """One call of `run_tasks`."""

    def __init__(self, pool: WorkerPool, accept: Accept, poll: Callable[[], None]) -> None:
        self._pool = pool
        self._accept = accept
        self._poll = poll
        self._ended: SimpleQueue[object] = SimpleQueue()
        self._running: dict[str, tuple[object, Task, float]] = {}
        self._troubles: list[str] = []

    def run(self, following: Callable[[], Task | None]) -> list[str]:
        """Runs them all. If the scheduler or the last worker is gone, that is an error like any other, and the last."""
        try:
            while True:
                while len(self._running) < 2 * self._pool.slots and (task := following()) is not None:
                    self._start(task)
                if not self._running:
                    return self._troubles
                self._take()
                self._poll()
                self._pool.keep_up()
                self._find_hung()
        except Refused as error:
            return [*self._troubles, str(error)]

    def cancel(self) -> None:
        """Stops what still runs."""
        if self._running:
            self._pool.cancel([future for future, _, _ in self._running.values()])
            self._running.clear()

    def _start(self, task: Task) -> None:
        future = self._pool.submit(task)
        self._running[future.key] = future, task, time.monotonic()
        future.add_done_callback(self._ended.put)

    def _take(self) -> None:
        """Takes the results that have come, or waits a moment for one."""
        with suppress(Empty):
            future = self._ended.get(timeout=POLL_SECONDS)
            while True:
                self._end(future)
                future = self._ended.get_nowait()

    def _end(self, future: Any) -> None:
        known = self._running.pop(future.key, None)
        if known is None or known[1].done:
            return
        task = known[1]
        worker = wrong = ""
        try:
            answer = self._pool.answer(future, self._pool.longest_fetch)
            worker, wrong = answer.host, answer.wrong or self._accept(task, answer.value)
        except TimeoutError:
            wrong = "its answer cannot be fetched"
        except Exception as error:
            self._pool.keep_up()  # a scheduler that has gone is the better reason
            worker, wrong = _dead(error)
        if not wrong:
            task.done = True
            return
        self._again(task, self._address(future, worker), worker, wrong)

    def _address(self, future: object, worker: str) -> str:
        """The address of the worker that a task has ended on."""
        with suppress(Exception):
            return self._pool.worker_with(future)
        return worker

    def _again(self, task: Task, address: str, worker: str, wrong: str) -> None:
        self._pool.record_failure(address, task, wrong if not worker or worker == address else f"{wrong} ({worker})")
        if task.attempts >= _ATTEMPTS:
            self._troubles.append(task.wrong)
            return
        try:
            self._start(task)
        except Refused as error:
            self._troubles.append(str(error))

    def _find_hung(self) -> None:
        now = time.monotonic()
        late = {key for key, (_, task, began) in self._running.items() if now > began + task.limit}
        silent = self._pool.silent
        if not late and not silent:
            return
        at = self._pool.processing(None if late else silent)
        late |= {key for key in self._running if at.get(key) in silent}
        for key in late:
            future, task, _ = self._running.pop(key)
            self._pool.cancel([future])
            if not task.done:
                self._again(task, at.get(key, "that has it"), "", "it hangs, or is out of reach")


def _dead(error: BaseException) -> tuple[str, str]:
    """The worker where a task has ended without an answer, and why."""
    last = getattr(error, "last_worker", None)
    if last is not None:
        return str(getattr(last, "address", last)), "the workers that had it have died"
    return "", in_a_line(error)
