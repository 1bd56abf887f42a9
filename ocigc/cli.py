"""The command line: assembles the commands, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ocigc.commands import lease, ls, prune, restore, synth, trash, verify
from ocigc.errors import OcigcError, UsageError
from ocigc.printable import printable

_COMMANDS = (prune, verify, ls, restore, trash, lease, synth)

_FAILED = 3

_DESCRIPTION = "Prune, verify and understand directories full of container images (OCI image layouts)."
_EPILOG = """\
`ocigc COMMAND --help` tells more, with examples.

exit status: 0 done and sound, 1 done and something was found, 2 wrong usage or no layout, 3 refused or failed
"""


class _Version(argparse.Action):
    """argparse's own wants the version at every start, and looking it up is most of a start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"ocigc {version('ocigc')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """argparse's own answers wrong usage with a page; one line is enough."""

    def error(self, message: str) -> NoReturn:
        self.exit(UsageError.exit_code, f"ocigc: {printable(message)} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="ocigc",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    args = make_parser().parse_args(arguments)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except OcigcError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep the interpreter from complaining about it at exit.
        os.dup2(os.pipe()[1], sys.stdout.fileno())
        return _FAILED
    except OSError as error:
        name = f"{printable(str(error.filename))}: " if error.filename is not None else ""
        return _fail(f"{name}{error.strerror or error}", _FAILED)
    except MemoryError:
        return _fail("out of memory", _FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing is lost", _FAILED)
    return code


def _fail(message: str, code: int) -> int:
    print(f"ocigc: {message}", file=sys.stderr)
    return code
