"""The workers of a cluster: which can be used, and how one of them is handed a shard and answers.

A worker is used only after a greeting shows that it has this version of ocigc, and sees the same content below the
root. Its answers are checked like any foreign input.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ocigc._version import __version__
from ocigc.cluster.view import View
from ocigc.cluster.worker import Answer, Greeting, work
from ocigc.errors import Refused, printable
from ocigc.plain import restored
from ocigc.progress import Watcher

SHARD_SECONDS = 20.0
"""How long a shard should take at most, so that a lost worker costs less than a minute."""
SHARDS_PER_SLOT = 8
"""The number of shards for each slot of the workers: enough that all slots end at about the same time."""

POLL_SECONDS = 0.1
_BETWEEN_SUBMITS = 0.01  # seconds: the scheduler gets at most a hundred shards in one
_GREETING_SECONDS = 30.0  # a shard of another run may come before, and workers may start with the scheduler
_LATE_SECONDS = 5.0  # after that, work begins without those that have not answered
_NEW_WORKERS_SECONDS = 2.0
_RECONNECT_SECONDS = 5.0
_FETCH_SECONDS = 15.0
_LEAST_MEMORY = 64 << 20  # bytes
_MOST_TEXT = 1000  # characters


@dataclass(slots=True)
class Task:
    """A shard to run: the name of the function that runs it, and its argument. `what` names it for people. It should
    take `seconds` seconds, and counts as hanging `limit` seconds after it was last submitted, what is before it in the
    queues included. It has failed on the workers `tried`, `wrong` being the last reason. `context` is for the caller.
    """

    name: str
    argument: object
    what: str
    seconds: float
    context: Any = None
    tried: set[str] = field(default_factory=set)
    attempts: int = 0
    wrong: str = ""
    done: bool = False
    limit: float = inf


@dataclass(frozen=True, slots=True)
class Root:
    """The directory with the layouts, and what this host sees of some of them, by path below it."""

    path: str
    views: Mapping[str, View]


@dataclass(frozen=True, slots=True)
class _Greeted:
    """A worker with so many `threads` whose answer is awaited `until` an instant."""

    future: Any
    until: float
    threads: int


class WorkerPool:
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
        self._greeted: dict[str, _Greeted] = {}
        self._refused: dict[str, str] = {}
        self._heard: dict[str, tuple[float, float]] = {}
        self._silent: frozenset[str] = frozenset()
        self._looked = self._submitted = 0.0
        self._load_lock = threading.Lock()  # dask's only thread for callbacks must not wait for a scheduler
        self._load = 0.0  # the seconds that all shards in the queues should take

    @property
    def slots(self) -> int:
        """How many shards the workers in use can run at once."""
        return max(1, sum(self._threads.values()))

    # Workers

    def admit(self, root: Root) -> None:
        """Greets all workers, and uses those that can be used. Those that answer late are used from then on. Where
        there is none yet, it waits for one. Raises Refused where none can be used.
        """
        self._root = root
        self._look_around()
        began = self._looked
        while self._may_come(time.monotonic() - began):
            time.sleep(POLL_SECONDS / 10)
            self._hear()
            if time.monotonic() > self._looked + _NEW_WORKERS_SECONDS:
                self._look_around()
        if not self._threads:
            reasons = list(self._refused.values())
            more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
            why = f"{reasons[0]}{more}" if reasons else "none has joined the scheduler"
            raise Refused(f"cluster {self._where}: no worker can be used: {why}")
        for reason in self._refused.values():
            self._watch.note(f"{reason}; it is not used")

    def _may_come(self, waited: float) -> bool:
        """Whether to wait for another worker, after so many seconds."""
        if self._greeted:
            return not self._threads or waited <= _LATE_SECONDS
        return not (self._threads or self._refused) and waited <= self._longest_greeting

    @property
    def _longest_greeting(self) -> float:
        return min(_GREETING_SECONDS, self._patience)

    def _look_around(self) -> None:
        """Greets new workers, and forgets those that have gone. Raises Refused where the scheduler hangs."""
        assert self._root is not None
        self._looked = time.monotonic()
        try:
            there: dict[str, Any] = dict(self._ask(self._client.scheduler.identity, n_workers=-1)["workers"])
        except TimeoutError:
            raise Refused(f"cluster {self._where}: the scheduler does not answer") from None
        except OSError:
            return  # it may have gone: see keep_up
        self._threads = {address: count for address, count in self._threads.items() if address in there}
        self._greeted = {address: greeted for address, greeted in self._greeted.items() if address in there}
        self._listen({address: float(each["last_seen"]) for address, each in there.items()})
        until = self._looked + self._longest_greeting
        for address in there.keys() - self._threads.keys() - self._greeted.keys() - self._refused.keys():
            future = self._send("greet", (self._root.path, tuple(self._root.views)), [address], priority=1)
            self._greeted[address] = _Greeted(future, until, max(1, int(there[address]["nthreads"])))

    def _ask(self, call: Callable[..., Any], **arguments: object) -> Any:
        """The scheduler's answer. Raises TimeoutError, and whatever dask raises."""
        return self._client.sync(call, **arguments, callback_timeout=self._patience)

    def _listen(self, last: Mapping[str, float]) -> None:
        """Finds the silent workers, given when the scheduler has last heard of each, by the scheduler's own clock."""
        for address, instant in last.items():
            if self._heard.get(address, (None,))[0] != instant:
                self._heard[address] = instant, self._looked
        self._silent = frozenset(each for each in last if self._looked > self._heard[each][1] + self._patience)

    def _hear(self) -> list[str]:
        """Takes the answers to greetings that have come. Gives why workers cannot be used."""
        wrongs = []
        for address, greeted in list(self._greeted.items()):
            if not greeted.future.done() and time.monotonic() < greeted.until:
                continue
            del self._greeted[address]
            if wrong := self._unfit(greeted.future):
                self._refused[address] = f"worker {address}: {wrong}"
                wrongs.append(self._refused[address])
            else:
                self._threads[address] = greeted.threads
        return wrongs

    def _unfit(self, future: Any) -> str:  # noqa: PLR0911
        """Why a worker cannot be used; empty where it can."""
        assert self._root is not None
        try:
            if not future.done():
                raise TimeoutError
            answer = self.answer(future, _FETCH_SECONDS)
            greeting = None if answer.wrong else restored(Greeting, answer.value)
        except TimeoutError:
            future.cancel()
            return "it does not answer"
        except Exception as error:  # it may lack ocigc, or be anything
            return in_a_line(error)
        if greeting is None:
            return answer.wrong
        if greeting.version != __version__:
            return f"it has ocigc {printable(greeting.version)}, and this is {__version__}"
        if greeting.memory < _LEAST_MEMORY:
            return "it has no memory left"
        if len(greeting.views) != len(self._root.views):
            return "its greeting has another form"
        for (path, here), there in zip(self._root.views.items(), greeting.views, strict=True):
            if other := here.difference(there):
                return f"it sees other content than this host at {self._root.path}/{path}: {other}"
        return ""

    # Tasks

    def _send(self, name: str, argument: object, workers: Sequence[str], priority: int = 0) -> Any:
        key = f"ocigc-{name}-{id(self):x}-{next(self._numbers)}"
        return self._client.submit(work, name, argument, key=key, workers=list(workers), pure=False, priority=priority)

    def submit(self, task: Task) -> Any:
        """Hands a task to a worker that has not failed at it. Raises Refused where there is none."""
        with self._lock:
            unfit = task.tried | self._silent
            workers = [address for address in self._threads if address not in unfit]
            time.sleep(max(0.0, self._submitted + _BETWEEN_SUBMITS - time.monotonic()))
            self._submitted = time.monotonic()
        if not workers:
            raise Refused(task.wrong or f"cluster {self._where}: no worker is left")
        task.attempts += 1
        seconds = task.seconds
        future = self._send(task.name, task.argument, workers)
        before = self._add_load(seconds)
        task.limit = self._patience + 10 * seconds + 2 * before / self.slots
        future.add_done_callback(lambda _: self._add_load(-seconds))
        return future

    def _add_load(self, seconds: float) -> float:
        """Adds to what is in the queues, in seconds, and gives what was there before, also of other runs."""
        with self._load_lock:
            before = self._load
            self._load += seconds
        return before

    def keep_up(self) -> None:
        """Greets new workers now and then. Raises Refused where the scheduler has gone or hangs."""
        deadline = time.monotonic() + _RECONNECT_SECONDS
        while self._client.status != "running":
            if time.monotonic() > deadline or self._client.status == "closed":
                raise Refused(f"cluster {self._where}: the scheduler has gone")
            time.sleep(POLL_SECONDS)
        with self._lock:
            if time.monotonic() > self._looked + _NEW_WORKERS_SECONDS:
                self._look_around()
            for reason in self._hear():
                self._watch.note(f"{reason}; it is not used")

    def record_failure(self, worker: str, task: Task, wrong: str) -> None:
        """Records that a task has failed on a worker."""
        task.tried.add(worker)
        task.wrong = f"{f'worker {worker}' if worker else 'a worker'}: {task.what}: {wrong}"

    @property
    def longest_fetch(self) -> float:
        """The seconds that it may take to fetch an answer."""
        return self._patience + 10 * SHARD_SECONDS

    @property
    def silent(self) -> frozenset[str]:
        """The workers that have been stopped or cut off: the scheduler has not heard of them for a while."""
        return self._silent

    def processing(self, workers: Iterable[str] | None = None) -> dict[str, str]:
        """By key, the worker that has a task now: any, or one of these."""
        with suppress(Exception):
            found = self._ask(self._client.scheduler.processing, workers=workers if workers is None else list(workers))
            return {key: worker for worker, keys in found.items() for key in keys}
        return {}

    def worker_with(self, future: Any) -> str:
        """The address of the worker that has a result."""
        return str(next(iter(self._client.who_has([future])[future.key])))

    @staticmethod
    def answer(future: Any, seconds: float) -> Answer:
        """The answer to a task. Raises TimeoutError, ValueError, and whatever dask raises."""
        content = future.result(timeout=seconds)
        if not isinstance(content, str):
            raise ValueError("the answer is not a text")
        return _parsed(content)

    def cancel(self, futures: Sequence[object]) -> None:
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
    return Answer(_short(found["host"]), found["value"], _short(found["wrong"]))


def in_a_line(error: BaseException) -> str:
    """What is wrong, as people can read it."""
    return _short(f"{type(error).__name__}: {error}".splitlines()[0])


def _short(text: str) -> str:
    """A text of a worker, as people can read it."""
    return printable(text[:_MOST_TEXT])
