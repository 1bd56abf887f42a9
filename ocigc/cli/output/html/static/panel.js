// One image: what it is made of, who shares that, and why it stays.

const SHARERS = 8; // named; the others are counted

class Panel {
  constructor(dialog) {
    this.dialog = dialog;
    at("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }

  open(image) {
    const { unit } = image;
    at("panel-title").textContent = image.name;
    at("panel-body").replaceChildren(
      ...this.facts(image), ...this.reasons(image), ...this.troubles(unit), ...this.layers(unit), ...this.sharers(unit),
    );
    if (!this.dialog.open) this.dialog.showModal();
    at("panel-body").scrollTop = 0;
  }

  facts(image) {
    const { unit } = image;
    const others = unit.images.filter((each) => each !== image);
    const facts = [
      ["Digest", element("code", {}, unit.digest)],
      ...(image.layout ? [["Layout", image.layout]] : []),
      ["Created", image.created === null ? "not known" : day(image.created)],
      ["Platforms", unit.platforms || "not listed"],
      ["Size", `${humanSize(unit.size)}, of which ${humanSize(unit.alone)} is in no other image`],
      ...(others.length ? [["Also named", others.map((each) => each.name).join(", ")]] : []),
    ];
    return [element("dl", {}, ...facts.flatMap(([term, fact]) => [element("dt", {}, term), element("dd", {}, fact)]))];
  }

  reasons(image) {
    if (!image.why) return [];
    const [prune, all] = image.why;
    return [element("h3", {}, "Why it stays or goes"), element("dl", {},
      element("dt", {}, "prune"), element("dd", {}, badge(image.fate & PRUNE ? "goes" : "stays", image.fate & PRUNE ? "goes" : "stays"), ` ${prune}`),
      element("dt", {}, "prune --all"), element("dd", {}, badge(image.fate & ALL ? "goes" : "stays", image.fate & ALL ? "goes-all" : "stays"), ` ${all}`))];
  }

  troubles({ troubles }) {
    if (!troubles.length) return [];
    return [element("h3", {}, "What is wrong"), element("ul", { class: "plain" }, ...troubles.map((text) => element("li", {}, text)))];
  }

  layers(unit) {
    const title = element("h3", {}, "Layers");
    if (!unit.blobs) return [title, element("p", { class: "help" }, "This page has the layers of the largest images alone; ocigc tree shows those of any.")];
    const rows = unit.blobs.map((number) => {
      const { digest, size, kind, owner } = blobs[number];
      const others = owner < 0 ? groups[~owner].units.length - 1 : 0;
      return element("tr", {},
        element("td", {}, data.platformOf[number] ? `${kind} ${data.platformOf[number]}` : kind), element("td", { class: "digest" }, digest),
        element("td", { class: "number" }, humanSize(size)), element("td", {}, others ? `shared with ${count(others)}` : "alone"));
    });
    const rest = unit.rest.filter((each) => each.count);
    if (rest.length) {
      rows.push(element("tr", {}, element("td", {}, many(sum(rest.map((each) => each.count)), "smaller blob")), element("td", {}), element("td", { class: "number" }, humanSize(sum(rest.map((each) => each.size)))), element("td", {}, "alone")));
    }
    const heads = ["Kind", "Digest", "Size", "Shared"].map((text) => element("th", { scope: "col", class: text === "Size" ? "number" : "" }, text));
    return [title, element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows))];
  }

  sharers(unit) {
    const shares = new Map();
    for (const number of unit.groups) {
      for (const other of groups[number].units) if (other !== unit) shares.set(other, (shares.get(other) ?? 0) + groups[number].size);
    }
    if (!shares.size) return [];
    const ordered = [...shares].sort(([, a], [, b]) => b - a);
    const left = ordered.length - SHARERS;
    return [element("h3", {}, `Shares with ${many(ordered.length, "image")}`), element("ul", { class: "plain" },
      ...ordered.slice(0, SHARERS).map(([other, size]) =>
        element("li", {}, button(other.images[0].name, () => this.open(other.images[0]), { class: "link" }), ` ${humanSize(size)}`)),
      ...(left > 0 ? [element("li", {}, `and ${count(left)} more`)] : []))];
  }
}
