"""Runs tests in children of one process that has loaded all that is not ours: a mutant takes a second, not a minute.

A command that a test starts is a fork of the test's process too. So only what survives here is tried again as a user
would run it.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import cffi  # noqa: F401
import hypothesis.stateful
import hypothesis.strategies  # noqa: F401
import pytest

ROOT = Path(__file__).parents[2]
_COMMAND = [sys.executable, "-m", "ocigc"]
_run = subprocess.run
_PR_SET_PDEATHSIG = 1


def run_tests(package: Path, tests: Sequence[str], seconds: float, report: Path) -> int | None:
    """The exit code of pytest with the package in that directory, None where it does not end in time. Its output goes
    into the report."""
    child = os.fork()
    if child == 0:
        _in_child(lambda: _pytest(package, tests, report))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _kill_group(child)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    _kill_group(child)
    os.waitpid(child, 0)
    return None


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _in_child(act: Callable[[], int]) -> None:
    code = 99
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        code = act()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _pytest(package: Path, tests: Sequence[str], report: Path) -> int:
    file = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["PYTHONPATH"] = str(package.parent)
    os.chdir(ROOT)
    sys.path.insert(0, str(package.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ocigc", "tests")]:
        del sys.modules[name]  # of the other package
    import ocigc

    assert ocigc.__file__ == str(package / "__init__.py")

    for module in pkgutil.walk_packages(ocigc.__path__, "ocigc."):
        if not module.name.endswith("__main__") and ".cluster" not in module.name:
            import_module(module.name)
    subprocess.run = _forked  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as directory:
        options = [
            "-q",
            "-x",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--basetemp",
            f"{directory}/t",
        ]
        return int(pytest.main([*options, *tests]))


def _forked(arguments: Any, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Like `subprocess.run`; what runs ocigc is forked."""
    plain = isinstance(arguments, list) and [str(each) for each in arguments[:3]] == _COMMAND
    known = {"input", "stdin", "capture_output", "text", "timeout", "check", "cwd", "env"}
    if not (plain and options.get("capture_output") and options.get("text") and options.keys() <= known):
        return _run(arguments, **options)
    if "LD_PRELOAD" in (options.get("env") or {}):
        return _run(arguments, **options)
    words = [str(each) for each in arguments]
    files = [os.memfd_create(name) for name in ("input", "output", "errors")]
    try:
        if options.get("input") is not None:
            os.write(files[0], options["input"].encode())
            os.lseek(files[0], 0, os.SEEK_SET)
        else:
            os.dup2(os.open(os.devnull, os.O_RDONLY), files[0])
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _command(words[3:], files, options.get("cwd"), options.get("env"))
        status = os.waitpid(child, 0)[1]
        texts = []
        for file in files[1:]:
            os.lseek(file, 0, os.SEEK_SET)
            with open(file, "rb", closefd=False) as stream:
                texts.append(io.TextIOWrapper(io.BytesIO(stream.read()), encoding="utf-8").read())
    finally:
        for file in files:
            os.close(file)
    code = os.waitstatus_to_exitcode(status)
    if options.get("check") and code != 0:
        raise subprocess.CalledProcessError(code, words, *texts)
    return subprocess.CompletedProcess(words, code, *texts)


def _command(
    words: Sequence[str], files: Sequence[int], directory: str | None, environment: Mapping[str, str] | None
) -> None:
    code = 99
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, 1024)
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        if directory is not None:
            os.chdir(directory)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        reader, *writers = (io.FileIO(number, mode, closefd=False) for number, mode in enumerate(("rb", "wb", "wb")))
        output, errors = map(io.BufferedWriter, writers)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(reader))
        sys.stdout = io.TextIOWrapper(output)
        sys.stderr = io.TextIOWrapper(errors, errors="backslashreplace", line_buffering=True)
        sys.argv = ["ocigc", *words]
        gc.collect()
        from ocigc.cli.main import main

        try:
            code = main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
