"""The result of a verification, as lines, as JSON, as metrics and as an exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence

from ocigc.cli import log, options
from ocigc.cli.output.findings import (
    affected_as_json,
    affected_as_text,
    incomplete_as_json,
    incomplete_as_text,
    named,
)
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.terminal import elapsed, paint
from ocigc.cli.output.words import human_size
from ocigc.verification.scan import Verification

_LAYOUTS = (
    Column("LAYOUT", name=True),
    Column("BLOBS", right=True),
    Column("SIZE", right=True),
    Column("STATE"),
)


def show(
    result: Verification, members: Sequence[tuple[str, Verification]] | None, *, as_json: bool, ledger: bool
) -> None:
    """Prints a result. `members` are the results of the layouts of a tree, None for a single layout. With `ledger`, the
    JSON also says how many blobs the ledger saved from being hashed.
    """
    if result.unchecked:
        why = "" if result.errors else "interrupted: "
        log.note(f"{why}{result.unchecked:,} blobs were not checked")
    if not as_json:
        _print(result, members or ())
        return
    layouts = (
        {} if members is None else {"Layouts": [{"Layout": name, **_document(each, ledger)} for name, each in members]}
    )
    json.dump(_document(result, ledger) | layouts, sys.stdout)
    print()


def code_of(result: Verification) -> int:
    """The exit code: 3 if something could not be checked, else 1 if something was found."""
    if result.errors or result.unchecked:
        return options.FAILED
    return 0 if result.sound else 1


def failure_as_json(message: str, args: Namespace) -> str:
    """The JSON answer of a run that failed, or was `interrupted`."""
    document = _document(Verification(0, 0, (), (), (), (), (), [message]), ledger=False)
    return json.dumps(document | ({"Interrupted": True} if args.interrupted else {})) + "\n"


def as_metrics(result: Verification) -> dict[str, int]:
    """What was checked and found, by the names of `ocigc.cli.output.metrics`."""
    return {
        "checked_blobs": result.checked,
        "checked_bytes": result.bytes,
        "unchecked_blobs": result.unchecked,
        "skipped_blobs": result.skipped,
        "compared_blobs": result.compared,
        "left_blobs": result.left,
        "corrupt_blobs": len(result.corrupt),
        "wrong_size_blobs": len(result.wrong_size),
        "malformed_manifests": len(result.malformed),
        "missing_blobs": len(result.missing),
        "unsupported_blobs": len(result.unsupported),
        "incomplete_images": len({(each.layout, each.image.position) for each in result.incomplete}),
        "incomplete_bytes": sum(each.size for each in result.incomplete),
        "check_errors": len(result.errors),
    }


def _document(result: Verification, ledger: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "Checked": result.checked,
        "Bytes": result.bytes,
        "Corrupt": list(result.corrupt),
        "WrongSize": list(result.wrong_size),
        "Missing": list(result.missing),
        "Unsupported": list(result.unsupported),
        "Incomplete": [incomplete_as_json(each) for each in result.incomplete],
        "Affected": list(map(affected_as_json, result.affected)),
        "Sound": result.sound and not (result.errors or result.unchecked),
        "Seconds": result.seconds,
        "Errors": [*([result.cut_off] if result.cut_off else []), *result.malformed, *result.errors],
    }
    if result.repaired is not None:
        document["Repaired"] = list(result.repaired)
    if result.deep is not None:
        document["Deep"] = {
            "Checked": result.deep.checked,
            "Mismatched": list(result.deep.mismatched),
            "Undecodable": list(result.deep.undecodable),
            "Unsupported": list(result.deep.unsupported),
        }
    if ledger:
        document |= {"Skipped": result.skipped, "Compared": result.compared, "Left": result.left}
    if result.unchecked:
        document["Interrupted"] = True
    return document


def _print(result: Verification, members: Sequence[tuple[str, Verification]]) -> None:
    by_state: dict[str, list[str]] = {}
    for each in result.affected:
        by_state.setdefault(each.state, []).append(affected_as_text(each))
    for title, colour, lines in (
        ("corrupt", "red", by_state.get("corrupt", ())),
        ("wrong size", "red", by_state.get("wrong size", ())),
        ("malformed", "red", [named(line, result.affected) for line in result.malformed]),
        ("error", "red", result.errors),
        ("archive", "red", [result.cut_off] if result.cut_off else ()),
        ("incomplete", "red", list(map(incomplete_as_text, result.incomplete))),
        ("missing", "yellow", by_state.get("missing", ())),
        ("unsupported", "yellow", result.unsupported),
        ("layer", "red", result.deep.reasons if result.deep else ()),
        ("layer not unpacked", "yellow", result.deep.unsupported if result.deep else ()),
        ("repaired", "green", result.repaired or ()),
    ):
        for line in lines:
            print(f"{paint(title, colour, sys.stdout)}: {line}")
    if members:
        rows = [(name, f"{each.checked:,}", human_size(each.bytes), _verdict(each)) for name, each in members]
        for line in table(_LAYOUTS, rows, width=terminal_width(sys.stdout)):
            print(line)
    verdict = _verdict(result)
    colour = "red" if verdict == "NOT SOUND" else "green"
    took = ""
    if sys.stdout.isatty() and result.seconds > 0:
        took = f" in {elapsed(result.seconds)}, {human_size(int(result.bytes / result.seconds))}/s"
    print(f"{result.checked:,} blobs, {human_size(result.bytes)}{took}: {paint(verdict, colour, sys.stdout)}")
    for count, what in (
        (result.skipped, "not read, by the ledger"),
        (result.compared, "only compared with the ledger, which finds bit rot, not forgery"),
        (result.left, "left for the next run, as the budget is used up"),
    ):
        if count:
            print(f"{count:,} blobs {what}")


def _verdict(result: Verification) -> str:
    if not result.sound or result.errors:
        return "NOT SOUND"
    return "sound so far" if result.unchecked else "sound"
