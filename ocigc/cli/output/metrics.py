"""`--metrics-file`: the results of a run, in a file that a collector reads at any time."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from ocigc.errors import Refused, UsageError, printable
from ocigc.hard_links import freed
from ocigc.inspect.disk_usage import Consumption
from ocigc.inspect.health import Disk, Health
from ocigc.layout.dirfd import Dir
from ocigc.times import SECOND

_MODE = 0o644  # the collector is another user
_LIMIT = 16 << 20  # bytes
_REPOSITORIES = 1000
_SUCCESS = "last_success_timestamp_seconds"
_PREFIX = "ocigc_"
HELP = {
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
    "young_orphans": "Orphaned blobs that the last run left because they are in grace.",
    "checked_blobs": "Blobs that the last run hashed.",
    "checked_bytes": "Bytes that the last run hashed.",
    "unchecked_blobs": "Blobs that the last run did not come to, as it was interrupted.",
    "skipped_blobs": "Blobs that the last run did not read, by the ledger.",
    "compared_blobs": "Blobs that the last run only compared with the ledger.",
    "left_blobs": "Blobs that the last run left, as its budget was used up.",
    "corrupt_blobs": "Blobs whose content does not have their digest.",
    "wrong_size_blobs": "Blobs whose size differs from a descriptor.",
    "malformed_manifests": "Manifests of a wrong form, though their digest is right.",
    "missing_blobs": "Blobs that a descriptor names and that are absent; normal in a sparse layout.",
    "incomplete_images": "Images that lack their content, their config or a layer.",
    "incomplete_bytes": "Bytes that these images lack.",
    "unsupported_blobs": "Blobs of an algorithm that cannot be checked.",
    "check_errors": "What could not be checked.",
    "store_bytes": "Bytes of all blobs.",
    "store_disk_bytes": "Bytes that all blobs take on the disk. A file with several names counts once.",
    "reclaimable_bytes": "Bytes that a prune would free.",
    "reclaimable_all_bytes": "Bytes that a prune of all that is not in use would free.",
    "trash_bytes": "Bytes that earlier runs have removed and that can be restored.",
    "trash_runs": "Runs that can be restored.",
    "damaged_manifests": "Manifests that cannot be read or believed; where there are any, nothing is reclaimable.",
    "oldest_verification_timestamp_seconds": "When the blob was verified that has waited longest since, or came if it "
    "never was, in seconds since 1970; 0 if nothing ever was.",
    "disk_size_bytes": "Bytes of the file system.",
    "disk_free_bytes": "Bytes that are free on the file system.",
    "repository_images": "Images of a repository.",
    "repository_bytes": "Bytes of the blobs of a repository, those that it shares too.",
    "repository_unique_bytes": "Bytes of the blobs that only this repository has.",
    "repository_reclaimable_bytes": "Bytes of a repository's blobs that a prune of all that is not in use would take.",
}
"""The help of every metric. All are gauges. Collectors require the same help in every file."""


class MetricsFile:
    """The metrics file of one run of `command` on `layout`. The run gives up rights before it knows what to write,
    so `directory`, open from the start, must stay writable.
    """

    def __init__(self, path: str, command: str, layout: str) -> None:
        """Raises UsageError where no such file can be written, or the file that is there is of something else."""
        self._shown = printable(path)
        self._name = os.path.basename(path)
        self._labels = label_set(command, os.path.abspath(layout))
        self._began = time.monotonic()
        self._measured: dict[str, float] = {}
        self._repositories: dict[str, Mapping[str, float]] = {}
        if not self._name:
            raise UsageError(f"--metrics-file {self._shown}: expected a file, not a directory")
        parent = os.path.dirname(path) or "."
        try:
            self._parent = Dir.at(parent)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            raise UsageError(f"--metrics-file {self._shown}: {reason}: its directory must exist") from None
        try:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._parent.fd, effective_ids=True):
                raise UsageError(f"--metrics-file {self._shown}: its directory cannot be written to")
            self._success = self._previous_success()
        except BaseException:
            self._parent.close()
            raise

    @property
    def directory(self) -> int:
        """The descriptor of the directory."""
        return self._parent.fd

    def _previous_success(self) -> float:
        try:
            content = self._parent.read(self._name, _LIMIT)
            return read_exposition(content.decode(errors="replace"), self._labels).get(_SUCCESS, 0)
        except FileNotFoundError:
            return 0
        except (OSError, Refused) as error:
            raise UsageError(f"--metrics-file {self._shown}: {getattr(error, 'strerror', None) or error}") from None
        except ValueError:
            raise UsageError(
                f"--metrics-file {self._shown}: this file has other content; give every command and layout a file "
                "of its own"
            ) from None

    def add(self, values: Mapping[str, float]) -> None:
        """Adds what was measured to what is known."""
        for name, value in values.items():
            self._measured[name] = self._measured.get(name, 0) + value

    def add_repositories(self, values: Mapping[str, Mapping[str, float]], by: str) -> None:
        """Adds what was measured for repositories: for each, values by name. At most a thousand are kept, those with
        the largest value `by`, as each one costs a collector memory.
        """
        largest = sorted(values, key=lambda name: (-values[name][by], name))[:_REPOSITORIES]
        self._repositories |= {name: values[name] for name in largest}

    def write(self, code: int) -> None:
        """Replaces the file atomically by the figures of a run that ends with an exit code. Raises Refused."""
        now = round(time.time(), 3)
        values = {
            "last_run_timestamp_seconds": now,
            _SUCCESS: self._success if code else now,
            "last_exit_code": code,
            "duration_seconds": round(time.monotonic() - self._began, 3),
            **self._measured,
        }
        content = exposition(values, self._labels, self._repositories).encode()
        try:
            # Collectors read *.prom, and not the hidden file that this is at first.
            self._parent.replace(self._name, content, mode=_MODE)
        except OSError as error:
            raise Refused(
                f"--metrics-file {self._shown}: {error.strerror or error}; only the metrics are lost"
            ) from None


def label_set(command: str, layout: str) -> str:
    """The labels of all metrics of a run."""
    return f'{{command="{_escaped(command)}",layout="{_escaped(layout)}"}}'


def _escaped(value: str) -> str:
    # Bytes that are not UTF-8 and control characters are escaped as on the terminal.
    return printable(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def exposition(
    values: Mapping[str, float], label: str, repositories: Mapping[str, Mapping[str, float]] | None = None
) -> str:
    """All values by name, without the prefix, as one document; then those of each repository. Raises KeyError for a
    name that is not known."""
    lines = []
    for name, value in values.items():
        lines += [*_head(name), f"{_PREFIX}{name}{label} {value}"]
    each = repositories or {}
    for name in next(iter(each.values()), {}):
        lines += _head(name)
        lines += (f"{_PREFIX}{name}{_of(label, repository)} {found[name]}" for repository, found in each.items())
    return "\n".join(lines) + "\n"


def _head(name: str) -> tuple[str, str]:
    return f"# HELP {_PREFIX}{name} {HELP[name]}", f"# TYPE {_PREFIX}{name} gauge"


def _of(label: str, repository: str) -> str:
    return f'{label[:-1]},repository="{_escaped(repository)}"}}'


def read_exposition(text: str, label: str) -> dict[str, float]:
    """The values of such a document, without those of repositories. Raises ValueError if it holds anything else, or
    values with other labels."""
    values = {}
    for line in text.split("\n"):
        if line.startswith("# ") or not line:
            continue
        metric, found, value = line.partition(label)
        if not found:
            # After the labels of the run comes a repository, whatever its name is.
            metric, found, _ = line.partition(label[:-1] + ',repository="')
            value = line.rpartition(" ")[2]
        if not found or not metric.startswith(_PREFIX):
            raise ValueError(line)
        if line.startswith(metric + label):
            values[metric.removeprefix(_PREFIX)] = float(value)
    return values


def store_metrics(consumption: Consumption) -> dict[str, float]:
    """The figures of a store, or of a tree of them, by the names of their metrics."""
    reclaimable, reclaimable_all = (
        sum(freed(files)) + consumption.leftovers_freed for files in (consumption.dangling, consumption.unused)
    )
    return {
        "images": len(consumption.images),
        "blobs": consumption.blobs,
        "store_bytes": consumption.size,
        "store_disk_bytes": consumption.disk,
        "reclaimable_bytes": reclaimable,
        "reclaimable_all_bytes": reclaimable_all,
        **_health(consumption.health),
        **_disks(consumption.disks),
    }


def _health(each: Sequence[Health]) -> dict[str, float]:
    verified = [0 if health.verified is None else health.verified for health in each]
    return {
        "trash_bytes": sum(health.trashed for health in each),
        "trash_runs": sum(health.runs for health in each),
        "incomplete_images": sum(health.incomplete for health in each),
        "damaged_manifests": sum(len(health.damaged) for health in each),
        "oldest_verification_timestamp_seconds": min(verified, default=0) / SECOND,
    }


def _disks(disks: Sequence[Disk]) -> dict[str, float]:
    """The figures of the disk with the least free space, as it will be full first."""
    if not disks:
        return {}
    disk = min(disks, key=lambda disk: disk.free)
    return {"disk_size_bytes": disk.total, "disk_free_bytes": disk.free}


def repository_metrics(consumption: Consumption) -> Mapping[str, Mapping[str, float]]:
    """The figures of each repository, by its name as `du` shows it. A name in several layouts has the sum."""
    found: dict[str, Counter[str]] = {}
    for each in consumption.repositories:
        found.setdefault(each.name or "<none>", Counter()).update(
            {
                "repository_images": each.images,
                "repository_bytes": each.size,
                "repository_unique_bytes": each.unique,
                "repository_reclaimable_bytes": each.reclaimable,
            }
        )
    return found
