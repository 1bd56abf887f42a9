"""Hands shards to the workers of a cluster, watches them, and runs a shard elsewhere if something goes wrong.

A worker is used only after a greeting shows that it has this version of ocigc, and sees the same content below the
root. Its answers are checked like any foreign input. A shard that fails, dies or hangs goes to another worker; if none
is left, the run ends with an error that names the worker and the path. Dask itself moves the shards of a worker that
dies.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from ocigc._version import __version__
from ocigc.cluster.worker import Answer, Greeting, work
from ocigc.errors import Refused, printable
from ocigc.plain import restored
from ocigc.progress import Watcher

SHARD_SECONDS = 20.0
"""How long a shard should take at most, so that a lost worker costs less than a minute."""
SHARDS_PER_SLOT = 8
"""The number of shards for each slot of the workers: enough that all slots end at about the same time."""

_POLL_SECONDS = 0.1
_BETWEEN_SUBMITS = 0.01  # seconds: the scheduler gets at most a hundred shards in one
_ATTEMPTS = 3
_GREETING_SECONDS = 15.0
_NEW_WORKERS_SECONDS = 2.0
_RECONNECT_SECONDS = 5.0
_LEAST_MEMORY = 64 << 20  # bytes
_SHOWN = 3


@dataclass(slots=True)
class Task:
    """A shard to run: the name of the function that runs it, and its argument. `what` names it for people. It should
    take `seconds` seconds, and has failed on the workers `tried`, `wrong` being the last reason. `context` is for the
    caller.
    """

    name: str
    argument: Any
    what: str
    seconds: float
    context: Any = None
    tried: set[str] = field(default_factory=set)
    attempts: int = 0
    wrong: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Root:
    """The directory with the layouts, and the SHA-256 of the index.json of some of them, by path below it."""

    path: str
    indexes: Mapping[str, str]


Accept = Callable[[Task, Any], str]
"""Takes the result of a task, or says why it cannot be trusted."""


class Pool:
    """The workers of a cluster. Several threads may run tasks at once."""

    def __init__(self, client: Any, where: str, patience: float, watch: Watcher) -> None:
        self._client = client
        self._where = where
        self._patience = patience
        self._watch = watch
        self._root: Root | None = None
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._threads: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._looked = self._submitted = 0.0

    @property
    def slots(self) -> int:
        """How many shards the workers in use can run at once."""
        return max(1, sum(self._threads.values()))

    # Workers

    def admit(self, root: Root) -> None:
        """Greets all workers, and uses those that can be used. Raises Refused where none can."""
        self._root = root
        self._greet_new()
        if not self._threads:
            reasons = list(self._refused.values())
            more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
            why = f"{reasons[0]}{more}" if reasons else "there is none"
            raise Refused(f"cluster {self._where}: no worker can be used: {why}")
        for reason in self._refused.values():
            self._watch.note(f"{reason}; it is not used")

    def _greet_new(self) -> None:
        """Greets new workers, and forgets those that have gone."""
        assert self._root is not None
        self._looked = time.monotonic()
        there: dict[str, Any] = dict(self._client.scheduler_info(n_workers=-1)["workers"])
        self._threads = {address: count for address, count in self._threads.items() if address in there}
        new = [address for address in there if address not in self._threads and address not in self._refused]
        argument = self._root.path, tuple(self._root.indexes)
        asked = {address: self._send("greet", argument, [address]) for address in new}
        deadline = time.monotonic() + min(_GREETING_SECONDS, self._patience)
        for address, future in asked.items():
            wrong = self._unfit(future, deadline)
            if wrong:
                self._refused[address] = f"worker {address}: {wrong}"
            else:
                self._threads[address] = max(1, int(there[address]["nthreads"]))

    def _unfit(self, future: Any, deadline: float) -> str:  # noqa: PLR0911
        """Why a worker cannot be used; empty where it can."""
        assert self._root is not None
        try:
            answer = self.answer(future, max(0.1, deadline - time.monotonic()))
            if answer.wrong:
                return answer.wrong
            greeting = restored(Greeting, answer.value)
        except TimeoutError:
            future.cancel()
            return "it does not answer"
        except Exception as error:  # it may lack ocigc, or be anything
            return _line(error)
        if greeting.version != __version__:
            return f"it has ocigc {printable(greeting.version)}, and this is {__version__}"
        if greeting.memory < _LEAST_MEMORY:
            return "it has no memory left"
        for (path, here), there in itertools.zip_longest(self._root.indexes.items(), greeting.indexes):
            if here != there:
                seen = printable(there) if there and len(there) != len(here) else "a different index.json"
                return f"it sees other content than this host at {self._root.path}/{path}: {seen}"
        return ""

    # Tasks

    def run(self, tasks: Iterable[Task], accept: Accept, poll: Callable[[], None] = lambda: None) -> list[str]:
        """Runs tasks, as many at once as keep the workers busy, and takes their results as they come. An exception of
        `poll`, or an interrupt, stops the workers. Gives the errors; the tasks that they name are not done.
        """
        run = _Run(self, accept, poll)
        try:
            return run.run(iter(tasks))
        finally:
            run.cancel()

    def _send(self, name: str, argument: Any, workers: Sequence[str]) -> Any:
        key = f"ocigc-{name}-{id(self):x}-{next(self._numbers)}"
        return self._client.submit(work, name, argument, key=key, workers=list(workers), pure=False)

    def submit(self, task: Task) -> Any:
        """Hands a task to a worker that has not failed at it. Raises Refused where there is none."""
        with self._lock:
            workers = [address for address in self._threads if address not in task.tried]
            time.sleep(max(0.0, self._submitted + _BETWEEN_SUBMITS - time.monotonic()))
            self._submitted = time.monotonic()
        if not workers:
            raise Refused(task.wrong or f"cluster {self._where}: no worker is left")
        task.attempts += 1
        return self._send(task.name, task.argument, workers)

    def look_after(self) -> None:
        """Greets new workers now and then. Raises Refused where the scheduler has gone."""
        deadline = time.monotonic() + _RECONNECT_SECONDS
        while self._client.status != "running":
            if time.monotonic() > deadline or self._client.status == "closed":
                raise Refused(f"cluster {self._where}: the scheduler has gone")
            time.sleep(_POLL_SECONDS)
        with self._lock:
            if time.monotonic() > self._looked + _NEW_WORKERS_SECONDS:
                self._greet_new()

    def lose(self, worker: str, task: Task, wrong: str) -> None:
        """Records that a task has failed on a worker."""
        task.tried.add(worker)
        task.wrong = f"worker {worker}: {task.what}: {wrong}"

    def limit(self, task: Task) -> float:
        """The seconds after which a task counts as hanging, queues included."""
        return self._patience + 10 * task.seconds

    def processing(self, futures: Mapping[str, Task]) -> dict[str, str]:
        """By key, the worker that has a task now."""
        with suppress(Exception):
            found = self._client.processing()
            return {key: worker for worker, keys in found.items() for key in keys if key in futures}
        return {}

    def holder(self, future: Any) -> str:
        """The address of the worker that has a result."""
        return str(next(iter(self._client.who_has([future])[future.key])))

    @staticmethod
    def answer(future: Any, seconds: float) -> Answer:
        """The answer to a task. Raises TimeoutError, ValueError, and whatever dask raises."""
        content = future.result(timeout=seconds)
        if not isinstance(content, str):
            raise ValueError("the answer is not a text")
        return _parsed(content)

    def cancel(self, futures: Sequence[Any]) -> None:
        """Makes workers stop their work."""
        with suppress(Exception):
            self._client.cancel(list(futures), force=True)


def _parsed(content: str) -> Answer:
    """An `Answer` whose value is still in plain form. Raises ValueError."""
    found = json.loads(content)
    if not isinstance(found, dict) or set(found) != {"host", "value", "wrong"}:
        raise ValueError("the answer has another form")
    if not isinstance(found["host"], str) or not isinstance(found["wrong"], str):
        raise ValueError("the answer has another form")
    return Answer(found["host"], found["value"], printable(found["wrong"]))


def _line(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}".splitlines()[0])


class _Run:
    """One call of `Pool.run`."""

    def __init__(self, pool: Pool, accept: Accept, poll: Callable[[], None]) -> None:
        self._pool = pool
        self._accept = accept
        self._poll = poll
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._running: dict[str, tuple[Any, Task, float]] = {}
        self._troubles: list[str] = []

    def run(self, tasks: Iterator[Task]) -> list[str]:
        """Runs them all. If the scheduler or the last worker is gone, that is an error like any other, and the last."""
        try:
            while True:
                while len(self._running) < 2 * self._pool.slots and (task := next(tasks, None)) is not None:
                    self._start(task)
                if not self._running:
                    return self._troubles
                self._take()
                self._poll()
                self._pool.look_after()
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
            future = self._ended.get(timeout=_POLL_SECONDS)
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
            answer = self._pool.answer(future, self._pool.limit(task))
            worker, wrong = answer.host, answer.wrong or self._accept(task, answer.value)
        except TimeoutError:
            wrong = "its answer cannot be fetched"
        except Exception as error:
            worker, wrong = _dead(error)
        if not wrong:
            task.done = True
            return
        self._again(task, self._address(future, worker), worker, wrong)

    def _address(self, future: Any, worker: str) -> str:
        """The address of the worker that a task has ended on."""
        with suppress(Exception):
            return self._pool.holder(future)
        return worker

    def _again(self, task: Task, address: str, worker: str, wrong: str) -> None:
        self._pool.lose(address, task, wrong if not worker or worker == address else f"{wrong} ({worker})")
        if task.attempts >= _ATTEMPTS:
            self._troubles.append(task.wrong)
            return
        try:
            self._start(task)
        except Refused as error:
            self._troubles.append(str(error))

    def _find_hung(self) -> None:
        now = time.monotonic()
        late = {key: entry for key, entry in self._running.items() if now > entry[2] + self._pool.limit(entry[1])}
        if not late:
            return
        at = self._pool.processing({key: task for key, (_, task, _) in late.items()})
        for key, (future, task, _) in late.items():
            del self._running[key]
            self._pool.cancel([future])
            if not task.done:
                self._again(task, at.get(key, "that has it"), "", "it hangs, or is out of reach")


def _dead(error: BaseException) -> tuple[str, str]:
    """The worker where a task has ended without an answer, and why."""
    last = getattr(error, "last_worker", None)
    if last is not None:
        return str(getattr(last, "address", last)), "the workers that had it have died"
    return "", _line(error)
