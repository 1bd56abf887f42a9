"""SHA-256 of content in memory, and the names of the core's algorithms."""

from __future__ import annotations

from ocigc._native import ffi, lib
from ocigc.native.calls import call

ALGORITHMS: dict[int, str] = {lib.OCIGC_SHA256: "sha256", lib.OCIGC_SHA512: "sha512", lib.OCIGC_BLAKE3: "blake3"}


def sha256(content: bytes) -> str:
    """In hex. (Loading hashlib takes longer than hashing most contents.)"""
    out = ffi.new("uint8_t[32]")
    messages = ffi.new("uint8_t *[]", [ffi.from_buffer("uint8_t[]", content)])
    call(lib.ocigc_digest_many, lib.OCIGC_SHA256, ffi.NULL, 1, messages, ffi.new("size_t[]", [len(content)]), out)
    return bytes(out).hex()
