"""C programs of the tests, compiled once."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def compiled(source: Path, *options: str) -> Path:
    """What comes of a C file. `options` follow it, as libraries must."""
    directory = Path(tempfile.mkdtemp(prefix=f"ocigc-{source.stem}-"))
    atexit.register(shutil.rmtree, directory)
    path = directory / source.stem
    compiler = os.environ.get("CC", "cc").split()
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(path)]
    subprocess.run([*compiler, *flags, str(source), *options], check=True)
    return path
