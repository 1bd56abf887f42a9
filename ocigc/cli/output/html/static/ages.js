// When images were made against how large they are, on d3's scales. One path a fate draws any number of points.

const EDGE = { left: 70, right: 16, top: 12, bottom: 28 };
const NEAR = 18; // pixels
const CROWD = 1000; // points; more are drawn smaller

class Ages {
  constructor(place, note, open) {
    this.place = place;
    this.note = note;
    this.points = [];
    this.shown = [];
    new ResizeObserver(() => this.width !== place.clientWidth && this.draw()).observe(place);
    place.addEventListener("pointermove", (event) => this.point(event));
    place.addEventListener("click", (event) => {
      const near = this.nearest(event);
      if (near) open(near.image);
    });
  }

  show(shown) {
    this.shown = shown;
    this.draw();
  }

  draw() {
    const dated = this.shown.filter((image) => image.created !== null && image.unit.size > 0);
    const undated = this.shown.length - dated.length;
    this.idle = undated ? `${many(undated, "image")} without a date or a size: not drawn.` : "The table of images has the same in words.";
    this.note.textContent = this.idle;
    this.width = this.place.clientWidth;
    this.points = [];
    if (!dated.length) {
      this.place.replaceChildren(element("p", { class: "empty" }, "No image with a date."));
      return;
    }
    const height = 300;
    const times = extent(dated, (image) => image.created);
    const sizes = extent(dated, (image) => image.unit.size);
    const margin = Math.max((times[1] - times[0]) * 0.03, DAY);
    const x = d3.scaleUtc([new Date((times[0] - margin) * 1000), new Date((times[1] + margin) * 1000)], [EDGE.left, this.width - EDGE.right]);
    const y = d3.scaleLog([sizes[0] / 1.5, sizes[1] * 1.5], [height - EDGE.bottom, EDGE.top]);
    this.points = dated.map((image) => ({ image, x: x(image.created * 1000), y: y(image.unit.size) }));
    this.near = drawing("circle", { class: "near", r: 9, visibility: "hidden" });
    const title = `${many(dated.length, "image")} from ${day(times[0])} to ${day(times[1])}, from ${humanSize(sizes[0])} to ${humanSize(sizes[1])}`;
    this.place.replaceChildren(drawing(
      "svg", { role: "img", "aria-label": title, viewBox: `0 0 ${this.width} ${height}`, preserveAspectRatio: "none" },
      ...this.grid(x, y, height), ...this.paths(), this.near,
    ));
  }

  grid(x, y, height) {
    const drawn = [];
    const decades = y.ticks().filter((size) => Number.isInteger(Math.log10(size)));
    for (const size of decades.length > 1 ? decades : y.ticks(4)) {
      drawn.push(drawing("line", { class: "grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: y(size), y2: y(size) }));
      drawn.push(drawing("text", { x: EDGE.left - 8, y: y(size) + 4, "text-anchor": "end" }, humanSize(size)));
    }
    for (const date of x.ticks(Math.max(Math.floor(this.width / 130), 2))) {
      drawn.push(drawing("line", { class: "grid", x1: x(date), x2: x(date), y1: EDGE.top, y2: height - EDGE.bottom }));
      drawn.push(drawing("text", { x: x(date), y: height - 8, "text-anchor": "middle" }, day(date / 1000)));
    }
    return drawn;
  }

  paths() {
    const lines = new Map();
    for (const { image, x, y } of this.points) {
      const look = fateClass(image.fate);
      lines.set(look, `${lines.get(look) ?? ""}M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    }
    const size = this.points.length > CROWD ? "many" : "";
    return [...lines].map(([look, line]) => drawing("path", { class: `points ${size} ${look}`, d: line }));
  }

  nearest(event) {
    const edge = this.place.getBoundingClientRect();
    const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
    let near = null;
    let least = NEAR * NEAR;
    for (const point of this.points) {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least) [near, least] = [point, distance];
    }
    return near;
  }

  point(event) {
    if (!this.points.length) return;
    const near = this.nearest(event);
    this.near.setAttribute("visibility", near ? "visible" : "hidden");
    this.note.textContent = this.idle;
    if (!near) return;
    this.near.setAttribute("cx", near.x);
    this.near.setAttribute("cy", near.y);
    const { name, created, unit, fate } = near.image;
    this.note.textContent = `${name}: ${day(created)}, ${humanSize(unit.size)}, ${goesBy(fate)}`;
  }
}

/** The least and the greatest of what is measured. */
function extent(those, measure) {
  let [least, greatest] = [Infinity, -Infinity];
  for (const each of those) {
    least = Math.min(least, measure(each));
    greatest = Math.max(greatest, measure(each));
  }
  return [least, greatest];
}
