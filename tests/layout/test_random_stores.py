"""Random small stores of all that a layout may have, on a real disk, against a second reading of what keeps a blob.

OCIGC_SEEDS=5000 reads so many stores; OCIGC_SEEDS=5000-6000 those of some seeds.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ocigc
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.inuse import parse_in_use
from ocigc.pruning.policy_file import parse_policy
from ocigc.pruning.prune_options import PruneOptions, request
from tests.helpers.layouts import INDEX, MANIFEST, Descriptor, LayoutWriter

FIRST, _, STOP = os.environ.get("OCIGC_SEEDS", "60").rpartition("-")
SEEDS = range(int(FIRST or 0), int(STOP))
NAMES = [f"reg.example/a:{tag}" for tag in ("1.0", "1.1", "2.0", "latest")] + ["reg.example/b:1", "not a Reference!"]
REF = "org.opencontainers.image.ref.name"
NAME_KEYS = ("io.containerd.image.name", REF, "org.opencontainers.image.base.name")
POLICIES = [
    "[[rule]]\nkeep-last = 1\n",
    "[[rule]]\nkeep-last = 1\norder = 'semver'\ndelete-untagged = true\n",
    "[[rule]]\nkeep-tagged = true\ndelete-untagged = true\ndelete-orphaned-referrers = true\n",
    "protect = ['reg.example/a:1*']\n[[rule]]\nkeep-monthly = 2\ndelete-untagged = true\nkeep-labels = ['n=2']\n",
    "[[rule]]\ndelete-referrers = true\n",
    "[[rule]]\nkeep-last = 2\ndelete-untagged = true\ndelete-referrers = true\ndelete-orphaned-referrers = true\n",
    "[[rule]]\ndeny = ['reg.example/a:1*', 'reg.example/b:*']\ndelete-untagged = true\n",
    "[[rule]]\nrepository = ['reg.example/b']\nkeep-last = 1\n[[rule]]\nkeep-in-use = true\ndelete-untagged = true\n",
]


class Store:
    """A store by a seed: a small alphabet, so that blobs and names are shared often; and a prune of it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.layout = LayoutWriter(path)
        self.manifests: list[Descriptor] = []
        self._blobs()
        self._entries()
        self._labels_and_leases()
        blobs = [each for each in self.every if self.random.random() < 0.04]
        for blob in blobs:
            self.layout.blob_path(blob).unlink(missing_ok=True)
        self.options = self._options()

    def _blobs(self) -> None:
        layout, pick = self.layout, self.random
        created = ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-05-01T00:00:00Z")
        configs = [layout.config(f"{n}", labels={"n": f"{n}"}, created=each) for n, each in enumerate(created)]
        layers = [layout.blob(f"layer {n}") for n in range(5)]
        for number in range(pick.randint(3, 9)):
            kind, more = pick.random(), {"annotations": {"n": f"{number}"}}
            if kind < 0.25 and self.manifests:
                children = pick.sample(self.manifests, min(len(self.manifests), pick.randint(1, 3)))
                document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children, **more}
                self.manifests.append(layout.json(document, INDEX))
            elif kind < 0.5 and self.manifests:
                subject = pick.choice(self.manifests)
                notes = [layout.blob(f"notes {number}")]
                self.manifests.append(layout.manifest(layout.json({}, "application/json"), notes, subject, **more))
            else:
                chosen = pick.sample(layers, pick.randint(0, 3))
                self.manifests.append(layout.manifest(pick.choice(configs), chosen, **more))
        self.every = [*self.manifests, *configs, *layers, layout.blob("extra")]

    def _entries(self) -> None:
        pick = self.random
        for _ in range(pick.randint(2, 9)):
            target, annotations = dict(pick.choice(self.manifests)), {}
            fallback = pick.choice(self.manifests)["digest"].replace(":", "-")
            several = ",".join(pick.sample(NAMES[:5], 2))
            odd = [None, None, f"moby-dangling@{target['digest']}", f"reg.example/a:{fallback}.sig", fallback, several]
            name = pick.choice([*odd, pick.choice(NAMES), pick.choice(NAMES)])
            if name is not None:
                annotations[pick.choice(NAME_KEYS)] = name
            if pick.random() < 0.06:
                annotations["io.containerd.manifest.subject"] = pick.choice(self.manifests)["digest"]
            if pick.random() < 0.05:
                annotations["containerd.io/gc.ref.content.x"] = pick.choice(self.every)["digest"]
            if pick.random() < 0.05:
                target["mediaType"] = "application/octet-stream"
            if pick.random() < 0.05:
                target["data"] = base64.b64encode(self.layout.blob_path(target).read_bytes()).decode()
            self.layout.entry(target, **annotations)

    def _labels_and_leases(self) -> None:
        pick = self.random
        for _ in range(pick.choice([0, 0, 1, 2])):
            key = pick.choice(["root", "ref.content.0", "bref.content.0", "bref.image.0", "ref.image.0", "what"])
            value = pick.choice(NAMES) if "image" in key else pick.choice(self.every)["digest"]
            self.layout.labels(pick.choice(self.every), {f"containerd.io/gc.{key}": value})
        for number in range(pick.choice([0, 0, 1, 2])):
            labels = pick.choice([{}, {}, {"flat": ""}, {"expire": "2020-01-01T00:00:00Z"}, {"expire": "soon"}])
            self.layout.lease(f"l{number}", pick.sample(self.every, pick.randint(1, 2)), **labels)

    def _options(self) -> PruneOptions:
        pick = self.random
        self.default = pick.random() < 0.2
        filters = [] if self.default else pick.choice([[], [], ["until=2026-04-01"], ["label=n=1"], ["label!=n=1"]])
        digest = pick.choice(self.every)["digest"]
        used = [
            None,
            f"{pick.choice(NAMES[:5])}\nreg.example/a@{digest}\n{digest}\n",
            json.dumps([{"Id": "c", "Image": digest, "Config": {"Image": pick.choice([NAMES[0], digest[7:19]])}}]),
        ]
        text = pick.choice(used)
        in_use = None if text is None else parse_in_use(text.encode(), "used")
        rules = pick.choice(list(RULE_SETS.values()))
        policy = None if self.default else pick.choice([None, None, *POLICIES])
        self.detaches = policy is not None and ("delete-referrers" in policy or "deny" in policy)
        wanted = request(filters, prune_all=not self.default, in_use=in_use, grace=0, rules=rules)
        parsed = None if policy is None else parse_policy(policy.encode(), "policy")
        repository = pick.choice([None, "reg.example/a"])
        limit = pick.choice([None, None, None, 0, 2000, 3000])
        options = PruneOptions(wanted, repository=repository, keep_storage=limit, allow_empty=True)
        return replace(options, policy=parsed, own_policy=False)


