"use strict";
// Readers sort a table by a click or Enter on a column head, and filter its rows with a text box.

(function tables() {
  const isDash = (text) => ["", "-", "–", "—"].includes(text);

  /** Return the sort key of a cell: a number, a text, or null for a dash. */
  function keyOf(row, column, numeric) {
    const cell = row.cells[column];
    const key = cell.dataset.key ?? cell.textContent.trim();
    if (isDash(key)) return null;
    return numeric ? Number(key) : cell.textContent.trim();
  }

  /** Compare two sort keys; dashes come last in both directions. */
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number") return sign * (a - b);
    return sign * a.localeCompare(b, "en", { numeric: true });
  }

  function sortBy(body, original, column, numeric, direction) {
    if (direction === "none") return body.append(...original);
    const sign = direction === "ascending" ? 1 : -1;
    const keys = new Map(original.map((row) => [row, keyOf(row, column, numeric)]));
    body.append(...[...original].sort((a, b) => compare(keys.get(a), keys.get(b), sign)));
  }

  function setUpSorting(table) {
    const body = table.tBodies[0];
    let original = null; // the rows in their original order
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    heads.forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      head.querySelector("button").addEventListener("click", () => {
        const direction = next[head.getAttribute("aria-sort")];
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", direction);
        original ??= [...body.rows];
        sortBy(body, original, column, head.dataset.kind === "number", direction);
      });
    });
  }

  function setUpFilter(block) {
    const input = block.querySelector("input[type=search]");
    if (!input) return;
    const rows = [...block.querySelectorAll("tbody tr")];
    let texts = null;
    const output = block.querySelector("output");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      texts ??= rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      output.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  document.querySelectorAll("table.sortable").forEach(setUpSorting);
  document.querySelectorAll(".table-block").forEach(setUpFilter);
})();
