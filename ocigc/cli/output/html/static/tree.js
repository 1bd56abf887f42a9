// Every byte once, as a tree: registry, repository, image, blob. What several share has a branch of its own, at the lowest
// place that is common to them.

/** A leaf of bytes that share a fate, or a branch. `goes` says how it looks: "stays", "goes", "goes-all" or "gone". */
const leaf = (label, size, goes, note, image = null) => ({ label, size, goes, note, image, children: [] });

function branch(label, children, note = "", image = null) {
  const present = children.filter((child) => child.size > 0).sort((a, b) => b.size - a.size);
  return { label, note, image, size: sum(present.map((child) => child.size)), children: present };
}

/** How blobs look, by what a view shows: {hidden, look}, each told a fate and an owner. */
function views(whatIf) {
  const gone = (fate, owner) => {
    if (!whatIf || !(fate & FREE)) return false;
    return owner === null || (owner < 0 ? groups[~owner].units.every((unit) => whatIf.units.has(unit)) : whatIf.units.has(units[owner]));
  };
  const never = () => false;
  return {
    now: { hidden: never, look: fateClass },
    prune: { hidden: (fate) => fate & PRUNE, look: fateClass },
    all: { hidden: (fate) => fate & ALL, look: fateClass },
    whatif: { hidden: never, look: (fate, owner) => (gone(fate, owner) ? "gone" : "stays") },
  };
}

/** The tree of all, or of those units alone that are `chosen` (a set). */
function grow(view, chosen) {
  const registries = new Map();
  const top = [];

  const parts = (listed, rest, owner, image) => [
    ...listed.filter((blob) => blob.owner === owner && !view.hidden(blob.fate, owner)).map((blob) =>
      leaf(blob.digest, blob.size, view.look(blob.fate, owner), blob.kind, image)),
    ...rest.filter(({ fate }) => !view.hidden(fate, owner)).map(({ fate, count: number, size }) =>
      leaf(many(number, "blob"), size, view.look(fate, owner), "not listed one by one", image)),
  ];

  function place(registry, repository, grown) {
    if (registry === null) return top.push(grown);
    if (!registries.has(registry)) registries.set(registry, { shared: [], repositories: new Map() });
    const within = registries.get(registry);
    if (repository === null) return within.shared.push(grown);
    if (!within.repositories.has(repository)) within.repositories.set(repository, []);
    return within.repositories.get(repository).push(grown);
  }

  for (const unit of units) {
    if (chosen && !chosen.has(unit)) continue;
    const [image, ...more] = unit.images;
    const listed = (unit.blobs ?? []).map((number) => blobs[number]);
    const grown = branch(image.tag, parts(listed, unit.rest, unit.number, image), more.length ? `also ${more.map((each) => each.name).join(", ")}` : "", image);
    place(...common(unit.images), grown);
  }
  if (!chosen) {
    const shares = new Map();
    groups.forEach((group, number) => {
      const where = common(group.units.flatMap((unit) => unit.images));
      const key = JSON.stringify(where.map((each) => (typeof each === "object" && each ? repositories.indexOf(each) : each)));
      if (!shares.has(key)) shares.set(key, { where, parts: [] });
      shares.get(key).parts.push(...parts(group.blobs, group.rest, ~number, null));
    });
    for (const { where, parts: shared } of shares.values()) {
      const label = where[0] === null ? "shared between registries" : where[1] === null ? "shared between repositories" : "shared in the repository";
      place(...where, branch(label, shared));
    }
  }
  if (!chosen) {
    for (const { count: number, size } of triples(data.foldedShared)) top.push(leaf(many(number, "smaller set of shared blobs"), size, "stays", ""));
    for (const [number, fate, amount, size] of data.folded) {
      const repository = repositories[number];
      if (!view.hidden(fate, null)) place(repository.registry, repository, leaf(many(amount, "smaller image"), size, fateClass(fate), ""));
    }
  }
  for (const [registry, { shared, repositories: held }] of registries) {
    const inside = [...held].map(([repository, grown]) => branch(repository.label || "without a repository", grown));
    top.push(branch(registry || "without a registry", [...inside, ...shared]));
  }
  if (!chosen) {
    const { listed, rest } = data.others;
    top.push(branch("no image leads to these", [
      ...listed.filter(([, , , fate]) => !view.hidden(fate, null)).map(([digest, size, kind, fate]) => leaf(digest, size, view.look(fate, null), data.kinds[kind])),
      ...triples(rest).filter(({ fate }) => !view.hidden(fate, null)).map(({ fate, count: number, size }) =>
        leaf(many(number, "smaller blob"), size, view.look(fate, null), "")),
    ]));
  }
  return branch("everything", top);
}

/** Registry and repository that images have in common, each null where there is none. */
function common(those) {
  const [{ repository }] = those;
  if (those.every((image) => image.repository === repository)) return [repository.registry, repository];
  return [those.every((image) => image.repository.registry === repository.registry) ? repository.registry : null, null];
}
