"""Values: immutable objects, equal if their fields are.

`@frozen` does what `@dataclass(frozen=True, slots=True)` does, and is for modules that a small command loads. A
dataclass takes half a millisecond to make, because six functions are compiled for it (and `inspect` is loaded first),
and a dry run has fifty such classes. Here only `__init__` is compiled, when the first object is made. Fields cannot be
inherited or keyword-only. To `dataclasses.fields`, `replace` and `asdict` these are dataclasses too.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


class _Factory:
    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], T]) -> T:
    """A field whose default is made anew for each object."""
    return _Factory(default_factory)  # type: ignore[return-value]


class _Fields:
    """The attribute that dataclasses have for their fields, made on demand."""

    __slots__ = ("_defaults", "_hints")

    def __init__(self, hints: dict[str, Any], defaults: dict[str, Any]) -> None:
        self._hints = hints
        self._defaults = defaults

    def __get__(self, instance: object, owner: Any) -> Any:
        import dataclasses

        described = []
        for name, hint in self._hints.items():
            default = self._defaults.get(name, dataclasses.MISSING)
            stated = {"default_factory": default.make} if isinstance(default, _Factory) else {"default": default}
            described.append((name, hint, dataclasses.field(**stated)))
        made = dataclasses.make_dataclass(owner.__name__, described)
        owner.__dataclass_fields__ = {each.name: each for each in dataclasses.fields(made)}
        return owner.__dataclass_fields__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Makes a class of values from the annotations in its body: slots, `__init__`, equality, hash and text."""
    hints = cls.__annotations__  # its own: never those of a base
    names = tuple(hints)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    body = {name: item for name, item in cls.__dict__.items() if name not in ("__dict__", "__weakref__", *names)}
    members: dict[str, Any] = {
        "__slots__": names,
        "__match_args__": names,
        "__dataclass_fields__": _Fields(hints, defaults),
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__repr__": _repr,
        "__eq__": _equal,
        "__hash__": _hash,
        "__reduce__": _reduce,
        "_values": property(attrgetter(*names) if len(names) > 1 else lambda self: [getattr(self, n) for n in names]),
    }
    metaclass: Any = type(cls)
    made = metaclass(cls.__name__, cls.__bases__, {**members, **body})

    def first(self: Any, *arguments: Any, **named: Any) -> None:
        made.__init__ = _init(made, names, defaults)
        made.__init__.__qualname__ = f"{cls.__qualname__}.__init__"
        made.__init__(self, *arguments, **named)

    made.__init__ = first
    return made  # type: ignore[no-any-return]


def replace(value: T, /, **changes: Any) -> T:
    """The same value with other fields."""
    for name in type(value).__match_args__:  # type: ignore[attr-defined]
        if name not in changes:
            changes[name] = getattr(value, name)
    return type(value)(**changes)


def _init(made: type, names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    arguments = [f"{name}=_{name}" if name in defaults else name for name in names]
    lines = [f"def __init__(self, {', '.join(arguments)}):", " pass"]
    for name in names:
        value = f"_{name}.make() if {name} is _{name} else " if isinstance(defaults.get(name), _Factory) else ""
        lines.append(f" _set_{name}(self, {value}{name})")
    # A slot sets twice as fast as object.__setattr__ does.
    scope: dict[str, Any] = {f"_set_{name}": made.__dict__[name].__set__ for name in names}
    scope.update((f"_{name}", each) for name, each in defaults.items())
    exec("\n".join(lines), scope)
    return scope["__init__"]


def _refuse(self: Any, name: str, _: object = None) -> NoReturn:
    raise AttributeError(f"cannot change field {name!r} of {type(self).__name__}")


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__match_args__)
    return f"{type(self).__qualname__}({fields})"


def _equal(self: Any, other: Any) -> Any:
    return self._values == other._values if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple(self._values))


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), tuple(self._values)
