"""Calls of the native core: their errors, long calls in a thread, and the layout of its structs."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ocigc._native import ffi, lib
from ocigc.errors import CorruptError, MalformedError, OcigcError, Refused
from ocigc.gc import graph
from ocigc.interrupts import interrupts_deferred
from ocigc.progress import Progress, Report
from ocigc.sequences import Lazy

NO_NODE = graph.NO_NODE
NEVER = 2**63 - 1
"""An instant that never comes."""
_POLL_SECONDS = 0.1

T = TypeVar("T")


class Unverifiable(Refused):
    """A manifest whose digest the core cannot compute."""


_EXCEPTIONS: dict[int, type[OcigcError]] = {
    lib.OCIGC_MALFORMED: MalformedError,
    lib.OCIGC_CORRUPT: CorruptError,
    lib.OCIGC_UNVERIFIABLE: Unverifiable,
}


# Errors


def message(error: Any) -> str:
    """The message of a `struct ocigc_error`."""
    return str(ffi.string(error.message).decode("ascii", "replace"))


def exception(error: Any) -> OcigcError:
    """What to raise for a `struct ocigc_error`."""
    return _EXCEPTIONS.get(error.code, Refused)(message(error))


def call(function: Callable[..., int], *arguments: object) -> None:
    """Calls a function that fills an error. Raises OcigcError."""
    error = ffi.new("struct ocigc_error *")
    if function(*arguments, error) != lib.OCIGC_OK:
        raise exception(error)


def long_call(function: Callable[..., int], *arguments: object, report: Report | None = None) -> None:
    """Calls a function that takes long, in a thread, and reports its progress. An interrupt, or an exception from
    `report`, cancels the call and waits for its end. Raises OcigcError.
    """
    call_ = LongCall(function, *arguments)
    try:
        call_.start()
        call_.wait(report)
    except BaseException:
        call_.cancel()
        raise


class LongCall:
    """A call of a function that takes long, in a thread of its own."""

    def __init__(self, function: Callable[..., int], *arguments: object) -> None:
        self._function, self._arguments = function, arguments
        self._error, self._progress = ffi.new("struct ocigc_error *"), ffi.new("struct ocigc_progress *")
        self._running = Background(self._run)

    def start(self) -> None:
        """Begins the call."""
        self._running.start()

    def wait(self, report: Report | None = None) -> None:
        """Waits for the end of the call, and reports its progress. Raises OcigcError."""
        progress = self._progress
        while not self._running.wait(_POLL_SECONDS):
            if report is not None:
                report(Progress(progress.items, progress.bytes, progress.total_items, progress.total_bytes))
        if self._running.result() != lib.OCIGC_OK:
            raise exception(self._error)

    def cancel(self) -> None:
        """Makes the call stop, and waits until it has: what it works on may be freed then."""
        with interrupts_deferred():
            self._progress.cancel = 1
            self._running.finish()

    def _run(self) -> int:
        if self._progress.cancel:
            return int(lib.OCIGC_CANCELLED)
        return self._function(*self._arguments, self._progress, self._error)


class Background(Generic[T]):
    """A call in a thread of its own. A `with` block starts it, and ends after it. (concurrent.futures does the same,
    but takes longer to load than most runs take.)
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._begun, self._ended = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begins the call. Raises Refused if the system allows no thread more."""
        try:
            threading.Thread(target=self._run).start()
        except RuntimeError as error:
            raise Refused("no thread can be started: a limit of processes or of memory is reached") from error

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the call ends within a number of seconds. (Thread.join is of no use here: if it is interrupted, it
        says that the thread has ended.)
        """
        return self._ended.wait(seconds)

    def finish(self) -> None:
        """Waits for the end of a call that has begun."""
        if self._begun.is_set():
            self._ended.wait()

    def result(self) -> T:
        """Waits for the call, and returns what it returned or raises what it raised."""
        self._ended.wait()
        for error in self._errors:
            raise error
        return self._results[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wait()

    def _run(self) -> None:
        self._begun.set()
        try:
            self._results.append(self._function())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._ended.set()


# Arrays and structs


def node_array(nodes: Iterable[int]) -> array[int]:
    """Nodes as the core takes them; an array as it is."""
    return nodes if isinstance(nodes, array) else array("I", nodes)


def pointer(nodes: array[int]) -> object:
    """The `uint32_t *` of an array of nodes."""
    return ffi.from_buffer("uint32_t[]", nodes)


def nodes_at(nodes: array[int], places: array[int]) -> array[int]:
    """The nodes in some places of an array; NO_NODE where it has no such place."""
    found = array("I", bytes(4 * len(places)))
    lib.ocigc_nodes_at(pointer(nodes), len(nodes), pointer(places), len(places), pointer(found))
    return found


def places_flagged(flags: bytes, places: array[int]) -> array[int]:
    """Those of the places that have a flag (a byte per place)."""
    found = array("I", bytes(4 * len(places)))
    marks = ffi.from_buffer("uint8_t[]", flags)
    return found[: lib.ocigc_places_flagged(marks, len(flags), pointer(places), len(places), pointer(found))]


def bytes_pointer(values: bytearray) -> object:
    """The `uint8_t *` of a bytearray that the core fills."""
    return ffi.from_buffer("uint8_t[]", values, require_writable=True)


def listed(function: Callable[..., int], *arguments: object) -> array[int]:
    """The nodes that a function lists. It is called twice: for their number, then for the nodes."""
    nodes = array("I", bytes(4 * function(*arguments, ffi.NULL, 0)))
    function(*arguments, pointer(nodes), len(nodes))
    return nodes


def memory(address: object, size: int) -> Any:
    """A buffer of `size` bytes at an address, which may be NULL if there are none."""
    return ffi.buffer(address, size) if size else b""


_CODES = {
    "int8_t": "b",
    "uint8_t": "B",
    "uint16_t": "H",
    "int32_t": "i",
    "uint32_t": "I",
    "int64_t": "q",
    "uint64_t": "Q",
}


def struct_of(name: str) -> Struct:
    """The layout of a struct of ocigc.h, with the members of nested structs, as the compiler made it. A million structs
    are unpacked many times faster in this way than through cffi.
    """
    size = ffi.sizeof(f"struct {name}")
    codes, end = _fields(ffi.typeof(f"struct {name}"), 0, 0)
    return Struct(f"={codes}{size - end}x")


class Rows(Lazy[tuple[int, ...]]):
    """Structs in memory, each unpacked when it is asked for."""

    def __init__(self, struct: Struct, content: bytes | bytearray) -> None:
        self._struct = struct
        self._content = content

    def __len__(self) -> int:
        return len(self._content) // self._struct.size

    def _make(self, place: int) -> tuple[int, ...]:
        return self._struct.unpack_from(self._content, place * self._struct.size)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return self._struct.iter_unpack(self._content)


def _fields(kind: Any, start: int, end: int) -> tuple[str, int]:
    codes = ""
    for _, field in kind.fields:
        offset = start + field.offset
        codes += f"{offset - end}x"
        if field.type.kind == "struct":
            inner, end = _fields(field.type, offset, offset)
            codes += inner
        else:
            codes += _CODES[field.type.cname]
            end = offset + ffi.sizeof(field.type)
    return codes, end
