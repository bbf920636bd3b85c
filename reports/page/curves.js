"use strict";
// Scores against severity: one line per model, with the band of its interval.

(function curves() {
  const data = Page.read("scores-data");
  if (!data) return;
  const byId = (id) => document.getElementById(id);
  const controls = { dataset: byId("curves-dataset"), metric: byId("curves-metric"), corruption: byId("curves-corruption") };
  const bands = byId("curves-bands");
  const models = byId("curves-models");
  // Each model has its own combination of colour, dash and marker, so that readers need not rely on the colour.
  const COLOURS = 6;
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const MARKERS = ["circle", "rect", "triangle", "rectRot", "crossRot"];
  const SHOWN_AT_FIRST = 8; // models
  let chart = null;

  const dataset = () => data.datasets[Number(controls.dataset.value)];
  const metric = () => data.metrics[controls.metric.value];
  const look = (index) => ({
    colour: Page.colour(`--series-${(index % COLOURS) + 1}`),
    dash: DASHES[(index + Math.floor(index / COLOURS)) % DASHES.length],
    marker: MARKERS[index % MARKERS.length],
  });

  /** Return the points of a model for the selected metric and corruption, as shares or pixels; null if there are none. */
  function series(model) {
    return dataset().values[model]?.[controls.metric.value]?.[controls.corruption.value] ?? null;
  }

  function selectedModels() {
    return [...models.querySelectorAll("input:checked")].map((input) => input.value);
  }

  function lines() {
    const scale = metric().scale;
    return selectedModels().flatMap((model) => {
      const points = series(model);
      if (!points) return [];
      const { colour, dash, marker } = look(dataset().models.indexOf(model));
      const line = {
        label: model, points, data: points.map((p) => (p ? p[0] * scale : null)),
        borderColor: colour, backgroundColor: colour, borderDash: dash, pointStyle: marker,
        borderWidth: 2.5, pointRadius: 5, pointHoverRadius: 7, pointBorderWidth: 2, order: 1, clip: 10,
      };
      if (!bands.checked || !points.some((p) => p && p.length === 3)) return [line];
      const edge = (i) => ({
        label: "", data: points.map((p) => (p && p.length === 3 ? p[i] * scale : null)),
        borderWidth: 0, pointRadius: 0, pointHitRadius: 0, pointHoverRadius: 0, order: 2,
      });
      return [line, edge(1), { ...edge(2), fill: "-1", backgroundColor: colour + "2e" }];
    });
  }

  function axis(text, more = {}) {
    const quiet = Page.colour("--quiet");
    return {
      title: { display: true, text, color: quiet }, ticks: { color: quiet },
      grid: { color: Page.colour("--line") }, border: { color: Page.colour("--strong-line") }, ...more,
    };
  }

  function options() {
    const share = metric().unit === "%";
    return {
      animation: false, responsive: true, maintainAspectRatio: false,
      interaction: { mode: "nearest", axis: "xy", intersect: false },
      scales: {
        x: axis("Severity (0: clean)"),
        y: axis(Page.head(metric()), share ? { min: 0, max: 100 } : { beginAtZero: true }),
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          filter: (item) => item.dataset.label !== "",
          callbacks: {
            title: (items) => (items.length ? `Severity ${items[0].label}` : ""),
            label: (item) => ` ${item.dataset.label}: ${Page.say(item.dataset.points[item.dataIndex], metric())}`,
          },
        },
      },
    };
  }

  function draw() {
    const labels = [0, ...dataset().severities].map(String);
    const content = { labels, datasets: lines() };
    if (chart) {
      chart.data = content;
      chart.options = options();
      chart.update("none");
    } else {
      chart = new Chart(byId("curves-chart"), { type: "line", data: content, options: options() });
    }
    const { higher } = metric();
    const better = higher === null ? "" : `; ${higher ? "higher" : "lower"} is better`;
    const what = controls.corruption.selectedOptions[0].textContent;
    const caption = `${Page.head(metric())} against severity on ${dataset().title}, ${what}${better}.`;
    byId("curves-caption").textContent = caption;
    byId("curves-chart").setAttribute("aria-label", `${caption} The table below has the values.`);
    writeValues(labels);
  }

  /** Write the shown values as a table, for readers who cannot see the chart or point at it. */
  function writeValues(labels) {
    const head = Page.make("tr", {}, Page.make("th", { scope: "col" }, "Model"),
      ...labels.map((label) => Page.make("th", { scope: "col", "data-kind": "number" }, label === "0" ? "clean" : label)));
    const rows = selectedModels().map((model) => {
      const points = series(model) ?? labels.map(() => null);
      return Page.make("tr", {}, Page.make("th", { scope: "row" }, model), ...points.map((p) => Page.make("td", {}, Page.say(p, metric()))));
    });
    byId("curves-values").replaceChildren(
      Page.make("caption", { class: "unseen" }, `${Page.head(metric())} by severity`),
      Page.make("thead", {}, head), Page.make("tbody", {}, ...rows));
  }

  /** Return a sample of the model's line, as the chart draws it. */
  function sample(index) {
    const { dash, marker } = look(index);
    const shapes = {
      circle: '<circle cx="20" cy="8" r="4.5"/>', rect: '<rect x="15.5" y="3.5" width="9" height="9"/>',
      triangle: '<path d="M20 2.5 25.5 12.5h-11z"/>', rectRot: '<path d="M20 2 26 8 20 14 14 8z"/>',
      crossRot: '<path d="M16 4 24 12M24 4 16 12" stroke-width="2.5"/>',
    };
    const box = document.createElement("span");
    box.innerHTML = `<svg viewBox="0 0 40 16" aria-hidden="true" fill="var(--series-${(index % COLOURS) + 1})"`
      + ` stroke="var(--series-${(index % COLOURS) + 1})"><path d="M1 8H39" stroke-width="2.5" stroke-dasharray="${dash.join(" ")}"/>${shapes[marker]}</svg>`;
    return box.firstChild;
  }

  function listModels() {
    const before = new Set(selectedModels());
    const names = dataset().models;
    const keepSelection = names.some((name) => before.has(name));
    models.replaceChildren(...names.map((name, index) => {
      const input = Page.make("input", { type: "checkbox", value: name });
      input.checked = keepSelection ? before.has(name) : index < SHOWN_AT_FIRST;
      return Page.make("label", {}, input, sample(index), name);
    }));
  }

  function changeDataset() {
    Page.fill(controls.metric, dataset().metrics.map((key) => ({ key, label: Page.head(data.metrics[key]) })));
    Page.fill(controls.corruption, dataset().choices);
    listModels();
    draw();
  }

  function start() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Page.fill(controls.dataset, data.datasets.map(({ title }, index) => ({ key: index, label: title })));
    changeDataset();
    controls.dataset.addEventListener("change", changeDataset);
    for (const control of [controls.metric, controls.corruption, bands, models]) control.addEventListener("change", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    // Printing has other colours and another width than the screen.
    const redraw = () => {
      draw();
      chart.resize();
    };
    addEventListener("beforeprint", redraw);
    addEventListener("afterprint", redraw);
  }

  Page.whenNear(byId("curves-box"), start);
})();
