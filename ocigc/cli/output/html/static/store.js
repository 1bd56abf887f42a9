// The store as the page knows it.
//
// A unit is a target: one image, under however many names. An owner of a blob is a unit whose walk comes to it: a number
// from 0 is a unit that owns it alone, a negative one (~group) a group of units that share it. A fate is a sum of bits.

const PRUNE = 1; // goes with a prune
const ALL = 2; // goes with a prune --all
const FREE = 4; // goes where neither a policy nor a name holds it: what a policy may let go of

const STATES = ["dangling", "referrer", "orphaned", "in use", "leased", "damaged", "incomplete", "absent"];

const data = JSON.parse(at("data").textContent);

const repositories = data.repositories.map(([registry, label, name]) => ({ registry: data.registries[registry], label, name }));

const units = data.units.digest.map((digest, number) => ({
  number,
  digest,
  size: data.units.size[number],
  alone: data.units.alone[number],
  free: data.units.free[number], // bytes that go with it alone
  rest: triples(data.units.rest[number]), // of its own blobs, those not listed
  groups: data.units.groups[number],
  blobs: data.units.blobs[number] ?? null, // those listed, in the order of its walk; null where the page has no room
  platforms: data.units.platforms[number] ?? "",
  troubles: data.troubles[number] ?? [],
  follows: data.follows[number] ?? null, // the owner of what it refers to
  images: [],
}));

const groups = data.groups.size.map((size, number) => ({
  size,
  free: data.groups.free[number],
  rest: triples(data.groups.rest[number]),
  units: [],
  blobs: [],
}));

const blobs = data.blobs.digest.map((digest, number) => ({
  number,
  digest,
  size: data.blobs.size[number],
  kind: data.kinds[data.blobs.kind[number]],
  fate: data.blobs.fate[number],
  owner: data.blobs.owner[number],
}));

const images = data.images.tag.map((tag, number) => {
  const repository = repositories[data.images.repository[number]];
  const unit = units[data.images.unit[number]];
  const bits = data.images.state[number];
  const image = {
    name: `${repository.name}${tag}` || "<none>",
    tag: tag.replace(/^:/, "") || "<none>",
    repository,
    unit,
    created: data.images.created[number],
    states: STATES.filter((_, bit) => bits & (1 << bit)),
    nameless: !tag,
    odd: Boolean(bits & 256), // its name is no reference: a repository of its own
    fallback: Boolean(bits & 512), // its name is a fallback tag: it has none of its own
    layout: data.layouts[data.images.layout?.[number] ?? 0] ?? "",
    fate: data.images.fate[number],
    why: data.reasons[data.images.why[number]],
  };
  image.text = `${image.name} ${unit.digest} ${image.layout}`.toLowerCase();
  unit.images.push(image);
  return image;
});

for (const unit of units) for (const number of unit.groups) groups[number].units.push(unit);
for (const blob of blobs) if (blob.owner < 0) groups[~blob.owner].blobs.push(blob);

function triples(flat) {
  const found = [];
  for (let n = 0; n < flat.length; n += 3) found.push({ fate: flat[n], count: flat[n + 1], size: flat[n + 2] });
  return found;
}

/** Bytes that some units have, each blob once. */
function together(chosen) {
  const shared = new Set();
  let size = 0;
  for (const unit of new Set(chosen)) {
    size += unit.alone;
    for (const number of unit.groups) shared.add(number);
  }
  for (const number of shared) size += groups[number].size;
  return size;
}

const goesBy = (fate) =>
  fate & PRUNE ? "goes with a prune" : fate & ALL ? "goes with a prune --all" : "stays";

const fateClass = (fate) => (fate & PRUNE ? "goes" : fate & ALL ? "goes-all" : "stays");
