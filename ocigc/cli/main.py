"""The command line: runs a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import gc
import io
import os
import sys
from errno import EACCES
from itertools import pairwise

TYPE_CHECKING = False  # loading typing takes longer than `ocigc --version`

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from ocigc.errors import OcigcError


_WRONG_USAGE = 2
_FAILED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    # A run makes millions of values and hardly any cycles. Searching for cycles would take a third of its time.
    gc.disable()
    _prepare_streams()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words == ["--version"]:
            return _version()
        if words[:1] == ["_complete"]:
            return _complete(words[1:])
        if not words or words in (["--help"], ["-h"], ["help"]):
            return _overview(_WRONG_USAGE if not words else 0)
        return _command(words)
    finally:
        _flush_streams()
        # Nor does the interpreter search for cycles when it ends.
        gc.freeze()


def _version() -> int:
    from ocigc._version import __version__

    print(f"ocigc {__version__}")
    return 0


def _complete(words: Sequence[str]) -> int:
    from ocigc.cli.complete import complete

    return complete(words)


def _overview(code: int) -> int:
    from ocigc.cli.commands import overview

    print(overview(), end="")
    return code


def _command(words: Sequence[str]) -> int:
    from argparse import Namespace

    from ocigc.errors import Refused

    args = Namespace(answered=False, metrics=None, failure=None, interrupted=False)
    os.umask(os.umask(0o077) & 0o077)  # what the owner may do with a new file is not for the umask to say
    _interrupt_on_termination()
    code = None
    try:
        code = _run(args, words)
        if args.metrics is not None:
            args.metrics.write(code)
    except Refused as error:
        # Everything is done and printed, apart from the metrics.
        args.answered = True
        code = _fail(str(error), _FAILED, args, words)
    except KeyboardInterrupt:
        args.interrupted, args.answered = True, code is not None
        what = "nothing is lost" if code is None else "the run is complete, but the metrics may be lost"
        code = _fail(f"interrupted; {what}", _FAILED, args, words)
    return code


def _run(args: Namespace, words: Sequence[str]) -> int:
    from ocigc.cli import log
    from ocigc.errors import Interrupted, OcigcError

    try:
        log.use("json" if _given("--log-format", "json", words) else "text")
        _parse(args, words)
        log.use(args.log_format)
        if getattr(args, "metrics_file", None) is not None:
            from ocigc.cli.options import open_metrics_file

            args.metrics = open_metrics_file(args)
        code: int = args.run(args)
        sys.stdout.flush()
    except OcigcError as error:
        code = _fail(_message(error, args), error.exit_code, args, words)
    except BrokenPipeError:
        # The reader of the output has closed it.
        code = _FAILED
    except OSError as error:
        code = _fail(_describe(error, args), _FAILED, args, words)
    except MemoryError:
        code = _fail("out of memory", _FAILED, args, words)
    except Interrupted as interrupt:
        args.interrupted = True
        code = _fail(log.with_hint(interrupt.message), _FAILED, args, words)
    except KeyboardInterrupt as interrupt:
        args.interrupted = True
        code = _fail(str(interrupt) or "interrupted; nothing is lost", _FAILED, args, words)
    return code


def _interrupt_on_termination() -> None:
    """Lets SIGTERM end a command in the same orderly way as SIGINT."""
    import signal

    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _show_help(words: Sequence[str]) -> int:
    from ocigc.cli.commands import help_of

    print(help_of(words), end="")
    return 0


def _parse(args: Namespace, words: Sequence[str]) -> None:
    """Fills `args` from the words, if they can be parsed. Raises UsageError."""
    from ocigc.cli import commands

    if words[0] == "help":
        args.log_format = "text"
        args.run = lambda _: _show_help(words[1:])
        return
    name, command, rest = commands.find(_command_first(words))
    args.command, args.failure = name, command.failure
    # Not into `args` itself, which has to stay as it was if the words cannot be parsed.
    vars(args).update(vars(commands.parser_of(name, command).parse_args(rest)))
    if "layouts" in args:
        args.layout = args.layouts[0]


def _command_first(words: Sequence[str]) -> list[str]:
    """The words, with --log-format after the command's name."""
    leading = 0
    while leading < len(words) and words[leading].partition("=")[0] == "--log-format":
        leading += 1 if "=" in words[leading] else 2
    return [*words[leading:], *words[:leading]]


def _message(error: OcigcError, args: Namespace) -> str:
    """What is wrong, with the option that helps. For a path that is not a layout, also what it is."""
    from ocigc.cli.log import with_hint
    from ocigc.errors import NotALayout

    if isinstance(error, NotALayout):
        from ocigc.cli.recognize import recognize

        others: list[str] = []
        for name in ("reference", "references", "resources", "run_id", "ids"):
            given = getattr(args, name, None)
            others += given if isinstance(given, list) else [given] if given else []
        hint = recognize(error.path, others)
        if hint is not None:
            return f"{error}; {hint}"
    message = with_hint(error.message)
    if message.startswith(str(getattr(args, "layout", None) or "\0")) and message.endswith(os.strerror(EACCES)):
        message += "; run it as a user who has that right, or as root"
    return message


def _describe(error: OSError, args: Namespace) -> str:
    from ocigc.errors import printable

    if args.answered:
        return f"standard output: {error.strerror or error}; only the report is lost"
    name = f"{printable(str(error.filename))}: " if error.filename is not None else ""
    return f"{name}{error.strerror or error}"


def _fail(message: str, code: int, args: Namespace, words: Sequence[str]) -> int:
    from contextlib import suppress

    from ocigc.cli import log

    # If even this cannot be written, the exit code still says that the command failed.
    with suppress(OSError):
        log.error(message)
    if args.failure is not None and not args.answered and _wants_json(args, words):
        # With --format json, some commands answer with one object even where they fail.
        with suppress(OSError):
            sys.stdout.write(args.failure(message, args))
            sys.stdout.flush()
    return code


def _wants_json(args: Namespace, words: Sequence[str]) -> bool:
    """Whether JSON was asked for. `args` does not say so if the words could not be parsed."""
    if "format" in args:
        return bool(args.format == "json")
    return _given("--format", "json", words)


def _given(option: str, value: str, words: Sequence[str]) -> bool:
    return f"{option}={value}" in words or (option, value) in pairwise(words)


def _prepare_streams() -> None:
    """Opens /dev/null for standard streams that the caller has closed, and lets the others write any text."""
    for name in ("stdin", "stdout", "stderr"):
        # In this order, each stream gets the lowest free descriptor, which is its own.
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_streams() -> None:
    """Flushes the output. If that fails, makes sure that the interpreter does not try, and fail, again when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # /dev/null may be out of reach by now.
            os.dup2(os.pipe()[1], stream.fileno())
