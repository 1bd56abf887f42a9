// Every blob once, as a tree: repository, image, blob. What several images or repositories share has branches of its own.

const MOST = 300; // boxes of one branch; the smaller ones are a branch of their own

/** A leaf or branch. `size` is in bytes; `kind` is "alone", "shared" or "others" for leaves. */
const leaf = (label, size, kind, fate, note) => ({ label, size, kind, fate, note, children: [] });

function branch(label, children, note = "") {
  const present = children.filter((child) => child.size > 0).sort((a, b) => b.size - a.size);
  const size = present.reduce((sum, child) => sum + child.size, 0);
  const shown = present.length > MOST + 1
    ? [...present.slice(0, MOST), branch(`${count(present.length - MOST)} smaller ones`, present.slice(MOST))]
    : present;
  return { label, size, note, children: shown.sort((a, b) => b.size - a.size) };
}

/** The blobs of a place that are there in a view. */
function blobs([largest, rest], kind, view) {
  const stays = (fate) => !(fate & view);
  return [
    ...largest.filter(([, , , fate]) => stays(fate)).map(([digest, size, what, fate]) => leaf(digest, size, kind, fate, what)),
    ...rest.filter(([, , fate]) => stays(fate)).map(([number, size, fate]) =>
      leaf(`${count(number)} smaller blobs`, size, kind, fate, "")),
  ];
}

/** The tree of all, or of those images alone that are `chosen` (a set of digests). */
function grow(view, chosen) {
  const names = new Map();
  for (const image of images) {
    if (!names.has(image.digest)) names.set(image.digest, []);
    names.get(image.digest).push(image.name);
  }
  const repositories = new Map();
  const top = [];
  for (const [repository, target, bundle] of data.places) {
    if (chosen && !chosen.has(target)) continue;
    const kind = target === null ? "shared" : "alone";
    const parts = blobs(bundle, kind, view);
    if (repository === null) {
      top.push(branch("shared between repositories", parts));
      continue;
    }
    if (!repositories.has(repository)) repositories.set(repository, []);
    const [label, ...more] = target === null ? ["shared within the repository"] : names.get(target);
    repositories.get(repository).push(branch(label, parts, more.length ? `also ${more.join(", ")}` : ""));
  }
  for (const [name, parts] of repositories) top.push(branch(name || "without a repository", parts));
  if (!chosen) top.push(branch("no image leads to these", blobs(data.others, "others", view)));
  return branch("everything", top);
}

