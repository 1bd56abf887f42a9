"""Lists of things of one kind: their columns, order and filters."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any, Generic, TypeVar

from ocigc.cli.command import Option
from ocigc.cli.output.tables import Column, lines, terminal_width
from ocigc.cli.output.words import parse_size
from ocigc.errors import UsageError, printable
from ocigc.values import frozen

T = TypeVar("T")

_SEPARATOR = "\0"  # in no cell: all are printable

QUIET = Option(
    "-q",
    "--quiet",
    action="store_true",
    help="print only names, one per line (for an image without a name, its digest)",
)
REVERSE = Option("--reverse", action="store_true", help="reverse the order")


@frozen
class Field(Generic[T]):
    """One column of a list: its cell, and the key to sort by. `short` is the cell on a terminal. A `falling` field
    is sorted with the largest first.
    """

    column: Column
    cell: Callable[[T], str]
    order: Callable[[T], object]
    short: Callable[[T], str] | None = None
    falling: bool = False


Fields = Mapping[str, Field[T]]
"""Fields by the names that --columns and --sort take."""

Predicate = Callable[[T], bool]


def sort_option(fields: Fields[Any]) -> Option:
    """--sort."""
    return Option(
        "--sort",
        metavar="COLUMN",
        choices=tuple(fields),
        help=f"sort by one of {', '.join(fields)} (default: by name); the largest and the newest come first",
    )


def columns_option(fields: Fields[Any]) -> Option:
    """--columns."""
    return Option(
        "--columns",
        metavar="LIST",
        help=f"show these columns, even on a narrow terminal: a list, with commas, of {', '.join(fields)}",
    )


def ordered(things: Sequence[T], wanted: Predicate[T], fields: Fields[T], args: argparse.Namespace) -> Iterator[T]:
    """The things that match the filters, in the order of --sort and --reverse. `things` is in the order of names, and
    equal ones keep that order. They are read one at a time, so that a million of them need not fit into memory.
    """
    if args.sort is None:
        return filter(wanted, reversed(things) if args.reverse else things)
    field = fields[args.sort]
    places = [(field.order(thing), place) for place, thing in enumerate(things) if wanted(thing)]
    places.sort(key=itemgetter(0), reverse=field.falling != args.reverse)
    return (things[place] for _, place in places)


def listed(things: Iterable[T], fields: Fields[T], default: Sequence[str], stated: str | None = None) -> Iterator[str]:
    """The lines of a table of these things, with the default columns or those that --columns states. Raises UsageError
    for columns that are not known.
    """
    names = default if stated is None else _named(stated, fields)
    picked = [fields[name] for name in names]
    width = terminal_width(sys.stdout)
    cells = [each.cell if width is None or each.short is None else each.short for each in picked]
    columns = [each.column for each in picked]
    if stated is not None:
        columns = [Column(each.title, each.right, 0, each.name, each.cut) for each in columns]
    rows = [_SEPARATOR.join([cell(thing) for cell in cells]) for thing in things]
    return lines(columns, lambda: (row.split(_SEPARATOR) for row in rows), width=width)


def check_columns(args: argparse.Namespace, fields: Fields[Any]) -> None:
    """Raises UsageError for --columns that are not known."""
    if args.columns is not None:
        _named(args.columns, fields)


def _named(text: str, fields: Fields[Any]) -> list[str]:
    names = [name.strip().lower() for name in text.split(",")]
    unknown = next((name for name in names if name not in fields), None)
    if unknown is not None:
        raise UsageError(f"--columns: {printable(unknown)!r} is not a column: choose from {', '.join(fields)}")
    return names


def filter_option(help_: str) -> Option:
    """--filter."""
    return Option("--filter", metavar="KEY=VALUE", action="append", default=[], help=help_)


def parse_filters(texts: Iterable[str], makers: Mapping[str, Callable[[str], Predicate[T]]]) -> Predicate[T]:
    """The test that --filter options ask for. A thing must match one of the values of every key. Raises UsageError."""
    found: dict[str, list[Predicate[T]]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in makers:
            raise UsageError(f"--filter {printable(text)!r}: expected KEY=VALUE, with a KEY of {', '.join(makers)}")
        try:
            found.setdefault(key, []).append(makers[key](value))
        except ValueError as error:
            raise UsageError(f"--filter {printable(text)!r}: {printable(str(error))}") from None
    if not found:
        return lambda _: True
    return lambda thing: all(any(each(thing) for each in alike) for alike in found.values())


def boolean(ask: Callable[[T], bool]) -> Callable[[str], Predicate[T]]:
    """A filter by what is true or false."""

    def make(value: str) -> Predicate[T]:
        if value.lower() not in ("true", "1", "false", "0"):
            raise ValueError(f"expected true or false, not {value!r}")
        wanted = value.lower() in ("true", "1")
        return lambda thing: ask(thing) == wanted

    return make


def pattern(ask: Callable[[T], Iterable[str]]) -> Callable[[str], Predicate[T]]:
    """A filter by a pattern of names, as a shell has them: `*` and `?`."""
    return lambda value: lambda thing: any(fnmatchcase(name, value) for name in ask(thing))


def larger(ask: Callable[[T], int]) -> Callable[[str], Predicate[T]]:
    """A filter by size."""

    def make(value: str) -> Predicate[T]:
        size = parse_size(value)
        return lambda thing: ask(thing) > size

    return make
