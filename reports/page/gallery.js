"use strict";
// Test images under corruption with true and predicted masks. Only what is shown is decoded.

(function gallery() {
  const data = Page.read("gallery-data");
  if (!data) return;
  const scores = Page.read("scores-data");
  const byId = (id) => document.getElementById(id);
  const controls = {
    dataset: byId("gallery-dataset"), model: byId("gallery-model"), corruption: byId("gallery-corruption"),
    severity: byId("gallery-severity"), opacity: byId("gallery-opacity"),
  };
  const thumbnails = byId("gallery-images");
  const CLEAN = "/0";
  let pictures = null; // parsed when the first is shown
  let image = 0;

  const dataset = () => data.datasets[Number(controls.dataset.value)];
  const model = () => dataset().models[Number(controls.model.value)];
  const measured = () => scores?.datasets.find(({ title }) => title === dataset().title);
  const severities = () => dataset().severities; // fewer than were measured

  function url(number) {
    pictures ??= Page.read("gallery-pictures");
    return number === null || number === undefined ? "" : pictures[number];
  }

  /** The chosen severity as the slider counts: 0 is clean. */
  function position() {
    return controls.corruption.value === "" ? 0 : Number(controls.severity.value);
  }

  /** The position of the chosen severity in the lists of scores: 0 is clean. */
  function positionOfScores() {
    return position() === 0 ? 0 : 1 + (measured()?.severities ?? []).indexOf(severities()[position() - 1]);
  }

  function condition() {
    const at = position();
    return at === 0 ? CLEAN : `${controls.corruption.value}/${severities()[at - 1]}`;
  }

  function sayCondition() {
    const at = position();
    return at === 0 ? "clean" : `${controls.corruption.selectedOptions[0].textContent}, severity ${severities()[at - 1]}`;
  }

  function show(element, source, alt) {
    element.hidden = source === "";
    if (source === "") element.removeAttribute("src");
    else if (element.getAttribute("src") !== source) element.src = source;
    element.alt = alt;
  }

  function drawPictures() {
    const shown = dataset().images[image];
    const [picture, truth] = shown.pictures[condition()] ?? [null, null];
    const prediction = model().masks[condition()]?.[image];
    const where = `${shown.frame_id}, ${sayCondition()}`;
    show(byId("gallery-image"), url(picture), `Image ${where}`);
    for (const [name, mask] of [["truth", truth], ["prediction", prediction]]) {
      show(byId(`gallery-image-${name}`), url(picture), "");
      show(byId(`gallery-${name}`), url(mask), `${name === "truth" ? "True" : "Predicted"} mask of ${where}`);
    }
    const said = prediction === null || prediction === undefined ? "Prediction: this model gives no masks" : "Prediction";
    byId("gallery-prediction").closest("figure").querySelector("figcaption").textContent = said;
  }

  /** The score of the whole test split under the chosen condition. */
  function total(metric) {
    const found = measured()?.values[model().label]?.[metric];
    return (controls.corruption.value === "" ? Object.values(found ?? {})[0] : found?.[controls.corruption.value])?.[positionOfScores()] ?? null;
  }

  function drawScores() {
    const answer = model().answers[condition()]?.[image] ?? {};
    const rows = [];
    if (answer.activity) {
      const truth = dataset().images[image].activity;
      const verdict = answer.activity === truth ? `${answer.activity} ✓` : `${answer.activity} ✗ (true: ${truth})`;
      rows.push(["Activity", verdict, ""]);
    }
    for (const metric of measured()?.metrics ?? []) {
      const about = scores.metrics[metric];
      const own = answer[metric] === undefined || answer[metric] === null ? "–" : Page.say([answer[metric]], about);
      const whole = Page.say(total(metric), about);
      if (own !== "–" || whole !== "–") rows.push([Page.head(about), own, whole]);
    }
    const over = model().seeds > 1 ? `Whole test split, mean over ${model().seeds} seeds` : "Whole test split";
    const head = ["Score", "This image", over].map((text) => Page.make("th", { scope: "col" }, text));
    const body = rows.map(([name, own, whole]) => Page.make("tr", {},
      Page.make("th", { scope: "row" }, name), Page.make("td", {}, own), Page.make("td", {}, whole)));
    byId("gallery-scores").replaceChildren(
      Page.make("caption", { class: "unseen" }, "Scores of what is shown"),
      Page.make("thead", {}, Page.make("tr", {}, ...head)), Page.make("tbody", {}, ...body));
    byId("gallery-status").textContent =
      `${model().label}, ${sayCondition()}: ${rows.map(([name, own]) => `${name} ${own}`).join(", ")}`;
  }

  function draw() {
    const clean = controls.corruption.value === "";
    controls.severity.disabled = clean;
    const said = position() === 0 ? "clean" : String(severities()[position() - 1]);
    byId("gallery-severity-value").textContent = said;
    controls.severity.setAttribute("aria-valuetext", said);
    drawPictures();
    drawScores();
  }

  function fade() {
    byId("gallery-box").style.setProperty("--opacity", controls.opacity.value / 100);
    byId("gallery-opacity-value").textContent = `${controls.opacity.value} %`;
  }

  function press() {
    [...thumbnails.children].forEach((button, index) => button.setAttribute("aria-pressed", String(index === image)));
  }

  function listImages() {
    thumbnails.replaceChildren(...dataset().images.map((one, index) => {
      const [picture] = one.pictures[CLEAN] ?? Object.values(one.pictures)[0];
      const button = Page.make("button", { type: "button" },
        Page.make("img", { src: url(picture), alt: "" }), one.activity || one.frame_id);
      button.title = one.frame_id;
      button.addEventListener("click", () => { image = index; press(); draw(); });
      return button;
    }));
    press();
  }

  function changeDataset() {
    image = 0;
    const corruptions = (measured()?.choices ?? []).filter(({ key }) => `${key}/${severities()[0]}` in dataset().images[0].pictures);
    Page.fill(controls.model, dataset().models.map(({ label, cell, seeds }, index) => ({ key: index, label: seeds > 1 ? `${label} (${cell})` : label })));
    Page.fill(controls.corruption, [{ key: "", label: "none (clean)" }, ...corruptions]);
    controls.severity.max = severities().length;
    const legend = dataset().classes.map(([name, colour]) => {
      const swatch = Page.make("span", { class: "swatch" });
      swatch.style.background = colour;
      return Page.make("li", {}, swatch, name);
    });
    byId("gallery-legend").replaceChildren(...legend);
    listImages();
    draw();
  }

  function start() {
    Page.fill(controls.dataset, data.datasets.map(({ title }, index) => ({ key: index, label: title })));
    controls.severity.max = 9;
    changeDataset();
    // Something to see at once: the first corruption at a middle severity.
    const options = [...controls.corruption.options];
    if (options.length > 1) controls.corruption.value = options[1].value;
    controls.severity.value = Math.ceil(severities().length / 2);
    fade();
    draw();
    controls.dataset.addEventListener("change", changeDataset);
    controls.model.addEventListener("change", draw);
    controls.corruption.addEventListener("change", draw);
    controls.severity.addEventListener("input", draw);
    controls.opacity.addEventListener("input", fade);
  }

  Page.whenNear(byId("gallery-box"), start);
})();
