"""Each form in which a runtime says what is in use, and what that protects."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc import inuse
from ocigc.errors import UsageError
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
OTHER = f"sha256:{HEX[::-1]}"
NAME = "registry.example.com/team/app:1"

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {
        "containers": [{"name": "a", "image": "nginx"}],
        "initContainers": [{"image": "busybox:1.36"}],
        "ephemeralContainers": [{"image": "debug:1"}],
        "volumes": [{"name": "v", "image": {"reference": "models:7", "pullPolicy": "Always"}}],
    },
    "status": {
        "containerStatuses": [
            {"image": "docker.io/library/nginx:latest", "imageID": f"docker-pullable://nginx@{DIGEST}"},
            {"image": DIGEST, "imageID": ""},
        ],
        "initContainerStatuses": [{"image": "busybox:1.36", "imageID": f"containerd://{DIGEST}"}],
    },
}
POD_NAMES = {"nginx", "docker.io/library/nginx:latest", f"nginx@{DIGEST}", "busybox:1.36", "debug:1", "models:7"}
CRONJOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": NAME}]}}}}},
}
MANIFESTS = f"""\
# Source: chart/templates/one.yaml
---
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: app
          image: "{NAME}"
---
apiVersion: example.com/v1
kind: Widget
spec:
  template: {{spec: {{initContainers: [{{image: init:3}}]}}}}
  image: operand:2
  icon: {{image: "Not A Reference"}}
