"""Plain text tables, as docker prints them: left-aligned columns, three spaces between, no lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SHORT_DIGEST = 19  # characters: "sha256:" and the twelve digits that docker shows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    return columns((header, *rows))


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The same without a header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()
