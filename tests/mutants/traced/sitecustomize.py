"""Writes down which lines of ocigc a process executes: loaded by every Python that has this directory in PYTHONPATH.

OCIGC_REACH is the file that each line, `module.py:number`, is appended to when it is executed first. What has been
written is there whatever becomes of the process.
"""

from __future__ import annotations

import os
import sys
import threading
from types import CodeType, FrameType
from typing import Any

_PACKAGE = f"{os.sep}site-packages{os.sep}ocigc{os.sep}"


class Tracer:
    """Traces a code object until all of its lines have been seen."""

    def __init__(self) -> None:
        self._file = -1
        self._left: dict[CodeType, set[int]] = {}

    def switch(self, path: str) -> None:
        """From now on, writes to that file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._left.clear()
        threading.settrace(self._call)
        sys.settrace(self._call)

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if event != "call" or _PACKAGE not in code.co_filename:
            return None
        left = self._left.get(code)
        if left is None:
            left = self._left[code] = {line for _, _, line in code.co_lines() if line is not None}
        if not left:
            return None
        name = code.co_filename.partition(_PACKAGE)[2]

        def seen(frame: FrameType, _event: str, _value: object) -> Any:
            if frame.f_lineno in left:
                left.discard(frame.f_lineno)
                os.write(self._file, f"{name}:{frame.f_lineno}\n".encode())
            return seen

        return seen(frame, event, None)


tracer = Tracer()
if path := os.environ.get("OCIGC_REACH"):
    tracer.switch(path)
