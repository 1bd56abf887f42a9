"""SIGINT and SIGTERM, deferred while something must not be interrupted, and checked for where it may be."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PIPE_BYTES = 64
_thread = threading.local()


class Stop:
    """Whether all work is to stop. In a `with` block of the main thread, a signal sets this at once, whichever thread
    the kernel gives it to; Python's own handlers wait until the main thread runs again.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._pipe: tuple[int, int] | None = None
        self._before = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe is not None:
            signal.set_wakeup_fd(self._before)
            pipe, self._pipe = self._pipe, None
            for end in pipe:
                os.close(end)

    def set(self) -> None:
        """From here on, all work is to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether it is to stop."""
        if not self._event.is_set() and self._pipe is not None:
            with suppress(BlockingIOError):
                if any(number in _SIGNALS for number in os.read(self._pipe[0], _PIPE_BYTES)):
                    self._event.set()
        return self._event.is_set()


@contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Lets work in this thread, which gets no signals, be stopped by the given Stop."""
    _thread.stop = stop
    try:
        yield
    finally:
        del _thread.stop


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Defers both signals, and gives a function that raises KeyboardInterrupt if one has come. A signal after the last
    check is dropped, because the work is complete then. Threads other than the main one get no signals; there, the Stop
    of `stopped_by` counts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield partial(_check, getattr(_thread, "stop", None))
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, note)
    try:
        yield check
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _check(stop: Stop | None) -> None:
    if stop is not None and stop.is_set():
        raise KeyboardInterrupt
