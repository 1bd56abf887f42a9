// When images were made against how large they are. One path a fate draws any number of points.

const EDGE = { left: 64, right: 16, top: 12, bottom: 28 };
const NEAR = 14; // pixels
const CROWD = 1000; // points; more are drawn smaller
const STEPS = [1, 3, 6, 12, 24, 60, 120, 600]; // months

class Ages {
  constructor(place, note, choose) {
    this.place = place;
    this.note = note;
    this.points = [];
    this.shown = [];
    new ResizeObserver(() => this.width !== place.clientWidth && this.draw()).observe(place);
    place.addEventListener("pointermove", (event) => this.point(event));
    place.addEventListener("click", (event) => {
      const near = this.nearest(event);
      if (near) choose(near.image);
    });
  }

  show(shown) {
    this.shown = shown;
    this.draw();
  }

  draw() {
    const dated = this.shown.filter((image) => image.created !== null && image.size > 0);
    const undated = this.shown.length - dated.length;
    this.idle = undated ? `${many(undated, "image")} without a date or a size: not drawn.` : "The table below has the same in words.";
    this.note.textContent = this.idle;
    this.width = this.place.clientWidth;
    this.points = [];
    if (!dated.length) {
      this.place.replaceChildren(element("p", { class: "empty" }, "No image with a date."));
      return;
    }
    const height = 320;
    const dates = bounds(dated.map((image) => image.created), 86400);
    const sizes = bounds(dated.map((image) => Math.log10(image.size)), 0.5);
    const x = (seconds) => EDGE.left + ((seconds - dates.low) / (dates.high - dates.low)) * (this.width - EDGE.left - EDGE.right);
    const y = (log) => height - EDGE.bottom - ((log - sizes.low) / (sizes.high - sizes.low)) * (height - EDGE.top - EDGE.bottom);
    this.points = dated.map((image) => ({ image, x: x(image.created), y: y(Math.log10(image.size)) }));
    this.near = drawing("circle", { class: "near", r: 8, visibility: "hidden" });
    const title = `${many(dated.length, "image")} from ${day(dates.first)} to ${day(dates.last)}, ` +
      `from ${humanSize(10 ** sizes.first)} to ${humanSize(10 ** sizes.last)}`;
    this.place.replaceChildren(drawing(
      "svg", { role: "img", "aria-label": title, viewBox: `0 0 ${this.width} ${height}`, preserveAspectRatio: "none" },
      ...this.grid(dates, sizes, x, y, height), ...this.paths(), this.near,
    ));
  }

  grid(dates, sizes, x, y, height) {
    const drawn = [];
    for (const log of decimals(sizes)) {
      drawn.push(drawing("line", { class: "grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: y(log), y2: y(log) }));
      drawn.push(drawing("text", { x: EDGE.left - 8, y: y(log) + 4, "text-anchor": "end" }, humanSize(10 ** log)));
    }
    const room = Math.max(Math.floor((this.width - EDGE.left) / 110), 1);
    for (const seconds of instants(dates, room)) {
      drawn.push(drawing("line", { class: "grid", x1: x(seconds), x2: x(seconds), y1: EDGE.top, y2: height - EDGE.bottom }));
      drawn.push(drawing("text", { x: x(seconds), y: height - 8, "text-anchor": "middle" }, day(seconds)));
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
    const { name, created, size, fate } = near.image;
    this.note.textContent = `${name}: ${day(created)}, ${humanSize(size)}, ${fateWords(fate)}`;
  }
}

/** The logarithms of round numbers between two others. */
function decimals({ low, high }) {
  const factors = high - low < 2 ? [1, 2, 5] : [1];
  const decades = Array.from({ length: Math.ceil(high - low) + 1 }, (_, number) => Math.floor(low) + number);
  return decades.flatMap((decade) => factors.map((factor) => decade + Math.log10(factor))).filter((log) => low <= log && log <= high);
}

/** At most so many instants that a calendar has between two others: days, or first days of a month. */
function instants({ low, high }, most) {
  const month = 30.4 * 86400;
  const step = STEPS.find((months) => (high - low) / (months * month) <= most);
  if ((high - low) / month < 2 || !step) {
    const even = Math.ceil((high - low) / most / 86400) * 86400;
    return Array.from({ length: most }, (_, number) => (Math.ceil(low / even) + number) * even).filter((each) => each <= high);
  }
  const found = [];
  const first = new Date(low * 1000);
  const begin = step < 12 ? 0 : Math.floor(first.getUTCFullYear() / (step / 12)) * (step / 12) - first.getUTCFullYear();
  for (let months = begin * 12; ; months += step) {
    const seconds = Date.UTC(first.getUTCFullYear(), months) / 1000;
    if (!(seconds <= high)) return found;
    if (seconds >= low) found.push(seconds);
  }
}

/** The least and the greatest of some numbers, and the same with some room. */
function bounds(numbers, least) {
  const first = numbers.reduce((a, b) => Math.min(a, b));
  const last = numbers.reduce((a, b) => Math.max(a, b));
  const room = Math.max((last - first) * 0.04, least / 2);
  return { first, last, low: first - room, high: last + room };
}

