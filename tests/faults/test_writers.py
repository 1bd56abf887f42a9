"""Other programs copy, tag and remove images while prune runs all the time: nothing that an index names goes missing.

Each of them does what docs/crash-safety.md asks of a script that copies: it holds a lease on all that it may come to
name. None of them takes a lock, and skopeo writes back the index.json that it read when it began.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import Result, ocigc
from tests.helpers.layouts import LAYER, Descriptor, LayoutWriter

LONG = 60  # seconds, for the first blob to go
SECONDS = 120 if os.environ.get("OCIGC_FAULTS") == "all" else 5
WRITERS = 2
KEPT = "example.com/kept:1"

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("skopeo", "umoci")), reason="needs skopeo and umoci"
)


@pytest.fixture
def source(tmp_path: Path) -> LayoutWriter:
    """Images that share layers with each other in all ways."""
    layout = LayoutWriter(tmp_path / "source")
    layers = [layout.blob(gzip.compress(os.urandom(2000), mtime=0), f"{LAYER}+gzip") for _ in range(4)]
    for chosen in range(1, 1 << len(layers)):
        image = layout.manifest(layout.config(str(chosen)), [layers[i] for i in range(4) if chosen >> i & 1])
        layout.tag(image, f"v{chosen}")
    return layout


@pytest.fixture
def target(tmp_path: Path, source: LayoutWriter) -> Path:
    path = tmp_path / "target"
    call("skopeo", "copy", f"oci:{source.path}:v1", f"oci:{path}:{KEPT}")
    (tmp_path / "in-use.json").write_text(json.dumps([{"Id": "c", "Image": "", "Config": {"Image": KEPT}}]))
    return path


def call(*command: str | Path, may_fail: bool = False) -> None:
    process = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)
    assert may_fail or process.returncode == 0, process


def patiently(*arguments: str | Path) -> Result:
    """Runs `ocigc`, again where the others gave it no chance."""
    while (result := ocigc(*arguments)).code != 0:
        assert "keeps changing" in result.err, result
    return result


class Writer:
    """Does one random thing after the other until it is told to stop."""

    def __init__(self, source: LayoutWriter, target: Path, number: int) -> None:
        self._source, self._target, self._name = source, target, f"writer-{number}"
        self._rng = random.Random(number)
        self.done = 0

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(self._rng.uniform(0, 1)):
            with self._lease():
                self._rng.choice((self._copy, self._copy, self._tag, self._remove))()
            self.done += 1

    @contextmanager
    def _lease(self) -> Iterator[None]:
        everything = sorted(self._source.present())
        patiently("lease", "create", "--wait", "60s", "--id", self._name, self._target, *everything)
        yield
        patiently("lease", "release", "--wait", "60s", self._target, self._name)

    def _copy(self) -> None:
        image = self._rng.choice(self._source.entries)["annotations"]["org.opencontainers.image.ref.name"]
        # Two that write index.json at once may disturb each other, but not us.
        call("skopeo", "copy", f"oci:{self._source.path}:{image}", f"oci:{self._target}:{image}", may_fail=True)

    def _tag(self) -> None:
        call("umoci", "tag", "--image", f"{self._target}:{KEPT}", f"t{self._rng.randrange(5)}", may_fail=True)

    def _remove(self) -> None:
        call("umoci", "rm", "--image", f"{self._target}:t{self._rng.randrange(5)}", may_fail=True)


def entries(layout: Path) -> list[Descriptor]:
    while True:
        with suppress(json.JSONDecodeError):  # half written
            found: list[Descriptor] = json.loads((layout / "index.json").read_bytes())["manifests"]
            return found


def missing(layout: Path, image: Descriptor) -> list[str]:
    """What an image lacks."""

    def path(descriptor: Any) -> Path:
        return layout / "blobs" / str(descriptor["digest"]).replace(":", "/")

    try:
        manifest = json.loads(path(image).read_bytes())
    except FileNotFoundError:
        return [image["digest"]]
    return [child["digest"] for child in (manifest["config"], *manifest["layers"]) if not path(child).exists()]


def check(layout: Path) -> None:
    """Nothing that index.json names is missing while it names it."""
    for image in entries(layout):
        lost = missing(layout, image)
        if lost:
            # A prune may have come between; then it is not named any more.
            assert image not in entries(layout), lost


def prune(target: Path) -> int:
    """How many blobs a prune has deleted."""
    options = ("--all", "--force", "--grace", "0s", "--wait", "60s", "--format", "json")
    report = patiently("prune", *options, "--in-use", target.parent / "in-use.json", target).json
    return len(report["Orphans"]) + sum("Deleted" in image for image in report["ImagesDeleted"] or ())


def test_nothing_is_ever_missing(source: LayoutWriter, target: Path) -> None:
    stop = threading.Event()
    writers = [Writer(source, target, number) for number in range(WRITERS)]
    deleted = prunes = 0
    with ThreadPoolExecutor(WRITERS) as pool:
        futures = [pool.submit(writer.run, stop) for writer in writers]
        try:
            start = time.monotonic()
            while (passed := time.monotonic() - start) < SECONDS or (not deleted and passed < LONG):
                deleted += prune(target)
                prunes += 1
                check(target)
        finally:
            stop.set()
        for future in futures:
            future.result()
    check(target)
    verified = ocigc("verify", "--format", "json", target)
    assert (verified.code, verified.json["Missing"]) == (0, [])
    for image in entries(target):
        name = image["annotations"]["org.opencontainers.image.ref.name"]
        call("skopeo", "inspect", "--raw", f"oci:{target}:{name}")
    done = sum(writer.done for writer in writers)
    assert done > 0
    assert deleted > 0
    print(f"{prunes:,} prunes, {deleted:,} blobs deleted, {done:,} copies, tags and removals")
