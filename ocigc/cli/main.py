"""The command line: assembles the commands, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import NoReturn

from ocigc.cli import log, options, streams
from ocigc.errors import OcigcError, Refused, UsageError
from ocigc.printable import printable

_COMMANDS = (
    "prune",
    "rm",
    "verify",
    "check",
    "ls",
    "du",
    "tree",
    "why",
    "report",
    "restore",
    "trash",
    "lease",
    "synth",
)

_FAILED = 3

_DESCRIPTION = "Prune, verify and understand directories full of container images (OCI image layouts)."
_EPILOG = """\
`ocigc COMMAND --help` tells more, with examples.

exit status: 0 done and sound, 1 done and something was found, 2 wrong usage or no layout, 3 refused or failed
"""


def _module(command: str) -> ModuleType:
    return import_module(f"ocigc.cli.{command}")


def _command(words: Sequence[str]) -> str | None:
    return next((word for word in words if word in _COMMANDS), None)


class _Version(argparse.Action):
    """argparse's own wants the version at every start, and looking it up is most of a start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"ocigc {version('ocigc')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """argparse's own answers wrong usage with a page; one line is enough."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{printable(message)} (see {self.prog} --help)")


def make_parser(commands: Iterable[str] = _COMMANDS) -> argparse.ArgumentParser:
    """The parser of the command line, or of what concerns these commands."""
    parser = _Parser(
        prog="ocigc",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Formatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        _module(command).register(subparsers)
    for each in parsers(parser):
        if each is parser or each.get_default("run") is not None:
            options.add_log_format(each)
    return parser


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                yield from parsers(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    # A run makes millions of values and hardly a cycle: to look for cycles among them takes a third of its time.
    gc.disable()
    streams.prepare()
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = argparse.Namespace(answered=False, metrics=None)
    try:
        code = _run(args, words)
        if args.metrics is not None:
            args.metrics.write(code)
    except Refused as error:
        # All is done and said but for the metrics.
        args.answered = True
        code = _fail(str(error), _FAILED, args, words)
    except KeyboardInterrupt:
        args.answered = True
        code = _fail("interrupted; all is done, but the metrics may be lost", _FAILED, args, words)
    finally:
        streams.settle()
        # Nor is there time to look for any at the end.
        gc.freeze()
    return code


def _run(args: argparse.Namespace, words: Sequence[str]) -> int:
    try:
        log.use("json" if _given("--log-format", "json", words) else "text")
        # To load the others would take longer than most runs do.
        make_parser(words[:1] if words[:1] == [_command(words)] else _COMMANDS).parse_args(words, args)
        log.use(getattr(args, "log_format", "text"))
        args.metrics = options.open_metrics_file(args)
        code: int = args.run(args)
        sys.stdout.flush()
    except OcigcError as error:
        code = _fail(str(error), error.exit_code, args, words)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        code = _FAILED
    except OSError as error:
        code = _fail(_describe(error, args), _FAILED, args, words)
    except MemoryError:
        code = _fail("out of memory", _FAILED, args, words)
    except KeyboardInterrupt:
        code = _fail("interrupted; nothing is lost", _FAILED, args, words)
    return code


def _describe(error: OSError, args: argparse.Namespace) -> str:
    if args.answered:
        return f"standard output: {error.strerror or error}; only the report is lost"
    name = f"{printable(str(error.filename))}: " if error.filename is not None else ""
    return f"{name}{error.strerror or error}"


def _fail(message: str, code: int, args: argparse.Namespace, words: Sequence[str]) -> int:
    # Where even this cannot be written, the exit code still says it.
    with suppress(OSError):
        log.error(message)
    command = _command(words)
    if command is not None and not args.answered and _wants_json(args, words):
        # Of some commands the answer with --format json is one object, also where they fail.
        failure = getattr(_module(command), "failure", None)
        if failure is not None:
            with suppress(OSError):
                sys.stdout.write(failure(message, args))
                sys.stdout.flush()
    return code


def _wants_json(args: argparse.Namespace, words: Sequence[str]) -> bool:
    """Also where the words could not be understood: then `args` knows nothing."""
    if "format" in args:
        return bool(args.format == "json")
    return _given("--format", "json", words)


def _given(option: str, value: str, words: Sequence[str]) -> bool:
    return f"{option}={value}" in words or (option, value) in pairwise(words)
