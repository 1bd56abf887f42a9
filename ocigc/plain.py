"""Dataclasses as JSON values and back, for what is written to a file or sent to another process.

What is read back is a stranger's until it has been checked: every value has to be of the type that its field states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: Any) -> Any:
    """A value as JSON has it: objects, arrays, texts, numbers. Sets are sorted."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in sorted(value.items())}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no plain form of {type(value).__name__}")


def restored(kind: type[T], value: Any) -> T:
    """A dataclass out of its plain form. Raises ValueError that names the field where a value is not of its type."""
    return _dataclass(kind, value, kind.__name__)


def _dataclass(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object")
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"{where}: unknown field {unknown[0]!r}")
    found = {name: _value(hints[name], each, f"{where}.{name}") for name, each in value.items()}
    try:
        return kind(**found)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def _value(hint: Any, value: Any, where: str) -> Any:  # noqa: PLR0911
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (each for each in arguments if each is not NoneType)
        return _value(hint, value, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint, value, where)
    if origin in (tuple, frozenset):
        if not isinstance(value, list):
            raise ValueError(f"{where} must be an array")
        if origin is tuple and Ellipsis not in arguments:
            if len(value) != len(arguments):
                raise ValueError(f"{where} must have {len(arguments)} items")
            return tuple(_value(each, item, where) for each, item in zip(arguments, value, strict=True))
        return origin(_value(arguments[0], item, where) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object")
        return {key: _value(arguments[1], each, f"{where}.{key}") for key, each in value.items()}
    # A bool is an int to Python, and to nobody else.
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} must be of type {hint.__name__}")
    return value
