"""Writes the C source of the binding: `emit.py OCIGC_H OUTPUT`."""

import sys
from pathlib import Path

import cffi


def main() -> None:
    header, output = map(Path, sys.argv[1:])
    # ocigc.h holds plain declarations only, so all that cffi must not see are the preprocessor's lines.
    declarations = "\n".join(line for line in header.read_text().splitlines() if not line.startswith("#"))
    ffi = cffi.FFI()
    ffi.cdef(declarations)
    ffi.set_source("ocigc._native", '#include "ocigc.h"')
    ffi.emit_c_code(str(output))


main()
