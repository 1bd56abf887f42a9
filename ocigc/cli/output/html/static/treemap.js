// The treemap: boxes that can be entered, with what is in them drawn inside. The layout is d3's squarified treemap.

const HEAD = 20; // pixels for a label
const LEAST = 60; // square pixels of the smallest box that is drawn
const BOXES = 4000; // at most so many; of more, the smallest box that is drawn is larger
const LETTER = 7; // pixels
const LETTERS = 9; // of a label that a box must have room for, or all of a shorter one: the beginning of a name always shows
const MOST = 300; // boxes of one branch that can have the focus

class Treemap {
  constructor(map, path, open) {
    this.map = map;
    this.path = path;
    this.open = open;
    this.trail = [];
    map.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.trail.length && this.width !== map.clientWidth && this.draw()).observe(map);
  }

  /** Shows another tree, at the same place if it has that; the first one from where it has several boxes. */
  show(root) {
    const trail = [root];
    for (let node = root; !this.trail.length && node.children.length === 1 && node.children[0].children.length; trail.push(node)) {
      [node] = node.children;
    }
    for (const { label } of this.trail.slice(1)) {
      const next = trail.at(-1).children.find((child) => child.label === label && child.children.length);
      if (!next) break;
      trail.push(next);
    }
    this.trail = trail;
    this.draw();
  }

  enter(node) {
    if (!node.children.length) {
      if (node.image) this.open(node.image);
      return;
    }
    this.trail.push(node);
    this.draw(true);
  }

  leave(depth) {
    const from = this.trail[depth];
    if (!from || !depth) return;
    this.trail.length = depth;
    this.draw(true, from);
  }

  draw(focus = false, from = null) {
    const node = this.trail.at(-1);
    this.width = this.map.clientWidth;
    let folded = this.folded(node, LEAST);
    for (let least = LEAST; leaves(folded) > BOXES; folded = this.folded(node, least)) least *= 1.5;
    const laid = d3.hierarchy(folded).sum((each) => (each.children.length ? 0 : each.size)).sort((a, b) => b.value - a.value);
    d3.treemap().size([this.width, this.map.clientHeight]).tile(d3.treemapSquarify).round(true)
      .paddingInner((box) => (box.depth < 2 ? 2 : 1)).paddingOuter((box) => (box.depth && box.children ? 1 : 0))
      .paddingTop((box) => (this.headed(box) ? HEAD : box.depth ? 1 : 0))(laid);
    const boxes = laid.children ?? [];
    const drawn = boxes.map((box) => this.box(box, node.size));
    const current = Math.max(boxes.findIndex((box) => (box.data.of ?? box.data) === from), 0);
    drawn.forEach((each, number) => each.setAttribute("tabindex", number === current ? "0" : "-1"));
    this.map.replaceChildren(...(drawn.length ? drawn : [element("p", { class: "empty" }, "Nothing to draw.")]));
    this.path.replaceChildren(...this.trail.flatMap((each, depth) => this.step(each, depth)));
    if (node.image) this.path.append(" ", button("Details", () => this.open(node.image), { class: "details" }));
    if (focus && drawn.length) drawn[current].focus();
  }

  /** The tree without what is too small to be seen: that is summed up in one box a branch. */
  folded(root, least) {
    const scale = (this.width * this.map.clientHeight) / Math.max(root.size, 1);
    const fold = (node, most, depth) => {
      // A branch with hardly any room is one box.
      if (depth > 1 && node.size * scale < 2 * least) return { ...node, of: node, children: [], goes: looks(node) };
      const seen = node.children.filter((child, number) => number < most && child.size * scale >= least);
      const small = node.children.slice(seen.length);
      const inner = seen.map((child) => (child.children.length ? fold(child, Infinity, depth + 1) : { ...child, of: child }));
      if (small.length === 1) inner.push({ ...small[0], of: small[0], children: [], goes: looks(small[0]) });
      else if (small.length) {
        const rest = branch(`${count(small.length)} smaller`, small);
        inner.push({ ...rest, of: rest, children: [], goes: looks(rest) });
      }
      return { ...node, of: node, children: inner };
    };
    return fold(root, MOST, 0);
  }

  /** Whether there is room for the label of a branch. It is asked before sizes are rounded, and remembered. */
  headed(box) {
    box.head = Boolean(box.depth && box.children) && labelled(box);
    return box.head;
  }

  step(node, depth) {
    const text = `${node.label} (${humanSize(node.size)})`;
    const between = depth ? [" › "] : [];
    if (depth === this.trail.length - 1) return [...between, element("span", { "aria-current": "location" }, text)];
    return [...between, button(text, () => this.leave(depth + 1))];
  }

  /** A box of the current branch: a button, with what is in it drawn inside. */
  box(laid, total) {
    const node = laid.data;
    const share = `${humanSize(node.size)}, ${percent(node.size, total)}`;
    const inside = node.of.children.length;
    const words = [node.label, node.note, share, inside ? many(inside, "part") : LOOKS[node.goes]];
    const title = words.filter(Boolean).join("; ");
    const made = button("", () => this.enter(node.of), { class: `box ${lookOf(laid)}`, "aria-label": title, title });
    placed(made, laid, laid.parent);
    this.fill(made, laid, laid);
    return made;
  }

  fill(into, laid, origin) {
    if (laid.children ? laid.head : labelled(laid)) into.append(inscription(laid, origin));
    for (const child of laid.children ?? []) {
      if (child.x1 <= child.x0 || child.y1 <= child.y0) continue;
      const drawn = element("span", { class: `inner ${lookOf(child)}`, "aria-hidden": "true" });
      placed(drawn, child, origin);
      into.append(drawn);
      if (child.children) this.fill(into, child, origin);
      else if (labelled(child) && child.depth < 3) into.append(inscription(child, origin));
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const boxes = [...this.map.querySelectorAll("button")];
    const here = boxes.indexOf(document.activeElement);
    if (event.key === "Escape") this.leave(this.trail.length - 1);
    else if (here >= 0 && (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End")) {
      const next = event.key === "Home" ? boxes[0] : event.key === "End" ? boxes.at(-1) : neighbour(boxes, boxes[here], event.key);
      boxes.forEach((box) => box.setAttribute("tabindex", box === next ? "0" : "-1"));
      next.focus();
    } else return;
    event.preventDefault();
  }
}

const LOOKS = {
  stays: "stays",
  goes: "goes with a prune",
  "goes-all": "goes with a prune --all",
  gone: "would go",
};

const leaves = (node) => (node.children.length ? sum(node.children.map(leaves)) : 1);

/** How most of a branch's bytes look. */
function looks(node) {
  const sizes = {};
  const add = (each) => {
    if (each.children.length) each.children.forEach(add);
    else sizes[each.goes] = (sizes[each.goes] ?? 0) + each.size;
  };
  add(node);
  return Object.keys(sizes).reduce((a, b) => (sizes[a] >= sizes[b] ? a : b));
}

/** A branch of which all parts look alike has a tint of that. */
function lookOf(laid) {
  if (!laid.children) return laid.data.goes;
  const all = new Set(laid.leaves().map((each) => each.data.goes));
  return all.size === 1 ? `branch of-${[...all][0]}` : "branch";
}

const labelled = (laid) =>
  laid.x1 - laid.x0 >= LETTER * Math.min(laid.data.label.length, LETTERS) + 10 && laid.y1 - laid.y0 >= HEAD + 6 &&
  (laid.depth < 2 || laid.parent.head);

/** The label of a box, and its size where there is room for that too; of a blob what it is, for a digest tells nobody. */
function inscription(laid, origin) {
  const { label, note, size, children, image } = laid.data;
  const text = !children.length && image && note ? note : label;
  const roomy = laid.x1 - laid.x0 > LETTER * (text.length + 11);
  const made = element("span", { class: "label", "aria-hidden": "true" }, text, ...(roomy ? [element("small", {}, humanSize(size))] : []));
  placed(made, { x0: laid.x0, x1: laid.x1, y0: laid.y0, y1: laid.y0 + HEAD }, origin);
  return made;
}

/** In per cent of what it lies in, so that the picture is whole at any width, on paper too. */
function placed(drawn, { x0, y0, x1, y1 }, origin) {
  const [width, height] = [origin.x1 - origin.x0, origin.y1 - origin.y0];
  drawn.style.left = `${(100 * (x0 - origin.x0)) / width}%`;
  drawn.style.top = `${(100 * (y0 - origin.y0)) / height}%`;
  drawn.style.width = `${(100 * (x1 - x0)) / width}%`;
  drawn.style.height = `${(100 * (y1 - y0)) / height}%`;
}

/** The nearest box in the direction of a key; the box itself where there is none. */
function neighbour(boxes, from, key) {
  const centre = (box) => [box.offsetLeft + box.offsetWidth / 2, box.offsetTop + box.offsetHeight / 2];
  const [x, y] = centre(from);
  const along = key === "ArrowLeft" || key === "ArrowRight" ? 0 : 1;
  const sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  let best = from;
  let least = Infinity;
  for (const box of boxes) {
    const away = [centre(box)[0] - x, centre(box)[1] - y];
    const forward = sign * away[along];
    if (forward < 1) continue;
    const distance = forward + 2 * Math.abs(away[1 - along]);
    if (distance < least) [best, least] = [box, distance];
  }
  return best;
}
