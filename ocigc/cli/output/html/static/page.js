// The page: what is asked for, and who shows it.

const at = (id) => document.getElementById(id);

const TESTS = {
  "": () => true,
  goes: (image) => image.fate & 1,
  "goes all": (image) => image.fate & 2,
  stays: (image) => !image.fate,
};

function space() {
  const [whole, prune, pruneAll] = [[0, 0, 0], data.prune, data.pruneAll];
  const rows = [["As it is", whole], ["After prune", prune], ["After prune --all", pruneAll]];
  at("space").tBodies[0].replaceChildren(...rows.map(([title, [gone, blobs, bytes]]) => {
    const left = Math.max(data.size - bytes, 0);
    const bar = element("div", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${data.size ? (100 * left) / data.size : 0}%`;
    return element("tr", {},
      element("th", { scope: "row" }, title),
      element("td", {}, count(images.length - gone)),
      element("td", {}, count(data.blobs - blobs)),
      element("td", {}, humanSize(left), bar),
      element("td", {}, humanSize(bytes)));
  }));
}

let asked = "";

function show() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const state = at("state").value;
  const view = Number(document.querySelector("input[name=view]:checked").value);
  const asking = JSON.stringify([words, state, view]);
  if (asking === asked) {
    return; // Leaving the search field says "change" once more: what the reader opened stays open.
  }
  asked = asking;
  const test = TESTS[state] ?? ((image) => image.states.includes(state));
  const narrowed = words.length || state;
  const present = images.filter((image) => !(image.fate & view));
  const shown = present.filter((image) => test(image) && words.every((word) => image.text.includes(word)));
  treemap.show(grow(view, narrowed ? new Set(shown.map((image) => image.digest)) : null));
  ages.show(shown);
  table.show(shown);
  at("status").textContent = narrowed
    ? `${count(shown.length)} of ${many(present.length, "image")}. The map shows what each of them holds alone.`
    : many(present.length, "image");
}

function turn() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function choose(image) {
  at("search").value = image.name === "<none>" ? image.digest : image.name;
  show();
}

at("main").hidden = false;
at("theme").hidden = false;
const treemap = new Treemap(at("map"), at("path"));
const ages = new Ages(at("ages"), at("ages-note"), choose);
const table = new Images(at("images"), at("more"));
space();
show();
at("theme").addEventListener("click", turn);
at("controls").addEventListener("submit", (event) => event.preventDefault());
let waiting = 0;
for (const kind of ["input", "change"]) {
  at("controls").addEventListener(kind, () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(show);
  });
}
// More of what is asked for, also where that is not drawn yet: the redraw to come would take it back.
at("more").addEventListener("click", show, true);
