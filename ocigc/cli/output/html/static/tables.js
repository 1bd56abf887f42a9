// Tables that can be sorted, with totals, that become cards on a phone and a CSV file on demand.

class Table {
  /**
   * `columns`: {title, key, cell, look, csv}, of which only title and key must be there. `total` gives the cells of the
   * last row, `first` is the column to sort by, `rows` are shown before the button is pressed.
   */
  constructor(table, more, columns, total, first, rows) {
    this.columns = columns;
    this.total = total;
    this.more = more;
    this.table = table;
    this.column = first;
    this.most = rows;
    this.down = true;
    this.shown = [];
    this.heads = columns.map(({ title, look }, number) => {
      const head = element("th", { scope: "col", class: look ?? "" }, button(title, () => this.sort(number)));
      head.firstChild.append(element("span", { class: "mark", "aria-hidden": "true" }));
      return head;
    });
    table.tHead.replaceChildren(element("tr", {}, ...this.heads));
    // Cards have no heads to press.
    this.sorter = element("select", {}, ...columns.map(({ title }, number) => element("option", { value: String(number) }, title)));
    this.sorter.addEventListener("change", () => this.sort(Number(this.sorter.value)));
    table.parentElement.before(element("label", { class: "sorter" }, "Sort by ", this.sorter));
    more.addEventListener("click", () => {
      this.rows += 1000;
      this.draw();
    });
  }

  show(shown) {
    this.shown = shown;
    this.rows = this.most;
    this.draw();
  }

  sort(column) {
    this.down = column === this.column ? !this.down : this.columns[column].look === "number";
    this.column = column;
    this.draw();
  }

  sorted() {
    const { key } = this.columns[this.column];
    const sign = this.down ? -1 : 1;
    const keyed = this.shown.map((each) => [key(each), each]);
    keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    return keyed.map(([, each]) => each);
  }

  draw() {
    const sorted = this.sorted();
    this.table.tBodies[0].replaceChildren(...sorted.slice(0, this.rows).map((each) => element("tr", {}, ...this.columns.map((column) => this.cell(column, each)))));
    const total = this.total(this.shown);
    this.table.tFoot.replaceChildren(element("tr", {}, ...this.columns.map(({ title, look }, number) =>
      element(number ? "td" : "th", { class: look ?? "", ...(number ? {} : { scope: "row" }), "data-label": title }, total[number] ?? ""))));
    this.sorter.value = String(this.column);
    this.heads.forEach((head, number) => {
      if (number === this.column) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const left = sorted.length - this.rows;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more (${count(Math.max(left, 0))} left)`;
  }

  cell({ title, key, cell, look }, each) {
    const made = element("td", { class: look ?? "", "data-label": title });
    made.append(...[(cell ?? key)(each)].flat());
    return made;
  }

  /** All that is shown, in its order, as a file. */
  save(name) {
    const rows = [this.columns.map(({ title }) => title), ...this.sorted().map((each) => this.columns.map(({ key, csv }) => (csv ?? key)(each)))];
    const text = rows.map((row) => row.map(quoted).join(",")).join("\r\n");
    const link = element("a", { href: URL.createObjectURL(new Blob([`${text}\r\n`], { type: "text/csv" })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

/** A field of CSV. What a spreadsheet would take for a formula gets an apostrophe. */
function quoted(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const badge = (text, look = "") => element("span", { class: `badge ${look}` }, text);

function bar(part, whole, look = "") {
  const inner = element("span", { class: `filled ${look}` });
  inner.style.width = `${whole > 0 ? (100 * part) / whole : 0}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, inner);
}

/** The table of images; `open` shows one. */
function imageTable(open) {
  const state = (image) => [...image.states.map((text) => badge(text, TROUBLES.has(text) ? "bad" : "")), badge(goesBy(image.fate), fateClass(image.fate))];
  const columns = [
    { title: "Image", key: (image) => (image.name === "<none>" ? "\uffff" : image.name), csv: (image) => image.name, cell: (image) => button(image.name, () => open(image), { class: "link" }), look: "name" },
    ...(data.layouts.length ? [{ title: "Layout", key: (image) => image.layout, look: "name" }] : []),
    { title: "Digest", key: (image) => image.unit.digest, cell: (image) => shortened(image.unit.digest), look: "digest" },
    { title: "Created", key: (image) => image.created ?? -Infinity, csv: (image) => (image.created === null ? "" : day(image.created)), cell: (image) => (image.created === null ? "" : day(image.created)), look: "date" },
    { title: "Size", key: (image) => image.unit.size, cell: (image) => [humanSize(image.unit.size), bar(image.unit.size, largest)], look: "number" },
    { title: "Alone", key: (image) => image.unit.alone, cell: (image) => humanSize(image.unit.alone), look: "number" },
    { title: "State", key: (image) => `${image.fate & 3}${image.states.join()}`, csv: (image) => [...image.states, goesBy(image.fate)].join("; "), cell: state, look: "state" },
  ];
  const largest = units.reduce((most, unit) => Math.max(most, unit.size), 0);
  const size = columns.findIndex(({ title }) => title === "Size");
  const total = (shown) => {
    const those = new Set(shown.map((image) => image.unit));
    const cells = [`${many(shown.length, "image")} together`];
    cells[size] = humanSize(together(those));
    cells[size + 1] = humanSize(sum([...those].map((unit) => unit.alone)));
    return cells;
  };
  return new Table(at("images"), at("more"), columns, total, size, 100);
}

const TROUBLES = new Set(["damaged", "incomplete", "absent"]);

const shortened = (digest) => digest.slice(0, digest.indexOf(":") + 13);

/** The table of repositories. */
function repositoryTable(narrow) {
  const largest = data.usage.reduce((most, [, , size]) => Math.max(most, size), 0);
  const columns = [
    { title: "Repository", key: ({ name }) => name || "\uffff", csv: ({ name }) => name, cell: ({ name }) => (name ? button(name, () => narrow(name), { class: "link" }) : "without a repository"), look: "name" },
    { title: "Images", key: (each) => each.images, cell: (each) => count(each.images), look: "number" },
    { title: "Size", key: (each) => each.size, cell: (each) => [humanSize(each.size), bar(each.size, largest)], look: "number" },
    { title: "Alone", key: (each) => each.alone, cell: (each) => humanSize(each.alone), look: "number" },
    { title: "Prune frees", key: (each) => each.prune, cell: (each) => humanSize(each.prune), look: "number" },
    { title: "Prune --all frees", key: (each) => each.all, cell: (each) => humanSize(each.all), look: "number" },
  ];
  const total = (shown) => [
    `${shown.length === 1 ? "1 repository" : `${count(shown.length)} repositories`}, each blob once`,
    count(sum(shown.map((each) => each.images))), humanSize(together(units)), humanSize(sum(shown.map((each) => each.alone))),
    humanSize(data.prune[2]), humanSize(data.pruneAll[2]),
  ];
  const table = new Table(at("repositories"), at("more-repositories"), columns, total, 2, 15);
  table.show(data.usage.map(([repository, held, size, alone, prune, all]) => ({ name: repositories[repository].name, images: held, size, alone, prune, all })));
  return table;
}
