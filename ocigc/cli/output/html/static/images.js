// The table of images: all that the pictures show, in words.

const ROWS = 100; // shown at first, and more with each press of the button

const COLUMNS = [
  { title: "Image", key: (image) => (image.name === "<none>" ? "\uffff" : image.name), cell: (image) => image.name, look: "name" },
  { title: "Digest", key: (image) => image.digest, cell: (image) => image.digest.slice(0, image.digest.indexOf(":") + 13), look: "digest" },
  { title: "Created", key: (image) => image.created ?? -Infinity, cell: (image) => (image.created === null ? "" : day(image.created)), look: "date" },
  { title: "Size", key: (image) => image.size, cell: (image) => humanSize(image.size), look: "number" },
  { title: "Alone", key: (image) => image.alone, cell: (image) => humanSize(image.alone), look: "number" },
  { title: "State", key: (image) => image.states.join(), cell: (image) => image.states.join(", "), look: "" },
  { title: "Prune", key: (image) => image.fate, cell: (image) => fateWords(image.fate), look: "" },
];

class Images {
  constructor(table, more) {
    this.more = more;
    this.body = table.tBodies[0];
    this.column = 0;
    this.down = false;
    this.heads = COLUMNS.map(({ title, look }, number) => {
      const button = element("button", { type: "button" }, title);
      button.addEventListener("click", () => this.sort(number));
      return element("th", { scope: "col", class: look }, button);
    });
    table.tHead.replaceChildren(element("tr", {}, ...this.heads));
    more.addEventListener("click", () => {
      this.rows += 10 * ROWS;
      this.draw();
    });
  }

  show(shown) {
    this.shown = shown;
    this.rows = ROWS;
    this.draw();
  }

  sort(column) {
    this.down = column === this.column ? !this.down : COLUMNS[column].look === "number";
    this.column = column;
    this.draw();
  }

  draw() {
    const { key } = COLUMNS[this.column];
    const sign = this.down ? -1 : 1;
    const keyed = this.shown.map((image) => [key(image), image]);
    keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    this.body.replaceChildren(...keyed.slice(0, this.rows).map(([, image]) => element(
      "tr", {}, ...COLUMNS.map(({ cell, look }) => element("td", look === "digest" ? { class: look, title: image.digest } : { class: look }, cell(image))),
    )));
    this.heads.forEach((head, number) => {
      if (number === this.column) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const left = keyed.length - this.rows;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more (${count(Math.max(left, 0))} left)`;
  }
}

