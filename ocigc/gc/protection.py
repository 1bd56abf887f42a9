"""Protection: what is in use is not pruned.

Source: moby `pruneUnused` (the loop over containers), with the digested references of moby e4c2eb9d8a. The rules for
sources other than containers are our own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ocigc.gc.graph import NO_NODE, Graph
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse, is_sandbox, normalized
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import ImageRecord, Media, dangling_name
from ocigc.reference import Reference
from ocigc.values import frozen, replace

_NOT_A_REFERENCE = "or not: it is not a reference, so nobody can tell"
_SANDBOXES = "sandboxes of pods, by its name: nothing says which image those have"
_SHORT_ID = 12  # characters of a container's ID that docker shows


@frozen
class ContentUser:
    """The user of content by a digest, and whether the last name of that content stays."""

    by: str
    keeps_name: bool


@frozen
class Protection:
    """What is protected, each with the first user.

    `names` are protected as they are; `tags` protect bare tags of an unknown repository. `digests` are targets that
    containers use. `contents` are digests that protect every image that has one of them as target, manifest or config;
    `nodes` are the present ones. `last_name_stays` is what the rule set says for containers. With `of_names`, an image
    whose name is not a reference may be in use. With `of_sandboxes`, so may an image with the usual name of a sandbox's
    image.
    """

    names: Mapping[str, str]
    tags: Mapping[str, str]
    digests: Mapping[str, str]
    contents: Mapping[str, str]
    nodes: Mapping[int, str]
    last_name_stays: bool = False
    of_names: bool = False
    of_sandboxes: bool = False

    def __bool__(self) -> bool:
        """Whether anything is protected."""
        return bool(self.names or self.tags or self.of_content or self.of_names or self.of_sandboxes)

    @property
    def of_content(self) -> bool:
        """Whether a digest protects anything."""
        return bool(self.digests or self.contents)

    def name_user(self, image: ImageRecord) -> str | None:
        """Who uses the image by one of its names, and so protects it; None where nobody does."""
        return next(filter(None, map(self._user_of_name, image.by_name())), None)

    def _user_of_name(self, image: ImageRecord) -> str | None:
        if image.name in self.names:
            return self.names[image.name]
        if image.bare_tag and image.name in self.tags:
            return self.tags[image.name]
        if image.dangling or not (self.names or self.of_names or self.of_sandboxes):
            return None
        reference = normalized(image.name)
        if reference is None:
            return _NOT_A_REFERENCE if self.of_names and not image.bare_tag else None
        if self.of_sandboxes and not image.bare_tag and is_sandbox(image.name):
            return _SANDBOXES
        return self.names.get(str(reference))

    def content_user(self, image: ImageRecord, graph: Graph) -> ContentUser | None:
        """Who uses, by its digest, the image's target, or a manifest or config of the image. A record of it must stay,
        whatever its name is.
        """
        digest = image.target.digest
        user = self.contents.get(digest)
        if user is None and self.nodes:
            used = (node for node, media in graph.walk(image.target) if media != Media.UNKNOWN and node in self.nodes)
            user = next((self.nodes[node] for node in used), None)
        if user is not None:
            return ContentUser(user, keeps_name=True)
        if (user := self.digests.get(digest)) is not None:
            return ContentUser(user, self.last_name_stays)
        return None


def protect(in_use: InUse, images: Images, graph: Graph, rules: RuleSet = SEED) -> Protection:
    """What is protected in a store by the things that are in use."""
    names: dict[str, str] = {}
    tags: dict[str, str] = {}
    digests: dict[str, str] = {}
    contents = {digest: digest for digest in in_use.digests}
    by_config = _images_by_config({container.image_id for container in in_use.containers}, images, graph)

    def add(reference: Reference, user: str) -> None:
        names.setdefault(str(reference), user)
        if reference.tag is not None and reference.digest is None:
            tags.setdefault(reference.tag, user)

    for container in in_use.containers:
        user = f"container {container.id[:_SHORT_ID]}".rstrip()
        for image_id in (container.image_id, *by_config.get(container.image_id, ())):
            # A container whose image lost its name keeps the dangling image.
            names.setdefault(dangling_name(image_id), user)
            if container.started_by_id or (container.image_id and container.image.endswith("@" + container.image_id)):
                digests.setdefault(image_id, user)
        if container.started_by_id and not rules.id_protects_names:
            continue
        for named in in_use.names_of(container.image):
            add(named, user)
            if rules.digested_protects_tag and named.digest is not None and named.tag is not None:
                add(replace(named, digest=None), user)
    for text in sorted(in_use.references):
        for named in in_use.names_of(text):
            add(named, text)
            if named.digest is not None:
                # Not in moby: repo:tag@digest means both, so both stay.
                contents.setdefault(named.digest, text)
                if named.tag is not None:
                    add(replace(named, digest=None), text)
    return Protection(
        names,
        tags,
        digests,
        contents,
        {node: user for digest, user in contents.items() if (node := graph.find(digest)) is not None},
        rules.last_name_stays,
        of_names=in_use.lists_names,
        of_sandboxes=in_use.sandboxes_unknown,
    )


def _images_by_config(image_ids: Collection[str], images: Images, graph: Graph) -> Mapping[str, Collection[str]]:
    """For the IDs that are digests of present configs, as in docker's classic store: the targets of the images that
    have them as config.
    """
    wanted = {node: digest for digest in image_ids if (node := graph.find(digest)) is not None}
    if not wanted:
        return {}
    targets = images.targets(graph)
    for target in targets:
        wanted.pop(target, None)
    found: dict[str, dict[str, None]] = {}  # sets that keep their order
    medias = images.medias() if wanted else b""
    for target, kind in zip(targets, medias, strict=False):
        for node, media in () if target == NO_NODE else graph.walk_from(target, Media(kind)):
            if media == Media.CONFIG and node in wanted:
                found.setdefault(wanted[node], {})[graph.digest(target)] = None
    return found
