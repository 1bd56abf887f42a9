"""Label sidecars: `labels/<alg>/<encoded>.json`. Reading all of them is the native core's; this is for single ones."""

from __future__ import annotations

import json
import os

from ocigc.store import files, strict_json

DIRECTORY = "labels"
_LIMIT = 1 << 20  # bytes


def _place(digest: str) -> tuple[str, str]:
    algorithm, _, encoded = digest.partition(":")
    return f"{DIRECTORY}/{algorithm}", f"{encoded}.json"


def read(layout: int, digest: str) -> dict[str, str]:
    """The labels of a blob, none where it has no sidecar. Raises Refused."""
    directory, name = _place(digest)
    path = f"{directory}/{name}"
    with files.naming(path):
        try:
            with files.directory(layout, DIRECTORY) as labels, files.directory(labels, directory[7:]) as parent:
                content = files.read(parent, name, _LIMIT)
        except FileNotFoundError:
            return {}
    return strict_json.string_map(strict_json.loads(content, path), path)


def remove_label(layout: int, state: int, digest: str, label: str) -> None:
    """Takes one label off a blob. `state` is an open directory on the same file system, for the new file."""
    labels = read(layout, digest)
    if labels.pop(label, None) is None:
        return
    directory, name = _place(digest)
    with (
        files.naming(f"{directory}/{name}"),
        files.directory(layout, DIRECTORY) as parent,
        files.directory(parent, directory[7:]) as algorithm,
    ):
        like = os.stat(name, dir_fd=algorithm, follow_symlinks=False)
        files.write(state, "sidecar", json.dumps(labels, ensure_ascii=False).encode(errors="surrogatepass"), like)
        os.rename("sidecar", name, src_dir_fd=state, dst_dir_fd=algorithm)
        os.fsync(algorithm)
