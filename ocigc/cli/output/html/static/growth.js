// How the store has grown, from its history: the bytes of each repository on top of each other (d3's stack), drawn by uPlot.

class Growth {
  constructor(place, table) {
    this.place = place;
    this.points = data.growth;
    this.tell(table);
    new ResizeObserver(() => this.plot && this.plot.width !== place.clientWidth && this.draw()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  draw(width = this.place.clientWidth) {
    this.plot?.destroy();
    this.plot = null;
    const { times, names, series, fit, capacity } = this.points;
    if (times.length < 2) return;
    const rows = times.map((_, n) => Object.fromEntries(names.map((name, k) => [k, series[k][n]])));
    const stacked = d3.stack().keys(names.map((_, k) => k))(rows);
    const tops = stacked.map((layer) => layer.map(([, top]) => top)).reverse();
    const tints = names.map((_, k) => colour(`--series-${k}`)).reverse();
    const last = times.at(-1);
    const span = last - times[0];
    const end = fit ? Math.min(fit.full ?? Infinity, last + span / 2) : last;
    const x = end > last ? [...times, end] : times;
    const longer = (values) => (end > last ? [...values, null] : values);
    const estimate = x.map((time) => (fit && time >= fit.since ? Math.max(fit.bytes + (fit.slope * (time - data.now)) / DAY, 0) : null));
    const highest = Math.max(...this.points.total, ...(fit ? estimate.map((value) => value ?? 0) : []));
    const limited = capacity !== null && capacity <= 1.6 * highest;
    const lines = [
      ...(fit ? [{ label: "Linear estimate", stroke: colour("--ink"), values: estimate }] : []),
      ...(limited ? [{ label: "The disk is full", stroke: colour("--goes-ink"), values: x.map(() => capacity) }] : []),
    ];
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const dashed = { width: 2, dash: [6, 4], points: { show: false } };
    const label = (name) => name || "without a repository";
    this.plot = new uPlot({
      width,
      height: width < 600 ? 240 : 320,
      hooks: { ready: [(plot) => plot.setLegend({ idx: times.length - 1 })] },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, __, top) => [0, Math.max(top, limited ? capacity : 0) * 1.06 || 1] } },
      padding: [12, 44, 0, 0],
      axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map(end - times[0] < 3 * DAY ? minute : day) }, { ...axis, size: 74, values: (_, ticks) => ticks.map((tick) => humanSize(tick)) }],
      series: [
        { value: (_, time) => (time === null ? "" : `${day(time)} ${minute(time)} UTC`), label: "Time" },
        ...names.map((_, k) => names.length - 1 - k).map((k, n) => ({
          label: label(names[k]), stroke: tints[n], fill: tints[n], width: 1, points: { show: false },
          value: (_, __, ___, index) => (index === null || index >= times.length ? "" : humanSize(series[k][index])),
        })),
        ...lines.map(({ label: text, stroke }) => ({ ...dashed, label: text, stroke, value: (_, bytes) => (bytes === null ? "" : humanSize(bytes)) })),
      ],
      bands: tops.slice(1).map((_, n) => ({ series: [n + 1, n + 2] })),
    }, [x, ...tops.map(longer), ...lines.map(({ values }) => values)], this.place);
  }

  /** The same in words, for whoever does not see the picture. */
  tell(table) {
    const { times, total, names, series } = this.points;
    table.replaceChildren(
      element("thead", {}, element("tr", {}, ...["Time", "All", ...names.map((name) => name || "without a repository")].map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...times.map((time, n) => element("tr", {},
        element("td", {}, day(time)), ...[total, ...series].map((values) => element("td", { class: "number" }, humanSize(values[n])))))),
    );
  }
}
