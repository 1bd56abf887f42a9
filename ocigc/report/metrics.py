"""The metrics of a run in Prometheus' text format, as node_exporter's textfile collector reads it."""

from __future__ import annotations

from collections.abc import Mapping

from ocigc.printable import printable

_PREFIX = "ocigc_"

# Every name is a gauge. Collectors want the same help for a name in whatever file it stands.
_HELP = {
    "last_run_timestamp_seconds": "When the last run ended, in seconds since 1970.",
    "last_success_timestamp_seconds": "When the last run ended that had exit code 0; 0 if none ever had.",
    "last_exit_code": "The exit code of the last run: 0 sound, 1 something found, 2 wrong usage, 3 refused or failed.",
    "duration_seconds": "How long the last run took.",
    "layouts": "Layouts that the last run found.",
    "failed_layouts": "Layouts that the last run had to skip.",
    "images": "Images that the last run left.",
    "blobs": "Blobs that the last run left.",
    "removed_images": "Images that the last run untagged.",
    "removed_blobs": "Blobs that the last run removed.",
    "reclaimed_bytes": "Bytes that the last run freed.",
    "young_orphans": "Blobs that nothing holds and that the last run left because they are young.",
    "checked_blobs": "Blobs that the last run hashed.",
    "checked_bytes": "Bytes that the last run hashed.",
    "unchecked_blobs": "Blobs that the last run did not come to, as it was interrupted.",
    "skipped_blobs": "Blobs that the last run did not read, by the ledger.",
    "compared_blobs": "Blobs that the last run only compared with the ledger.",
    "left_blobs": "Blobs that the last run left, as its budget was used up.",
    "corrupt_blobs": "Blobs that are not what their digest says.",
    "wrong_size_blobs": "Blobs whose size is not what a descriptor says.",
    "malformed_manifests": "Manifests that are none though their digest is right.",
    "missing_blobs": "Blobs that a descriptor names and that are absent; normal in a sparse layout.",
    "unsupported_blobs": "Blobs of an algorithm that cannot be checked.",
    "check_errors": "What could not be checked.",
}


def labels(command: str, layout: str) -> str:
    """The labels of all metrics of a run."""
    return f'{{command="{_escaped(command)}",layout="{_escaped(layout)}"}}'


def _escaped(value: str) -> str:
    # What is no text (bytes that are not UTF-8, control characters) is escaped as on the terminal before.
    return printable(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def exposition(values: Mapping[str, float], label: str) -> str:
    """All values by name, without the prefix, as one document. Raises KeyError for a name that is not known."""
    lines = []
    for name, value in values.items():
        metric = _PREFIX + name
        lines += [f"# HELP {metric} {_HELP[name]}", f"# TYPE {metric} gauge", f"{metric}{label} {value}"]
    return "\n".join(lines) + "\n"


def read(text: str, label: str) -> dict[str, float]:
    """The values of such a document. Raises ValueError where it holds anything else, or of other labels."""
    values = {}
    for line in text.split("\n"):
        if line.startswith("# ") or not line:
            continue
        metric, found, value = line.partition(label)
        if not found or not metric.startswith(_PREFIX):
            raise ValueError(line)
        values[metric.removeprefix(_PREFIX)] = float(value)
    return values
