"""Work beside the work: what concurrent.futures does too, but that takes longer to load than most runs do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A call in a thread of its own. As a context manager it begins with the block, which ends no sooner."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.wait()

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._ended.set()

    def result(self) -> T:
        """What the call gave, or raises what it raised."""
        self._ended.wait()
        for error in self._errors:
            raise error
        return self._results[0]
