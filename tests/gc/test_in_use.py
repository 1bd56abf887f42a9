"""What is in use: what it protects, where mirrors have it, and what of it matches no image."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from ocigc.gc.decide import Inputs, Request
from ocigc.gc.filters import parse_filters
from ocigc.gc.in_use import Container, InUse, Mirror, parse_mirror
from ocigc.gc.referrers import Relations
from ocigc.gc.rule_sets import DOCKER_29, SEED, RuleSet
from ocigc.gc.unmatched import Matching
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name
from ocigc.pruning.planning import decide
from tests.helpers.images import RecordImages
from tests.helpers.model import Blob, ModelGraph

CONFIG, OTHER_CONFIG, MANIFEST, OTHER, ABSENT = (f"sha256:{each * 64}" for each in "cdabf")
BOTH = pytest.mark.parametrize("rules", [SEED, DOCKER_29], ids=lambda rules: rules.name)


def manifest(config: str) -> Blob:
    media = "application/vnd.oci.image.config.v1+json"
    return Blob(json.dumps({"config": {"digest": config, "mediaType": media}, "layers": []}).encode())


def images(*names: str, digest: str = MANIFEST) -> list[ImageRecord]:
    target = Descriptor("", digest, 0, Media.MANIFEST)
    return [ImageRecord(name or dangling_name(digest), target, (), (number,), 0) for number, name in enumerate(names)]


def staying(found: Sequence[ImageRecord], in_use: InUse, rules: RuleSet) -> list[str]:
    """The names after a prune of all; a dangling image that it makes is called <none>."""
    graph = ModelGraph({CONFIG: Blob(b"{}"), OTHER_CONFIG: Blob(b"{}"), MANIFEST: manifest(CONFIG)})
    filters = parse_filters([], prune_all=True, now=0, local_offset=0, rules=rules)
    inputs = Inputs(RecordImages(found), RecordImages(), Relations(), [], [], graph)
    plan = decide(inputs, Request(filters, in_use, 0, 0, rules=rules), lambda _: [], graph)
    return sorted([plan.images[kept.position].name for kept in plan.kept] + ["<none>" for _ in plan.dangling])


@BOTH
def test_what_other_sources_use_by_digest_keeps_its_last_name(rules: RuleSet) -> None:
    found = images("mirror.lan:5000/a:1", "mirror.lan:5000/a:2")
    for digest in (MANIFEST, CONFIG):
        assert staying(found, InUse(digests=frozenset([digest])), rules) == ["mirror.lan:5000/a:2"]
        assert staying(found, InUse(references=frozenset([f"docker.io/library/a@{digest}"])), rules) == [
            "mirror.lan:5000/a:2"
        ]


def test_what_a_container_uses_by_its_id_loses_its_last_name_by_the_seeds_rules_alone() -> None:
    found = images("docker.io/library/a:1", "docker.io/library/a:2")
    in_use = InUse((Container("1", MANIFEST[7:19], MANIFEST),))
    assert staying(found, in_use, SEED) == ["<none>"]
    assert staying(found, in_use, DOCKER_29) == ["docker.io/library/a:2"]
    both = in_use | InUse(digests=frozenset([MANIFEST]))
    assert staying(found, both, SEED) == ["docker.io/library/a:2"]


@pytest.mark.parametrize(
    ("container", "seed", "docker_29"),
    [
        # docker's classic store: the ID of an image is the digest of its config.
        (Container("1", CONFIG[7:19], CONFIG), ["<none>"], ["docker.io/library/a:2"]),
        (Container("1", f"a@{CONFIG}", CONFIG), ["<none>"], ["docker.io/library/a:2"]),
        (Container("1", "a:1", CONFIG), ["docker.io/library/a:1"], ["docker.io/library/a:1"]),
        (Container("1", "b", CONFIG), [], []),
        (Container("1", OTHER_CONFIG[7:19], OTHER_CONFIG), [], []),
    ],
)
def test_an_image_id_that_is_a_config_stands_for_its_images(
    container: Container, seed: list[str], docker_29: list[str]
) -> None:
    found = images("docker.io/library/a:1", "docker.io/library/a:2")
    assert staying(found, InUse((container,)), SEED) == seed
    assert staying(found, InUse((container,)), DOCKER_29) == docker_29


@BOTH
def test_an_image_id_that_is_a_config_protects_a_dangling_image(rules: RuleSet) -> None:
    assert staying(images(""), InUse((Container("1", "gone:1", CONFIG),)), rules) == [dangling_name(MANIFEST)]
    assert staying(images(""), InUse((Container("1", "gone:1", OTHER_CONFIG),)), rules) == []


@BOTH
def test_a_name_that_is_not_a_reference_stays_where_another_source_is_given(rules: RuleSet) -> None:
    found = images("a b", "docker.io/library/used:1", "docker.io/library/unused:1", digest=ABSENT)
    assert staying(found, InUse(references=frozenset(["used:1"])), rules) == ["a b", "docker.io/library/used:1"]
    assert staying(found, InUse((Container("1", "used:1", OTHER),)), rules) == ["docker.io/library/used:1"]


@BOTH
def test_the_image_of_sandboxes_stays_where_pods_do_not_name_it(rules: RuleSet) -> None:
    names = (
        "registry.k8s.io/pause:3.9",
        "docker.io/rancher/mirrored-pause:3.6",
        "docker.io/library/a:1",
        "x.y/pauses:1",
    )
    found = images(*names, digest=ABSENT)
    pods = InUse(references=frozenset(["a:1"]), pods=True)
    assert staying(found, pods, rules) == sorted(names[:3])
    assert staying(found, pods | InUse(sandboxes=True), rules) == [names[2]]
    assert staying(found, pods | InUse(references=frozenset([names[0]])), rules) == sorted([names[0], names[2]])


def test_names_in_use_count_below_a_mirror_too() -> None:
    hub = parse_mirror("docker.io=mirror.lan:5000")
    in_use = InUse(mirrors=(hub, parse_mirror("ghcr.io/org/=mirror.lan:5000/ghcr/org")))
    assert hub == Mirror("docker.io", "mirror.lan:5000")
    assert [str(each) for each in in_use.names_of("nginx")] == [
        "docker.io/library/nginx:latest",
        "mirror.lan:5000/library/nginx:latest",
        "mirror.lan:5000/nginx:latest",
    ]
    assert [str(each) for each in in_use.names_of(f"ghcr.io/org/app:1@{MANIFEST}")][1:] == [
        f"mirror.lan:5000/ghcr/org/app:1@{MANIFEST}"
    ]
    assert len(in_use.names_of("ghcr.io/organic/app:1")) == 1
    found = images("mirror.lan:5000/bitnami/redis:7", "mirror.lan:5000/nginx:1", digest=ABSENT)
    used = InUse(references=frozenset(["bitnami/redis:7"]), mirrors=(hub,))
    assert staying(found, used, SEED) == ["mirror.lan:5000/bitnami/redis:7"]
    contained = InUse((Container("1", "nginx:1", OTHER),), mirrors=(hub,))
    assert staying(found, contained, SEED) == ["mirror.lan:5000/nginx:1"]


@pytest.mark.parametrize(
    "text", ["docker.io", "=a.b", "docker.io=", "a b=c.d", "x.y/a:1=c.d", "x.y/A=c.d", f"x.y@{ABSENT}=c"]
)
def test_what_is_not_a_mirror(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_mirror(text)


def matching(in_use: InUse, *names: str, present: Sequence[str] = ()) -> Matching:
    found = Matching(in_use)
    found.see(images(*names), lambda digest: digest in present)
    return found


def test_what_matches_nothing_is_told_with_the_nearest_names() -> None:
    names = ("reg.example/web:1", "reg.example/db:1")
    found = matching(InUse(references=frozenset(["reg.exmaple/web:1", "reg.example/db:1"])), *names)
    assert (found.total, found.unmatched) == (2, ["reg.exmaple/web:1"])
    assert str(found) == ("1 of 2 references match no image here: reg.exmaple/web:1 (nearest: reg.example/web:1)")
    elsewhere = matching(InUse(references=frozenset(["docker.io/team/web:1"])), *names)
    assert "docker.io/team/web:1 (nearest: reg.example/web:1)" in str(elsewhere)
    many = InUse(references=frozenset(f"other.org/x{n}:1" for n in range(7)))
    assert str(matching(many, *names)) == (
        "7 of 7 references match no image here: other.org/x0:1, other.org/x1:1, other.org/x2:1 and 4 more"
    )


@pytest.mark.parametrize(
    ("in_use", "unmatched"),
    [
        (InUse(references=frozenset(["web"])), []),
        (InUse(references=frozenset(["web:2"])), ["web:2"]),
        (
            InUse(references=frozenset([f"other@{CONFIG}", f"web:latest@{ABSENT}", f"other@{ABSENT}"])),
            [f"other@{ABSENT}"],
        ),
        (InUse(digests=frozenset([MANIFEST, CONFIG, OTHER])), [OTHER]),
        (InUse((Container("1", "web", OTHER), Container("2", "x", MANIFEST), Container("3", "y", OTHER))), ["y"]),
        (InUse((Container("1", MANIFEST[7:14], MANIFEST), Container("2", OTHER[7:14], OTHER))), [OTHER[7:14]]),
        (InUse(references=frozenset(["hub.example/library/web"]), mirrors=(Mirror("hub.example", "docker.io"),)), []),
    ],
)
def test_it_tells_what_matches_no_image(in_use: InUse, unmatched: list[str]) -> None:
    assert matching(in_use, "docker.io/library/web:latest", present=[CONFIG]).unmatched == unmatched


def test_bare_tags_match_by_the_tag() -> None:
    record = ImageRecord("1.0", Descriptor("", MANIFEST, 0, Media.MANIFEST), (), (0,), bare_tag=True)
    found = Matching(InUse(references=frozenset(["app:1.0", "app:2.0"])))
    found.see([record], lambda _: False)
    assert found.unmatched == ["app:2.0"]