Answer = tuple[Sequence[tuple[str, str]], Sequence[str], int]


def pruned(path: Path, options: PruneOptions) -> Answer:
    with ocigc.Layout(path) as layout, ocigc.prune(layout, options) as done:
        return list(done.items()), sorted(done.orphans()), done.reclaimed


def contents(path: Path) -> dict[str, bytes]:
    return {f"{each.parent.name}:{each.name}": each.read_bytes() for each in (path / "blobs").glob("*/*")}


def entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((path / "index.json").read_text())["manifests"]
    return found


def names(entry: dict[str, Any]) -> list[str]:
    annotations = entry.get("annotations", {})
    text: str = next((annotations[key] for key in NAME_KEYS if annotations.get(key)), "")
    return [each for each in text.split(",") if each]


def children(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for each in [document.get("config"), *document.get("layers", []), *document.get("manifests", [])]:
            if isinstance(each, dict) and "digest" in each:
                yield each["digest"]


def kept(path: Path, blobs: dict[str, bytes], detached: bool = False) -> set[str]:
    """The digests that what stands in a layout keeps, by the blobs that it had. With `detached`, referrers may have
    gone without their subjects.
    """
    there = contents(path).keys() if detached else blobs.keys()
    documents = {digest: parsed(content) for digest, content in blobs.items()}
    labels = {f"{each.parent.name}:{each.stem}": json.loads(each.read_text()) for each in path.glob("labels/*/*.json")}
    labels = {digest: each for digest, each in labels.items() if digest in blobs}
    left = entries(path)
    known = {name for entry in left for name in names(entry)}
    back: dict[str, set[str]] = {}
    for digest, document in documents.items():
        if digest not in there or not isinstance(document, dict):
            continue
        if document.get("mediaType") in (MANIFEST, INDEX) and "subject" in document:
            back.setdefault(document["subject"]["digest"], set()).add(digest)
    roots = [entry["digest"] for entry in left]
    roots += [value for entry in left for value in labelled(entry.get("annotations", {}), "ref.content")]
    for entry in left:
        if "data" in entry and entry["digest"] not in blobs:
            roots += children(parsed(base64.b64decode(entry["data"])))
    for digest, own in labels.items():
        roots += [digest for key in own if key.removeprefix("containerd.io/gc.") in ("root", "what")]
        roots += [digest for name in labelled(own, "bref.image") if name in known]
        for value in labelled(own, "bref.content"):
            back.setdefault(value, set()).add(digest)
    flat: set[str] = set()
    for lease in (json.loads(each.read_text()) for each in path.glob("leases/*.json")):
        resources = [each["id"] for each in lease["resources"]]
        if "containerd.io/gc.flat" in lease["labels"]:
            flat.update(resources)
            roots += [each for resource in resources if resource in blobs for each in back.get(resource, ())]
        elif not lease["labels"].get("containerd.io/gc.expire", "").startswith("2020"):
            roots += resources
    reached: set[str] = set()
    while roots:
        digest = roots.pop()
        if digest in blobs and digest not in reached:
            reached.add(digest)
            roots += [*children(documents[digest]), *labelled(labels.get(digest, {}), "ref.content")]
            roots += back.get(digest, ())
    return reached | (flat & blobs.keys())


def labelled(labels: dict[str, str], kind: str) -> list[str]:
    return [value for key, value in labels.items() if key.startswith(f"containerd.io/gc.{kind}")]


def parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_stays_loses_what_it_needs(seed: int, tmp_path: Path) -> None:
    """And a dry run says what a real run does, in whatever order the entries stand. A second run finds nothing."""
    store = Store(tmp_path / "store", seed)
    path = store.layout.path
    blobs, before = contents(path), entries(path)
    dry = replace(store.options, dry_run=True)
    planned = pruned(path, dry)
    assert (contents(path), entries(path)) == (blobs, before)
    shutil.copytree(path, tmp_path / "shuffled")
    store.random.shuffle(store.layout.entries)
    store.layout.path = tmp_path / "shuffled"
    store.layout.write_index()
    assert pruned(store.layout.path, dry) == planned

    assert pruned(path, store.options) == planned
    assert kept(path, blobs, store.detaches) <= contents(path).keys()
    left = entries(path)
    if store.default:
        lost = [name for entry in before if entry not in left for name in names(entry)]
        assert not [name for name in lost if name in NAMES]
    assert pruned(path, store.options) == ([], [], 0)
    assert entries(path) == left
    assert kept(path, blobs, store.detaches) <= contents(path).keys()
