"use strict";
// Test images under corruption with true and predicted masks. Pictures are decoded only when they are shown.

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
  let pictures = null; // read when the first picture is shown
  let image = 0;

  const dataset = () => data.datasets[Number(controls.dataset.value)];
  const model = () => dataset().models[Number(controls.model.value)];
  const measured = () => scores?.datasets.find(({ title }) => title === dataset().title);
  const severities = () => dataset().severities; // those with pictures; scores may have more

  function url(number) {
    pictures ??= Page.read("gallery-pictures");
    return number === null || number === undefined ? "" : pictures[number];
  }

  /** Return the position of the slider: 0 is clean, 1 the first of the gallery's severities. */
  function position() {
    return controls.corruption.value === "" ? 0 : Number(controls.severity.value);
  }

  /** Return the position of the selected severity in the lists of scores: 0 is clean. */
  function positionOfScores() {
    return position() === 0 ? 0 : 1 + (measured()?.severities ?? []).indexOf(severities()[position() - 1]);
  }

  function condition() {
    const at = position();
    return at === 0 ? CLEAN : `${controls.corruption.value}/${severities()[at - 1]}`;
  }

  function conditionInWords() {
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
    const where = `${shown.frame_id}, ${conditionInWords()}`;
    show(byId("gallery-image"), url(picture), `Image ${where}`);
    for (const [name, mask] of [["truth", truth], ["prediction", prediction]]) {
      show(byId(`gallery-image-${name}`), url(picture), "");
      show(byId(`gallery-${name}`), url(mask), `${name === "truth" ? "True" : "Predicted"} mask of ${where}`);
    }
    const caption = prediction === null || prediction === undefined ? "Prediction: this model predicts no masks" : "Prediction";
    byId("gallery-prediction").closest("figure").querySelector("figcaption").textContent = caption;
  }

  /** Return the score of the whole test split under the selected condition; all corruptions have the same clean score. */
  function scoreOfSplit(metric) {
    const byCorruption = measured()?.values[model().label]?.[metric] ?? {};
    const { value } = controls.corruption;
    const scoresBySeverity = value === "" ? Object.values(byCorruption)[0] : byCorruption[value];
    return scoresBySeverity?.[positionOfScores()] ?? null;
  }

  function drawScores() {
    const result = model().results[condition()]?.[image] ?? {};
    const rows = [];
    if (result.activity) {
      const truth = dataset().images[image].activity;
      const verdict = result.activity === truth ? `${result.activity} ✓` : `${result.activity} ✗ (true: ${truth})`;
      rows.push(["Activity", verdict, ""]);
    }
    for (const metric of measured()?.metrics ?? []) {
      const description = scores.metrics[metric];
      const own = result[metric] === undefined || result[metric] === null ? "–" : Page.say([result[metric]], description);
      const ofSplit = Page.say(scoreOfSplit(metric), description);
      if (own !== "–" || ofSplit !== "–") rows.push([Page.head(description), own, ofSplit]);
    }
    const over = model().seeds > 1 ? `Whole test split, mean over ${model().seeds} seeds` : "Whole test split";
    const head = ["Score", "This image", over].map((text) => Page.make("th", { scope: "col" }, text));
    const body = rows.map(([name, own, ofSplit]) => Page.make("tr", {},
      Page.make("th", { scope: "row" }, name), Page.make("td", {}, own), Page.make("td", {}, ofSplit)));
    byId("gallery-scores").replaceChildren(
      Page.make("caption", { class: "unseen" }, "Scores of the shown image and of the test split"),
      Page.make("thead", {}, Page.make("tr", {}, ...head)), Page.make("tbody", {}, ...body));
    byId("gallery-status").textContent =
      `${model().label}, ${conditionInWords()}: ${rows.map(([name, own]) => `${name} ${own}`).join(", ")}`;
  }

  function draw() {
    const clean = controls.corruption.value === "";
    controls.severity.disabled = clean;
    const severity = position() === 0 ? "clean" : String(severities()[position() - 1]);
    byId("gallery-severity-value").textContent = severity;
    controls.severity.setAttribute("aria-valuetext", severity);
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
    // At first, show the first corruption at a middle severity.
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
