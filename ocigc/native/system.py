"""What the core does for the whole process or for any directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ocigc._native import ffi, lib
from ocigc.native.calls import call, long_call
from ocigc.progress import Report


def purge(parent: int, name: str, report: Report | None = None) -> None:
    """Removes a directory below an open one, with all that is in it. Raises Refused."""
    long_call(lib.ocigc_purge, parent, name.encode(), report=report)


def exchange(first_directory: int, first: str, second_directory: int, second: str) -> bool:
    """Swaps two names atomically; False if the file system or the kernel cannot. Raises OSError."""
    error = ffi.new("struct ocigc_error *")
    if lib.ocigc_exchange(first_directory, first.encode(), second_directory, second.encode(), error) == lib.OCIGC_OK:
        return True
    if error.os_errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(error.os_errno, os.strerror(error.os_errno), first)


def return_memory() -> None:
    """From now on, large blocks of this process's memory go back to the system once they are freed."""
    lib.ocigc_return_memory()


def map_blobs() -> None:
    """From now on, this process maps the blobs that it verifies instead of reading them, which saves a copy. It handles
    SIGBUS for that, so a library must not call this. Raises Refused.
    """
    call(lib.ocigc_map_blobs)


def confine(*directories: int, network: bool = False) -> bool:
    """Gives up for good the right to change anything outside of these open directories, and to execute programs. Newer
    kernels also take the right to use TCP, unless `network` is wanted, and others (see `ocigc_confine`). False if the
    kernel has no Landlock.
    """
    code = lib.ocigc_confine(ffi.new("int32_t[]", directories), len(directories), network, ffi.NULL)
    return bool(code == lib.OCIGC_OK)


def hash_core() -> str:
    """The implementation of SHA-256 that this machine runs."""
    return str(ffi.string(lib.ocigc_digest_implementation(lib.OCIGC_SHA256, 0)).decode())


def hash_messages(messages: Sequence[bytes]) -> None:
    """Computes the SHA-256 of messages on one core, as many at once as the implementation has lanes, to measure how
    fast that can be. Other threads run meanwhile."""
    array = ffi.new("uint8_t *[]", [ffi.from_buffer("uint8_t[]", each) for each in messages])
    lengths, out = ffi.new("size_t[]", list(map(len, messages))), ffi.new("uint8_t[]", 32 * len(messages))
    call(lib.ocigc_digest_many, lib.OCIGC_SHA256, ffi.NULL, len(messages), array, lengths, out)
