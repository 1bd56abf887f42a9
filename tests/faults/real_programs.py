"""Programs that write a layout, run for real below a supervisor; and the store that they write an image into.

Only BuildKit, which needs a daemon, is a process that does its steps.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.actor import Actor
from tests.faults.commands import Command, Template
from tests.faults.habits import INDEX, Pushed
from tests.helpers.layouts import CONFIG, LAYER, LayoutWriter
from tests.interop.programs import PATH, appears, call, daemon

KEPT, GONE, NEW = "kept", "gone", "new"
REPOSITORY = "example.com/app"
_ROOT = Path(__file__).parents[2]
_STEPS = f"import sys; sys.path.append({str(_ROOT)!r}); from tests.faults.real_programs import write; write()"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that writes an image NEW: its command, by the layout, the layout with the image, and a registry that
    has it. Where it `trusts` the index, it names what an entry there refers to without looking. `needs` are the
    programs that have to be installed."""

    name: str
    command: Callable[[Path, Path, str], Sequence[str]]
    needs: tuple[str, ...]
    trusts: bool = False
    written: Callable[[str], str] = lambda _: NEW

    @property
    def is_here(self) -> bool:
        """Whether it can be run."""
        return all(shutil.which(each, path=PATH) for each in self.needs)


PROGRAMS = (
    Program(
        "skopeo", lambda layout, source, _: ("skopeo", "copy", f"oci:{source}:new", f"oci:{layout}:new"), ("skopeo",)
    ),
    Program(
        "umoci config",
        lambda layout, *_: ("umoci", "config", "--image", f"{layout}:gone", "--tag", "new", "--config.label", "a=b"),
        ("umoci",),
        trusts=True,
    ),
    Program(
        "umoci tag", lambda layout, *_: ("umoci", "tag", "--image", f"{layout}:gone", "new"), ("umoci",), trusts=True
    ),
    Program(
        "oras",
        lambda layout, source, _: (
            *("oras", "copy", "--from-oci-layout", f"{source}:new", "--to-oci-layout", f"{layout}:new"),
        ),
        ("oras",),
    ),
    Program(
        "crane",
        lambda layout, _, registry: (
            *("crane", "pull", "--format", "oci", "--annotate-ref", f"{registry}/app:new", str(layout)),
        ),
        ("crane",),
        written=lambda registry: f"{registry}/app:new",
    ),
    Program(
        "regctl",
        lambda layout, source, _: ("regctl", "image", "copy", f"ocidir://{source}:new", f"ocidir://{layout}:new"),
        ("regctl",),
    ),
    Program(
        "BuildKit",
        lambda layout, source, _: (sys.executable, "-P", "-c", _STEPS, "BuildKit", str(layout), str(source)),
        (),
    ),
)


def write() -> None:
    """Does the steps of a writer of `habits`: the process that is stopped where there is no real program."""
    from tests.faults import habits

    _, kind, layout, source = sys.argv
    entry = json.loads(Path(source, INDEX).read_text())["manifests"][0]
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in Path(source, "blobs", "sha256").iterdir()}
    writer = getattr(habits, kind)(Path(layout), Pushed(entry, blobs))
    try:
        for step in writer.steps():
            step.act()
    except habits.Failed:
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class Store:
    """A layout as it is before the command, with the directory of the layout that has the new image."""

    template: Template
    source: Path
    registry: str


def make_store(directory: Path, command: Command, actor: Actor, registry: str) -> Store:
    """A small store for the command, in a directory that is there. The registry may be none."""
    layout, elsewhere = LayoutWriter(directory / "layout"), LayoutWriter(directory / "elsewhere")
    kept = _image(layout, KEPT, ["base", "kept"])
    gone = _image(layout, GONE, ["base", "gone"])
    layout.labels(layout.blob("orphan"), {"name": "orphan"})
    new = _image(elsewhere, NEW, ["base", "gone"])
    in_use = directory / "in-use"
    in_use.write_text(f"{REPOSITORY}:kept\n{REPOSITORY}:new\n{registry or REPOSITORY}/app:new\n")
    options = ("--repository", REPOSITORY)
    plan = directory / "plan.json"
    template = Template(layout.path, kept, gone, new, in_use, plan, options, f"{REPOSITORY}:{GONE}")
    if registry:
        call("skopeo", "copy", "--dest-tls-verify=false", f"oci:{elsewhere.path}:new", f"docker://{registry}/app:new")
    command.prepare(template, layout.path, actor)
    return Store(template, elsewhere.path, registry)


def _image(layout: LayoutWriter, name: str, layers: Sequence[str]) -> Pushed:
    blobs = [layout.blob(gzip.compress(each.encode(), mtime=0), f"{LAYER}+gzip") for each in layers]
    diff_ids = [f"sha256:{hashlib.sha256(each.encode()).hexdigest()}" for each in layers]
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = layout.json({**document, "comment": name}, CONFIG)
    manifest = layout.manifest(config, blobs)
    layout.tag(manifest, name)
    content = {each["digest"]: layout.blob_path(each).read_bytes() for each in (*blobs, config, manifest)}
    return Pushed(layout.entries[-1], content)


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """The address of a registry; "" where there is no program for it."""
    if not all(shutil.which(each, path=PATH) for each in ("crane", "skopeo")):
        yield ""
        return
    log = directory / "registry.log"
    with daemon(log, "crane", "registry", "serve", "--address", "127.0.0.1:0"):
        yield f"127.0.0.1:{appears(log, r'serving on port ([0-9]+)')[1]}"
