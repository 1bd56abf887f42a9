// The treemap: boxes that can be entered, what is in them drawn inside.

const HEAD = 18; // pixels for a label
const LEAST = 5; // pixels: a side of the smallest box that is drawn inside another
const OPENED = 16; // pixels: a side of the smallest box in which further ones are drawn

class Treemap {
  constructor(map, path) {
    this.map = map;
    this.path = path;
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
    if (!node.children.length) return;
    this.trail.push(node);
    this.draw(true);
  }

  leave(depth) {
    const from = this.trail[depth];
    if (!from) return;
    this.trail.length = depth;
    this.draw(true, from);
  }

  draw(focus = false, at = null) {
    const node = this.trail.at(-1);
    this.width = this.map.clientWidth;
    const boxes = squarify(node.children.map((child) => child.size), {
      left: 0, top: 0, width: this.width, height: this.map.clientHeight,
    });
    const drawn = boxes.map((box, number) => this.box(node.children[number], box, node.size));
    const current = Math.max(node.children.indexOf(at), 0);
    drawn.forEach((button, number) => button.setAttribute("tabindex", number === current ? "0" : "-1"));
    this.map.replaceChildren(...(drawn.length ? drawn : [element("p", { class: "empty" }, "Nothing to draw.")]));
    this.path.replaceChildren(...this.trail.flatMap((each, depth) => this.step(each, depth)));
    if (focus && drawn.length) drawn[current].focus();
  }

  step(node, depth) {
    const text = `${node.label} (${humanSize(node.size)})`;
    const between = depth ? [" › "] : [];
    if (depth === this.trail.length - 1) return [...between, element("span", { "aria-current": "location" }, text)];
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => this.leave(depth + 1));
    return [...between, button];
  }

  box(node, box, total) {
    const share = `${humanSize(node.size)}, ${((100 * node.size) / total).toPrecision(2)} %`;
    const words = [node.label, node.note, share, node.kind ? fateWords(node.fate) : many(node.children.length, "part")];
    const title = words.filter(Boolean).join("; ");
    const button = element("button", { type: "button", class: `box ${this.look(node)}`, "aria-label": title, title });
    place(button, box);
    if (box.width > 40 && box.height > HEAD) {
      const inside = { left: 2, top: HEAD, width: box.width - 6, height: box.height - HEAD - 4 };
      button.append(...this.inner(node.children, inside), label(node.label));
    }
    button.addEventListener("click", () => this.enter(node));
    return button;
  }

  /** A box of which all parts look alike needs none of them drawn. */
  inner(children, inside) {
    return squarify(children.map((child) => child.size), inside).flatMap((box, number) => {
      if (box.width < LEAST || box.height < LEAST) return [];
      const look = this.look(children[number]);
      if (look === "branch" && box.width > OPENED && box.height > OPENED) return this.inner(children[number].children, box);
      const drawn = element("span", { class: `inner ${look}`, "aria-hidden": "true" });
      place(drawn, box);
      return [drawn];
    });
  }

  /** A leaf looks like its kind and fate; a branch like that only if all in it does. */
  look(node) {
    if (node.kind) return `leaf ${node.kind} ${fateClass(node.fate)}`;
    const looks = new Set(node.children.map((child) => this.look(child).replace("leaf ", "")));
    return looks.size === 1 && !looks.has("branch") ? [...looks][0] : "branch";
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const boxes = [...this.map.querySelectorAll("button")];
    const here = boxes.indexOf(document.activeElement);
    const steps = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: boxes.length - 1 };
    if (event.key === "Escape") this.leave(this.trail.length - 1 || -1);
    else if (event.key in steps && boxes.length) {
      const next = boxes[Math.min(Math.max(steps[event.key], 0), boxes.length - 1)];
      boxes.forEach((box) => box.setAttribute("tabindex", box === next ? "0" : "-1"));
      next.focus();
    } else return;
    event.preventDefault();
  }
}

/** A label of which the last part of the path is the last to be cut off. */
function label(text) {
  const last = text.lastIndexOf("/", text.length - 2) + 1;
  const parts = [text.slice(0, last), text.slice(last)].filter(Boolean);
  return element("span", { class: "label", "aria-hidden": "true" }, ...parts.map((part) => element("span", {}, part)));
}

function place(drawn, box) {
  for (const [key, value] of Object.entries(box)) drawn.style[key] = `${value}px`;
}

