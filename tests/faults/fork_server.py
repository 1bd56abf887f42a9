"""Runs `ocigc` in a child for each line that it reads: `python -m tests.faults.fork_server MESSAGES CPU`, with the shim
preloaded. All modules are loaded once, so that thousands of runs take minutes.

Each line is a JSON list: the arguments, and the environment of the shim. Between what the shim asks comes the result,
over the same descriptor: exit code, output, errors and the shim's log as a line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import pkgutil
import sys
from importlib import import_module

import ocigc
from ocigc.cli.main import main


def run(arguments: list[str], environment: dict[str, str], output: int, errors: int) -> int:
    """The exit code of a command that runs in a child; minus the number of the signal that has killed it."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(output, 1)
            os.dup2(errors, 2)
            os.environ.update(environment)
            ctypes.CDLL(None).fault_configure()
            code = main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 98
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve(messages: int, cpu: int) -> None:
    """Until there are no more lines."""
    os.sched_setaffinity(0, {cpu})
    for module in pkgutil.walk_packages(ocigc.__path__, "ocigc."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        files = [os.memfd_create(name) for name in ("output", "errors", "log")]
        code = run(arguments, {**environment, "FAULT_LOG": str(files[2])}, *files[:2])
        texts = []
        for file in files:
            os.lseek(file, 0, os.SEEK_SET)
            with open(file, encoding="utf-8", errors="replace") as stream:
                texts.append(stream.read())
        os.write(messages, json.dumps([code, *texts]).encode() + b"\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
