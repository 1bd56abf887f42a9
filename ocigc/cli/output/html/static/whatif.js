// What a policy would do, decided as ocigc/gc/retention.py decides: the newest N targets of each repository and those as
// old, what is young enough, and what nobody knows the age of stay. Then a budget takes, of the rest, the oldest.

/** What goes: {images, units, freed (bytes)} for {last, within (seconds), untagged, budget (bytes)}, each null if not asked for. */
function decide({ last, within, untagged, budget }) {
  const policy = last !== null || within !== null || untagged;
  const keeps = newest(last, untagged);
  const going = images.filter((image) => image.fate & FREE && !image.states.includes("referrer") && released(image));

  function released(image) {
    if (!policy) return true;
    if (image.nameless ? !untagged : last === null && within === null) return false;
    if (within !== null && (image.created === null || image.created >= data.now - within)) return false;
    if (image.states.includes("referrer")) return true;
    if (image.states.includes("orphaned")) return image.nameless;
    return last === null || !keeps(image);
  }

  // A referrer without a name of its own goes with its subject, one with a name where that may go.
  const store = new Remaining((image) => image.fate & FREE && (image.nameless || image.fallback || released(image)));
  if (budget === null) {
    store.sweep();
    for (const image of going) store.remove(image);
  } else if (data.size > budget) {
    store.sweep();
    for (const image of going.sort(byAge)) {
      if (store.size <= budget) break;
      store.remove(image);
    }
  }
  return { images: store.gone, units: store.unitsGone, freed: data.size - store.size + data.leftovers, over: budget === null ? 0 : store.size - budget };
}

/** The oldest first; those of whom nobody knows it, last. */
function byAge(a, b) {
  if (a.created === null || b.created === null) return (a.created === null) - (b.created === null);
  return a.created - b.created;
}

/** Whether keep-last keeps an image: whether it is as new as the last of the newest targets of its repository. */
function newest(last, untagged) {
  if (last === null) return () => false;
  const place = (image) => `${image.layout}\n${image.odd ? image.name : image.repository.name}\n${image.nameless}`;
  const targets = new Map(); // by place: by unit, the time of the youngest of its images
  for (const image of images) {
    // What is not here takes no place, nor what would stay anyway.
    if (image.created === null || ["referrer", "orphaned", "incomplete", "absent"].some((state) => image.states.includes(state))) continue;
    if (image.nameless && !untagged) continue;
    if (!targets.has(place(image))) targets.set(place(image), new Map());
    const times = targets.get(place(image));
    times.set(image.unit, Math.max(times.get(image.unit) ?? -Infinity, image.created));
  }
  const least = new Map([...targets].map(([key, times]) => [key, [...times.values()].sort((a, b) => b - a)[last - 1] ?? -Infinity]));
  return (image) => {
    if (image.created === null) return true;
    const own = targets.get(place(image))?.get(image.unit) ?? -Infinity;
    return Math.max(own, image.created) >= (least.get(place(image)) ?? -Infinity);
  };
}

/** What is left of the store while images are taken out of it. */
class Remaining {
  /** `follows` says of a referrer whether it goes with what it refers to. */
  constructor(follows) {
    this.follows = follows;
    this.size = data.size;
    this.gone = new Set();
    this.unitsGone = new Set();
    this.names = units.map((unit) => unit.images.length);
    this.owners = groups.map((group) => group.units.length);
    this.groupsGone = new Set();
  }

  /** Takes what no image leads to. */
  sweep() {
    this.size -= data.orphaned;
  }

  remove(image) {
    if (this.gone.has(image)) return;
    this.gone.add(image);
    this.names[image.unit.number] -= 1;
    if (this.names[image.unit.number] > 0) return;
    this.unitsGone.add(image.unit);
    this.size -= image.unit.free;
    this.follow(image.unit.number);
    for (const number of image.unit.groups) {
      this.owners[number] -= 1;
      if (this.owners[number] > 0) continue;
      this.groupsGone.add(number);
      this.size -= groups[number].free;
      this.follow(~number);
    }
  }

  /** Referrers go with what they refer to. */
  follow(owner) {
    for (const unit of followers.get(owner) ?? []) {
      for (const image of unit.images) if (this.follows(image)) this.remove(image);
    }
  }
}

const followers = new Map();
for (const unit of units) {
  if (unit.follows === null) continue;
  if (!followers.has(unit.follows)) followers.set(unit.follows, []);
  followers.get(unit.follows).push(unit);
}

// The sliders.

const DAY = 86400;
const LASTS = [null, ...Array.from({ length: 20 }, (_, n) => n + 1), 25, 30, 40, 50, 75, 100];
const WITHINS = [null, ...["1d", "2d", "3d", "5d", "1w", "2w", "3w", "30d", "45d", "60d", "90d", "120d", "180d", "270d", "365d", "500d", "730d", "1095d", "1460d", "1825d"]];

