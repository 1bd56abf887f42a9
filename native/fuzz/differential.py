"""What the fuzzers have found to be of interest, read by Python too: `differential.py BUILD` looks at all inputs of all
harnesses in BUILD/corpus-*, and at the seeds. The scanner has to agree with `json` on what is JSON, a document's
descriptors with what `json` reads there, every kernel of the digest engine with `hashlib`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocigc._native import ffi, lib
from ocigc.errors import MalformedError
from ocigc.image import Media
from ocigc.native import parse_document

_MEMBERS = ("config", "layers", "blobs", "manifests", "subject")
_ALGORITHMS = {"sha256": lib.OCIGC_SHA256, "sha512": lib.OCIGC_SHA512}


def _constant(name: str) -> Any:
    raise ValueError(name)


def _python(content: bytes) -> Any:
    return json.loads(content.decode(), parse_constant=_constant)


def check_scanner(content: bytes) -> None:
    error = ffi.new("struct ocigc_error *")
    accepted = lib.ocigc_json_check(content, len(content), error) == lib.OCIGC_OK
    if not accepted and b"deep" in ffi.string(error.message):
        return  # our limit, not the grammar's
    try:
        _python(content)
    except ValueError:
        assert not accepted, "what is no JSON was accepted"
    else:
        assert accepted, "JSON was refused"


def check_document(content: bytes) -> None:
    for media in (Media.MANIFEST, Media.INDEX):
        try:
            found = parse_document(content, media)
        except MalformedError:
            continue
        assert [(d.digest, d.size, d.media_type) for d in found] == list(_descriptors(_python(content)))


def _descriptors(document: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
    for member in _MEMBERS:
        value = document.get(member)
        for descriptor in value if isinstance(value, list) else [] if value is None else [value]:
            media_type = descriptor.get("mediaType", "").encode(errors="surrogatepass").decode(errors="replace")
            yield descriptor["digest"], descriptor["size"], media_type


def check_digest(content: bytes) -> None:
    message = ffi.from_buffer("uint8_t[]", content)
    for name, algorithm in _ALGORITHMS.items():
        wanted = hashlib.new(name, content).digest()
        number = 0
        while (kernel := lib.ocigc_digest_implementation(algorithm, number)) != ffi.NULL:
            out = ffi.new("uint8_t[64]")
            code = lib.ocigc_digest_many(algorithm, kernel, 1, [message], [len(content)], out, ffi.NULL)
            assert code == lib.OCIGC_OK
            assert ffi.buffer(out)[: len(wanted)] == wanted, ffi.string(kernel)
            number += 1
        assert number > 0


def main(build: Path) -> None:
    sources = [*build.glob("corpus-*"), Path(__file__).parent / "seeds"]
    paths = [path for source in sources for path in source.iterdir()]
    for path in paths:
        content = path.read_bytes()
        for check in (check_scanner, check_document, check_digest):
            try:
                check(content)
            except AssertionError as error:
                sys.exit(f"{path}: {check.__name__}: {error}")
    print(f"== differential\n{len(paths):,} inputs mean the same to Python's json and hashlib")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
