"""Dataclasses as JSON values and back, for what is written to a file or sent to another process.

Values that are read back are not trusted: every one has to be of the type that its field states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ocigc.digest import Digest

T = TypeVar("T")
_Names = tuple[type, ...]
_Read = Callable[[Any, str], Any]


def plain(value: Any) -> Any:
    """A value as JSON has it: objects, arrays, texts and numbers. Sets are sorted, and enums become their values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(each) for each in value]
    raise TypeError(f"no plain form of {type(value).__name__}")


def restored(kind: type[T], value: Any, *names: type) -> T:
    """A dataclass from its plain form. `names` are classes that its fields use and its module does not import at run
    time. Raises ValueError, naming the field, where a value has the wrong type."""
    found: T = _reader(kind, names)(value, kind.__name__)  # type: ignore[arg-type]
    return found


@cache
def _reader(hint: Any, names: _Names) -> _Read:  # noqa: PLR0911
    """Reads values of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return lambda value, _: value
    if origin in (Union, UnionType):
        (other,) = (each for each in arguments if each is not NoneType)
        read = _reader(other, names)
        return lambda value, where: None if value is None else read(value, where)
    if is_dataclass(hint):
        return _dataclass(hint, names)
    if origin is tuple and Ellipsis not in arguments:
        return _tuple([_reader(each, names) for each in arguments])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(*(_reader(each, names) for each in arguments), numbers=_is_number(arguments[0]))
    if origin is not None and issubclass(origin, Sequence | Set):
        return _items(_reader(arguments[0], names), tuple if issubclass(origin, Sequence) else frozenset)
    if issubclass(hint, Enum):
        return _enum(hint)
    return _scalar(hint)


def _dataclass(kind: Any, names: _Names) -> _Read:
    hints = get_type_hints(kind, localns={each.__name__: each for each in names})
    readers = {each.name: _reader(hints[each.name], names) for each in fields(kind)}

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object")
        if unknown := sorted(value.keys() - readers.keys()):
            raise ValueError(f"{where}: unknown field {unknown[0]!r}")
        found = {name: readers[name](each, f"{where}.{name}") for name, each in value.items()}
        try:
            return kind(**found)
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from None

    return read


def _tuple(readers: Sequence[_Read]) -> _Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be an array")
        if len(value) != len(readers):
            raise ValueError(f"{where} must have {len(readers)} items")
        return tuple(each(item, where) for each, item in zip(readers, value, strict=True))

    return read


def _items(item: _Read, make: Callable[[Any], Any]) -> _Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be an array")
        return make(item(each, where) for each in value)

    return read


def _mapping(key: _Read, item: _Read, *, numbers: bool) -> _Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object")
        if numbers and not all(name.isdecimal() for name in value):
            raise ValueError(f"{where} must have numbers as keys")
        return {
            key(int(name) if numbers else name, where): item(each, f"{where}.{name}") for name, each in value.items()
        }

    return read


def _is_number(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, int)


def _enum(hint: type[Enum]) -> _Read:
    def read(value: Any, where: str) -> Any:
        try:
            return hint(value)
        except ValueError:
            raise ValueError(f"{where} must be a {hint.__name__}") from None

    return read


def _scalar(hint: Any) -> _Read:
    accepted = (int, float) if hint is float else str if issubclass(hint, str) else hint
    make = {Digest: Digest.parse, float: _finite}.get(hint, hint)

    def read(value: Any, where: str) -> Any:
        # To Python, a bool is an int. Here it is not.
        if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
            raise ValueError(f"{where} must be of type {hint.__name__}")
        try:
            return make(value)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{where}: {error}") from None

    return read


def _finite(value: float) -> float:
    """JSON as Python reads it has NaN and Infinity. Raises ValueError."""
    if not isfinite(found := float(value)):
        raise ValueError("not a number")
    return found
