// The page: what is asked for, and who shows it.

const TESTS = {
  "": () => true,
  goes: (image) => image.fate & PRUNE,
  "goes all": (image) => image.fate & ALL,
  stays: (image) => !(image.fate & (PRUNE | ALL)),
  trouble: (image) => image.states.some((state) => TROUBLES.has(state)),
};

let asked = "";

function show(anew = false) {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const state = at("state").value;
  const chosen = document.querySelector("input[name=view]:checked").value;
  const asking = JSON.stringify([words, state, chosen]);
  if (asking === asked && !anew) return; // Leaving the search field says "change" once more: what the reader opened stays open.
  asked = asking;
  const view = views(whatIf.outcome)[chosen];
  const test = TESTS[state] ?? ((image) => image.states.includes(state));
  const narrowed = words.length || state;
  const present = images.filter((image) => !view.hidden(image.fate, image.unit.number));
  const shown = present.filter((image) => test(image) && words.every((word) => image.text.includes(word)));
  treemap.show(grow(view, narrowed ? new Set(shown.map((image) => image.unit)) : null));
  ages.show(shown);
  table.show(shown);
  document.body.dataset.view = chosen;
  at("status").textContent = narrowed
    ? `${count(shown.length)} of ${many(present.length, "image")}. The map shows what each of them has alone.`
    : many(present.length, "image");
}

function recolour() {
  const view = document.querySelector("input[name=view][value=whatif]");
  view.disabled = !whatIf.outcome;
  document.body.toggleAttribute("data-whatif", Boolean(whatIf.outcome));
  if (whatIf.outcome && !view.checked) view.checked = true;
  if (!whatIf.outcome && view.checked) document.querySelector("input[name=view][value=now]").checked = true;
  show(true);
}

function turn(theme) {
  document.documentElement.dataset.theme = theme;
  growth.draw();
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
const panel = new Panel(at("panel"));
const open = (image) => panel.open(image);
const treemap = new Treemap(at("map"), at("path"), open);
const ages = new Ages(at("ages"), at("ages-note"), open);
const table = imageTable(open);
const growth = new Growth(at("growth"), at("growth-table"));
const whatIf = new WhatIf(recolour);
const repositoriesShown = repositoryTable((name) => {
  at("search").value = name;
  show();
  at("controls").scrollIntoView();
});
show();
at("linked").hidden = !data.linked;
if (data.folded.length) {
  const left = sum(data.folded.map(([, , number]) => number));
  at("folded").textContent = `The page has room for the ${count(images.length)} largest of ${many(data.imageCount, "image")}: ` +
    `the other ${count(left)} are summed up by repository, and the what-if lets them stay.`;
  at("folded").hidden = false;
}

at("theme").addEventListener("click", () => turn(isDark() ? "light" : "dark"));
at("print").addEventListener("click", () => print());
at("csv").addEventListener("click", () => table.save("ocigc-images.csv"));
at("csv-repositories").addEventListener("click", () => repositoriesShown.save("ocigc-repositories.csv"));
at("controls").addEventListener("submit", (event) => event.preventDefault());
let waiting = 0;
for (const kind of ["input", "change"]) {
  at("controls").addEventListener(kind, () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => show());
  });
}
// More of what is asked for, also where that is not drawn yet: the redraw to come would take it back.
at("more").addEventListener("click", () => show(), true);

// Paper is white: what is drawn with colours of the screen is drawn anew.
const PAPER = 680; // pixels
let before;
addEventListener("beforeprint", () => {
  before = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  growth.draw(PAPER);
});
addEventListener("afterprint", () => {
  if (before) document.documentElement.dataset.theme = before;
  else delete document.documentElement.dataset.theme;
  growth.draw();
});
