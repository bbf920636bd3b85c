"use strict";
// A table that is wider than its box shows the columns that fit; the others unfold at a click. On paper all are shown.

(function columns() {
  /** What is known of a table: its box, its columns of row labels, its upper heads, and the units that fold. */
  function about(table) {
    const rows = [...table.tHead.rows];
    const last = [...rows.at(-1).cells];
    const labels = table.tBodies[0]?.rows[0]?.querySelectorAll("th").length ?? 0;
    const heads = rows.slice(0, -1).flatMap((row, level) => {
      let start = 0;
      return [...row.cells].map((cell) => {
        const head = { cell, level, start, end: start + cell.colSpan };
        start = head.end;
        return head;
      }).filter((head) => head.start >= labels);
    });
    return { table, box: table.parentElement, last, labels, heads, levels: rows.length - 1, shown: null, chosen: false };
  }

  /** Columns that fold together: those below one head, or, where these are too wide, each by itself. */
  function unitsOf(one, apart) {
    const named = (level, column) => one.heads
      .filter((head) => head.level <= level && head.start <= column && column < head.end)
      .map((head) => head.cell.textContent.trim());
    if (one.levels && !apart) {
      return one.heads.filter((head) => head.level === one.levels - 1).map(({ start, end }) => (
        { name: named(one.levels - 1, start).join(", "), start, end }
      ));
    }
    return one.last.slice(one.labels).map((head, i) => {
      const start = one.labels + i;
      const button = head.querySelector("button");
      const name = button.textContent.slice(button.querySelector(".tag")?.textContent.length ?? 0);
      return { name: [...named(one.levels, start), name].join(", "), start, end: start + 1 };
    });
  }

  const sum = (widths) => widths.reduce((total, width) => total + width, 0);

  /** How many units fit from the left; widths are those of a table that overflows, so that none can be narrower. */
  function fitting(one, units, widths, room) {
    let used = sum(widths.slice(0, one.labels));
    let count = 0;
    for (const { start, end } of units) {
      used += sum(widths.slice(start, end));
      if (used > room) break;
      count += 1;
    }
    return count;
  }

  /** Show some columns, and upper heads over as many as are left of theirs. */
  function show(one, isShown) {
    const columns = one.last.map((_, column) => column < one.labels || isShown(column));
    for (const row of [one.table.tHead.rows[one.levels], ...[...one.table.tBodies].flatMap((body) => [...body.rows])]) {
      columns.forEach((shown, column) => { row.cells[column].hidden = !shown; });
    }
    for (const { cell, start, end } of one.heads) {
      const count = columns.slice(start, end).filter(Boolean).length;
      cell.hidden = !count;
      cell.colSpan = Math.max(count, 1);
    }
  }

  const isOpen = (one) => (column) => one.units.some((unit) => unit.open && unit.start <= column && column < unit.end);

  function say(one) {
    const count = one.units.filter(({ open }) => open).length;
    const what = one.units.some(({ start, end }) => end - start > 1) ? "groups of columns" : "columns";
    one.summary.textContent = `${count} of ${one.units.length} ${what} shown; choose`;
  }

  /** The list of units with a box to tick, above the table. */
  function offer(one) {
    one.summary = Page.make("summary");
    const boxes = one.units.map((unit) => {
      const box = Page.make("input", { type: "checkbox" });
      box.checked = unit.open;
      box.addEventListener("change", () => {
        unit.open = box.checked;
        one.chosen = true;
        show(one, isOpen(one));
        say(one);
      });
      return Page.make("label", {}, box, unit.name);
    });
    one.list?.remove();
    one.list = Page.make("details", { class: "columns" }, one.summary, Page.make("div", {}, ...boxes));
    one.box.before(one.list);
    say(one);
  }

  function fit(one, { widths, room, wide }) {
    const fixed = sum(widths.slice(0, one.labels));
    if (wide <= room) {
      one.list?.remove();
      one.list = null;
      return;
    }
    one.units = unitsOf(one, false);
    let count = fitting(one, one.units, widths, room);
    if (!count) {
      one.units = unitsOf(one, true);
      count = Math.max(fitting(one, one.units, widths, room), 1);
    }
    one.units.forEach((unit, i) => { unit.open = i < count; });
    show(one, isOpen(one));
    // The row labels and one column are still too wide: words may break, see page.css.
    const needed = fixed + sum(widths.slice(one.units[0].start, one.units[0].end));
    one.table.classList.toggle("tight", needed > room);
    offer(one);
  }

  const all = [...document.querySelectorAll(".wide > table.sortable")].map(about);

  /** First whatever is written, then whatever is read, so that the browser lays the page out once. */
  function fitAll() {
    const open = all.filter(({ chosen }) => !chosen);
    open.filter(({ list }) => list).forEach((one) => {
      one.table.classList.remove("tight");
      show(one, () => true);
    });
    const measured = open.map((one) => ({
      room: one.box.clientWidth,
      wide: one.table.offsetWidth,
      widths: one.last.map((head) => head.getBoundingClientRect().width),
    }));
    open.forEach((one, i) => fit(one, measured[i]));
  }

  let width = innerWidth;
  fitAll();
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar comes and goes
    width = innerWidth;
    fitAll();
  });
  addEventListener("beforeprint", () => all.filter(({ list }) => list).forEach((one) => show(one, () => true)));
  addEventListener("afterprint", () => all.filter(({ list }) => list).forEach((one) => show(one, isOpen(one))));
})();
