"""Plain text tables, as docker prints them: left-aligned columns, three spaces between, no lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

SHORT_DIGEST = 19  # characters: "sha256:" and the twelve digits that docker shows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    return columns(lambda: (header, *rows))


def columns(rows: Callable[[], Iterable[Sequence[str]]]) -> Iterator[str]:
    """The same without a header. Asks for the rows twice, so that they need not all be there at once."""
    widths: list[int] = []
    for row in rows():
        widths = list(map(max, widths, map(len, row))) if widths else list(map(len, row))
    for row in rows():
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()
