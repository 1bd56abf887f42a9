"""Decompresses what may be damaged, in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

_CHUNK = 1 << 20
_GZIP = 31  # zlib's window bits: the largest window, and a gzip header

Decoder = Callable[[IO[bytes]], Iterator[bytes]]


class Undecodable(Exception):
    """The content does not have the form that it should have."""


def uncompressed(file: IO[bytes]) -> Iterator[bytes]:
    """Content that is not compressed, in pieces."""
    while piece := file.read(_CHUNK):
        yield piece


def gunzip(file: IO[bytes]) -> Iterator[bytes]:
    """All members, one after another, in pieces of bounded size. Nothing may follow them."""
    decoder = zlib.decompressobj(_GZIP)
    waiting = file.read(_CHUNK)
    try:
        while waiting:
            yield decoder.decompress(waiting, _CHUNK)
            waiting = decoder.unconsumed_tail
            if decoder.eof:
                waiting = decoder.unused_data or file.read(_CHUNK)
                if waiting:
                    decoder = zlib.decompressobj(_GZIP)
            elif not waiting:
                waiting = file.read(_CHUNK)
        # The rest of the window comes out without more input.
        while not decoder.eof and (piece := decoder.decompress(b"", _CHUNK)):
            yield piece
    except zlib.error as error:
        raise Undecodable(f"not gzip: {error}") from None
    if not decoder.eof:
        raise Undecodable("the gzip stream is cut off")


def zstd_decoder() -> Decoder | None:
    """A decoder for zstd; None where Python has none."""
    module = _zstd_module()
    if module is None:
        return None

    def decode(file: IO[bytes]) -> Iterator[bytes]:
        try:
            with module.ZstdFile(file) as stream:
                yield from uncompressed(stream)
        except (module.ZstdError, EOFError) as error:
            raise Undecodable(f"not zstd: {error}") from None

    return decode


def zstd_by_program(file: IO[bytes]) -> Iterator[bytes]:
    """The same by the program `zstd`, which reads the file itself. Raises FileNotFoundError where there is none."""
    from subprocess import DEVNULL, PIPE, Popen

    with Popen(["zstd", "-dcq"], stdin=file, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield from uncompressed(process.stdout)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise Undecodable("not zstd, or damaged or cut off")


def _zstd_module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):  # Python 3.14 has it
        with suppress(ImportError):
            return import_module(name)
    return None