const seconds = (duration) => Number.parseInt(duration, 10) * (duration.endsWith("w") ? 7 * DAY : DAY);

/** Round sizes between nothing and all of the store, as `--keep-storage` takes them. */
function budgets() {
  const found = [];
  for (let step = 1; step < 100; step += 1) {
    const bytes = (data.size * step) / 100;
    const unit = 10 ** (3 * Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 5));
    const rounded = Number((bytes / unit).toPrecision(2));
    const text = `${rounded}${["B", "kB", "MB", "GB", "TB", "PB"][Math.round(Math.log10(unit) / 3)]}`;
    if (rounded > 0 && text !== found.at(-1)?.text) found.push({ text, bytes: Math.round(rounded * unit) });
  }
  return [...found, null];
}

class WhatIf {
  constructor(change) {
    this.budgets = budgets();
    this.last = at("keep-last");
    this.within = at("keep-within");
    this.budget = at("budget");
    this.untagged = at("untagged");
    this.last.max = LASTS.length - 1;
    this.within.max = WITHINS.length - 1;
    this.budget.max = this.budget.value = this.budgets.length - 1;
    this.outcome = null;
    let waiting = 0;
    at("whatif").addEventListener("input", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => this.apply(change));
    });
    at("whatif").addEventListener("submit", (event) => event.preventDefault());
    at("whatif-reset").addEventListener("click", () => {
      this.last.value = this.within.value = 0;
      this.budget.value = this.budgets.length - 1;
      this.untagged.checked = false;
      this.apply(change);
    });
    at("copy").addEventListener("click", () => copy(at("policy"), at("copied")));
    this.apply(() => {});
  }

  /** What is asked for; null if nothing is. */
  asked() {
    const within = WITHINS[this.within.value];
    const found = { last: LASTS[this.last.value], within, untagged: this.untagged.checked, budget: this.budgets[this.budget.value] };
    return found.last || within || found.untagged || found.budget ? found : null;
  }

  apply(change) {
    const asked = this.asked();
    this.says(this.last, at("keep-last-value"), LASTS[this.last.value] === null ? "off" : `the newest ${LASTS[this.last.value]}`);
    this.says(this.within, at("keep-within-value"), WITHINS[this.within.value] ?? "off");
    this.says(this.budget, at("budget-value"), this.budgets[this.budget.value]?.text ?? "off");
    this.outcome = asked && decide({
      ...asked,
      within: asked.within === null ? null : seconds(asked.within),
      budget: asked.budget?.bytes ?? null,
    });
    this.tell(asked);
    change();
  }

  says(slider, output, text) {
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  tell(asked) {
    const freed = this.outcome?.freed ?? 0;
    at("whatif-bar").style.width = `${data.size ? (100 * (data.size - freed)) / data.size : 100}%`;
    at("policy").textContent = asked ? policyText(asked) : "# Move a slider: the policy appears here.\n";
    at("copy").disabled = !asked;
    if (!asked) {
      at("whatif-status").textContent = `As it is: ${many(images.length, "image")}, ${humanSize(data.size)}.`;
      return;
    }
    const gone = this.outcome.images.size;
    at("whatif-status").textContent =
      `Frees ${humanSize(freed)} of ${humanSize(data.size)} (${percent(freed, data.size)}): ${many(gone, "image")} would go, ` +
      `${count(images.length - gone)} would stay.` +
      (this.outcome.over > 0 ? ` ${humanSize(this.outcome.over)} over the budget would remain: the rest is in use, leased or kept.` : "");
  }
}

/** The policy as `ocigc prune --policy` reads it (docs/policy.md), and the command. */
function policyText({ last, within, untagged, budget }) {
  const lines = [];
  const policy = last || within || untagged;
  if (policy) {
    lines.push("# ocigc.toml", "[[rule]]");
    if (last) lines.push(`keep-last = ${last}`);
    if (within) lines.push(`keep-within = "${within}"`);
    if (untagged && !last && !within) lines.push("keep-tagged = true");
    if (untagged) lines.push("delete-untagged = true");
    lines.push("");
  }
  const options = [policy ? "--policy ocigc.toml" : "--no-policy --all", budget ? `--keep-storage ${budget.text}` : "", data.options];
  return `${lines.join("\n")}${lines.length ? "\n" : ""}# ocigc prune -n ${options.filter(Boolean).join(" ")} ${data.argument}\n`;
}

/** Puts the text of an element on the clipboard; where that may not be, selects it. */
async function copy(from, status) {
  try {
    await navigator.clipboard.writeText(from.textContent);
    status.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(from);
    status.textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it with the keyboard.";
  }
}