---
"""
COMPOSE = f"services:\n  web:\n    image: {NAME}\n  built:\n    build: .\n"
CONTAINERS = f"""\
CONTAINER    IMAGE                             RUNTIME
web          {NAME}    io.containerd.runc.v2
bare         -                                 io.containerd.runc.v2
"""
IMAGES = f"""\
REF                             TYPE                    DIGEST{" " * 66}SIZE
{NAME} application/vnd.oci...  {DIGEST} 7.2 MiB
"""
LIST = f"# what runs\n\n{NAME}  # production\n{DIGEST}\nalpine\n"


def lines(*documents: Any) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


FORMS: dict[str, tuple[str, set[str], set[str]]] = {
    "docker ps": (lines({"ID": "1", "Image": NAME, "Names": "a"}, {"ID": "2", "Image": DIGEST}), {NAME}, {DIGEST}),
    "docker ps, one line": (lines({"ID": "1", "Image": NAME}), {NAME}, set()),
    "podman ps": (json.dumps([{"Id": "1", "Image": NAME, "ImageID": HEX, "Names": ["a"]}]), {NAME}, {DIGEST}),
    "podman inspect": (
        json.dumps([{"Id": "1", "Image": HEX, "ImageName": NAME, "ImageDigest": "", "Config": {}}]),
        {NAME},
        {DIGEST},
    ),
    "nerdctl inspect": (json.dumps([{"Id": "1", "Image": NAME, "Config": {"Hostname": "a"}}]), {NAME}, set()),
    "docker images": (
        lines(
            {"ID": DIGEST, "Repository": "registry.example.com/team/app", "Tag": "1", "Digest": "<none>"},
            {"ID": DIGEST, "Repository": "<none>", "Tag": "<none>", "Digest": "<none>"},
        ),
        {NAME},
        {DIGEST},
    ),
    "nerdctl images": (
        lines({"ID": HEX[:12], "Repository": "a", "Tag": "<none>", "Digest": DIGEST, "Name": "a"}),
        {"a"},
        {DIGEST},
    ),
    "podman images": (
        json.dumps([{"Id": HEX, "RepoTags": None, "RepoDigests": [f"a@{DIGEST}"], "Names": [NAME], "Digest": DIGEST}]),
        {NAME, f"a@{DIGEST}"},
        {DIGEST},
    ),
    "docker image inspect": (json.dumps([{"Id": DIGEST, "RepoTags": [NAME], "Config": {}}]), {NAME}, {DIGEST}),
    "kubectl get pods": (json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}), POD_NAMES, {DIGEST}),
    "kubectl get cronjob": (json.dumps(CRONJOB), {NAME}, set()),
    "objects, one a line": (lines(POD, CRONJOB), POD_NAMES | {NAME}, {DIGEST}),
    "objects, one after the other": (
        json.dumps(POD, indent=2) + json.dumps([CRONJOB], indent=2),
        POD_NAMES | {NAME},
        {DIGEST},
    ),
    "an operator's variables": (
        json.dumps(
            {
                **CRONJOB,
                "spec": {
                    "containers": [
                        {
                            "image": "operator:1",
                            "env": [
                                {"name": "RELATED_IMAGE_WEB", "value": NAME},
                                {"name": "RELATED_IMAGE_NONE", "value": ""},
                                {"name": "RELATED_IMAGE_ODD", "value": "Not A Reference"},
                                {"name": "IMAGE", "value": "other:1"},
                            ],
                        }
                    ]
                },
            }
        ),
        {"operator:1", NAME},
        set(),
    ),
    "kubectl get nodes": (
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "status": {"images": [{"names": [f"a@{DIGEST}", NAME], "sizeBytes": 1}]},
            }
        ),
        {f"a@{DIGEST}", NAME},
        set(),
    ),
    "a custom resource with an image in parts": (
        json.dumps(
            {
                "apiVersion": "x/v1",
                "kind": "X",
                "spec": {"image": {"registry": "registry.example.com", "repository": "team/app", "tag": "1"}},
            }
        ),
        {NAME},
        set(),
    ),
    "an application of Argo CD": (
        json.dumps(
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "status": {"summary": {"images": [NAME]}}}
        ),
        {NAME},
        set(),
    ),
    "a kustomization": (
        json.dumps(
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "images": [
                    {"name": "app", "newName": "registry.example.com/team/app", "newTag": "1"},
                    {"name": "alpine", "newTag": "3"},
                ],
            }
        ),
        {NAME, "alpine:3"},
        set(),
    ),
    "docker service inspect": (
        json.dumps(
            [
                {
                    "ID": "1",
                    "Spec": {"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": f"{NAME}@{DIGEST}"}}},
                    "PreviousSpec": {"TaskTemplate": {"ContainerSpec": {"Image": "alpine:3"}}},
                }
            ]
        ),
        {f"{NAME}@{DIGEST}", "alpine:3"},
        set(),
    ),
    "docker service ls": (lines({"ID": "1", "Image": NAME, "Mode": "replicated", "Name": "a"}), {NAME}, set()),
    "a task of swarm": (
        json.dumps([{"ID": "1", "Spec": {"ContainerSpec": {"Image": NAME}}, "Status": {"State": "running"}}]),
        {NAME},
        set(),
    ),
    "docker compose images": (
        json.dumps(
            [{"ID": DIGEST, "ContainerName": "a", "Repository": "registry.example.com/team/app", "Tag": "1", "Size": 1}]
        ),
        {NAME},
        set(),
    ),
    "nomad job inspect": (
        json.dumps(
            {
                "Job": {
                    "ID": "j",
                    "TaskGroups": [
                        {"Tasks": [{"Driver": "docker", "Config": {"image": NAME}}, {"Config": {"command": "a"}}]},
                        {"Tasks": None},
                    ],
                }
            }
        ),
        {NAME},
        set(),
    ),
    "aws ecs describe-task-definition": (
        json.dumps({"taskDefinition": {"containerDefinitions": [{"name": "a", "image": NAME}]}, "tags": []}),
        {NAME},
        set(),
    ),
    "ctr containers info": (
        json.dumps({"ID": "a", "Labels": {}, "Image": NAME, "Runtime": {"Name": "r"}, "Spec": {}}),
        {NAME},
        set(),
    ),
    "crictl ps": (json.dumps({"containers": [{"image": {"image": NAME}, "imageRef": DIGEST}]}), {NAME}, {DIGEST}),
    "crictl ps, Kubernetes 1.29": (
        json.dumps(
            {
                "containers": [
                    {
                        "image": {"image": DIGEST, "userSpecifiedImage": NAME},
                        "imageId": OTHER,
                        "imageRef": f"a@{DIGEST}",
                    }
                ]
            }
        ),
        {NAME, f"a@{DIGEST}"},
        {DIGEST, OTHER},
    ),
    "crictl images": (
        json.dumps({"images": [{"id": DIGEST, "repoTags": [NAME], "repoDigests": [f"a@{DIGEST}"]}]}),
        {NAME, f"a@{DIGEST}"},
        {DIGEST},
    ),
    "ctr containers ls": (CONTAINERS, {NAME}, set()),
    "ctr images ls": (IMAGES, {NAME}, {DIGEST}),
    "manifests": (MANIFESTS, {NAME, "operand:2", "init:3"}, set()),
    "compose": (COMPOSE, {NAME}, set()),
    "list": (LIST, {NAME, "alpine"}, {DIGEST}),
    "list, Windows": (LIST.replace("\n", "\r\n"), {NAME, "alpine"}, {DIGEST}),
    "a JSON list": (json.dumps([NAME, DIGEST]), {NAME}, {DIGEST}),
    "a YAML list": (f"- {NAME}\n- {DIGEST}\n", {NAME}, {DIGEST}),
    "nothing": ("# nothing\n", set(), set()),
    "no pods": (json.dumps({"apiVersion": "v1", "kind": "List", "items": []}), set(), set()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_is_recognised_and_read(form: str, encoding: str) -> None:
    if form in ("manifests", "compose", "a YAML list"):
        pytest.importorskip("yaml")
    text, references, digests = FORMS[form]
    found = inuse.parse_in_use(text.encode(encoding), "file")
    assert (found.containers, found.references, found.digests) == ((), references, digests)
    assert found.pods == (form in ("kubectl get pods", "objects, one a line", "objects, one after the other"))


SANDBOX = "registry.k8s.io/pause:3.9"
NODES: dict[str, tuple[Any, set[str], set[str], bool, bool]] = {
    # cri-tools: what it prints, the references and digests in it, whether it lists pods, and names their sandboxes
    "info, containerd 1": (
        {"status": {"conditions": []}, "config": {"containerd": {"snapshotter": "o"}, "sandboxImage": SANDBOX}},
        {SANDBOX},
        set(),
        False,
        True,
    ),
    "info, containerd 2": (
        {"status": {"conditions": []}, "config": {"images": {"pinned_images": {"sandbox": SANDBOX, "other": NAME}}}},
        {SANDBOX, NAME},
        set(),
        False,
        True,
    ),
    "a config alone": ({"config": {"sandboxImage": SANDBOX}}, {SANDBOX}, set(), False, True),
    "pinned images of a config": (
        {"status": {}, "config": {"images": {"pinnedImages": {"sandbox": SANDBOX}}}},
        {SANDBOX},
        set(),
        False,
        True,
    ),
    "info without it": ({"status": {"conditions": []}, "config": {"cni": {}}}, set(), set(), False, False),
    "inspectp": (
        {"status": {"id": "1", "metadata": {}, "annotations": {}}, "info": {"image": SANDBOX, "pid": 7}},
        {SANDBOX},
        set(),
        True,
        True,
    ),
    "inspectp of two, without it": (
        [{"status": {"id": each, "metadata": {}}, "info": {}} for each in "12"],
        set(),
        set(),
        True,
        False,
    ),
    "pods, CRI-O": (
        {"items": [{"id": "1", "metadata": {}, "annotations": {"io.kubernetes.cri-o.ImageName": SANDBOX}}]},
        {SANDBOX},
        set(),
        True,
        True,
    ),
    "pods": ({"items": [{"id": "1", "metadata": {}, "annotations": {}}]}, set(), set(), True, False),
    "inspect": (
        {"status": {"id": "1", "metadata": {}, "image": {"image": NAME}, "imageRef": f"a@{DIGEST}"}, "info": {}},
        {NAME, f"a@{DIGEST}"},
        set(),
        False,
        False,
    ),
    "inspecti": (
        {"status": {"id": DIGEST, "repoTags": [NAME], "repoDigests": [], "pinned": False}, "info": {}},
        {NAME},
        {DIGEST},
        False,
        False,
    ),
    "images, one pinned": (
        {"images": [{"id": DIGEST, "repoTags": [SANDBOX], "repoDigests": [], "pinned": True}]},
        {SANDBOX},
        {DIGEST},
        False,
        True,
    ),
}


@pytest.mark.parametrize("form", NODES)
def test_what_crictl_tells_of_sandboxes(form: str) -> None:
    document, references, digests, pods, sandboxes = NODES[form]
    found = inuse.parse_in_use(json.dumps(document).encode(), "file")
    assert (found.references, found.digests, found.pods, found.sandboxes) == (references, digests, pods, sandboxes)


REFUSED = {
    "a short ID": ("alpine\n0123456789ab\n", "line 2", "shortened ID"),
    "no reference": ("alpine\nNot A Reference\n", "line 2", "repository"),
    "docker images": ("REPOSITORY TAG IMAGE ID\nalpine 3.18 0123456789ab\n", "line 1", "REPOSITORY"),
    "an image that is a number": (lines({"ID": "1", "Image": 7}), "entry 0", "Image must be a string"),
    "a pod's bad image": (
        json.dumps({**POD, "spec": {"containers": [{"image": "A B"}]}}),
        "containers[0].image",
        "A B",
    ),
    "a container's image in parts": (
        json.dumps({**POD, "spec": {"containers": [{"image": {"repository": "a"}}]}}),
        "containers[0].image",
        "must be a string",
    ),
    "a digest in capitals": (f"alpine\nsha256:{HEX.upper()}\n", "line 2", "not a digest"),
    "a shortened ID and nothing else": (
        lines({"ID": HEX[:12], "Repository": "<none>", "Tag": "<none>", "Digest": "<none>"}),
        "entry 0",
        "shortened ID",
    ),
    "what jq prints of nothing": ("null\n", "line 1", "null"),
    "an unknown object": ('{"a": 1}', "not understood", "docker inspect"),
    "broken JSON": ('[{"Image": ', "not valid JSON", "file"),
    "a broken line": ('{"ID": "1", "Image": "a"}\n{"ID"\n', "not valid JSON", "file"),
    "a crooked table": ("CONTAINER    IMAGE    RUNTIME\nlonger-than-that alpine io\n", "line 2", "columns"),
    "no text": (b"\xff\x00\xff", "not text", "byte"),
    "an unknown mapping": ("replicas: 3\n", "not understood", "compose"),
    "broken YAML": ("kind: Pod\n  apiVersion: [\n", "not valid YAML", "file"),
    "a key twice": ("kind: Pod\napiVersion: v1\nimage: a\nimage: b\n", "line 4", "twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused(case: str) -> None:
    content, *words = REFUSED[case]
    if "YAML" in words[0] or "mapping" in case or "twice" in words[1]:
        pytest.importorskip("yaml")
    with pytest.raises(UsageError) as caught:
        inuse.parse_in_use(content if isinstance(content, bytes) else content.encode(), "file")
    for word in words:
        assert word in str(caught.value)


def test_aliases_are_no_bomb() -> None:
    pytest.importorskip("yaml")
    bomb = "apiVersion: v1\nkind: List\na0: &a0 {image: alpine}\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
    )
    assert inuse.parse_in_use(bomb.encode(), "file").references == {"alpine"}
    loop = "apiVersion: v1\nkind: List\nitems: &loop [*loop, {image: alpine}]\n"
    assert inuse.parse_in_use(loop.encode(), "file").references == {"alpine"}


CUT_OFF = st.sampled_from([*FORMS]).map(lambda form: FORMS[form][0][:-2].encode())


@given(st.one_of(st.binary(), st.text().map(str.encode), CUT_OFF))
def test_anything_is_understood_or_refused(data: bytes) -> None:
    with suppress(UsageError):
        inuse.parse_in_use(data, "file")


@pytest.mark.parametrize("by", ["target", "config", "name"])
def test_a_list_protects(by: str, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    config = layout.config("used")
    used = layout.manifest(config, [layout.blob("used")])
    layout.tag(used, "docker.io/library/used:latest")
    layout.tag(layout.image("gone", ["gone"]), "docker.io/library/gone:latest")
    file = tmp_path / "used.txt"
    file.write_text({"target": used["digest"], "config": config["digest"], "name": "used"}[by] + "\n")
    result = ocigc("prune", "--all", "--force", "--grace", "0s", "--format", "json", "--in-use", file, layout.path)
    assert result.code == 0
    assert [entry["Untagged"] for entry in result.json["ImagesDeleted"] if "Untagged" in entry][:1] == ["gone:latest"]
    assert all(map(layout.has, (config, used)))


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    refused(
        ocigc("prune", "-n", "--in-use", "-", "--in-use", "-", LayoutWriter(tmp_path / "a").path, stdin=""), 2, "once"
    )
