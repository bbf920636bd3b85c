"use strict";
// A table that is wider than its box shows the columns that fit; a reader can choose others. A printed table shows all columns.

(function columns() {
  /** Describe a table: its box, its number of label columns, its upper heads, and whether the reader chose its columns. */
  function describe(table) {
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

  /** Return the groups of columns that are shown or hidden together: the columns below one head, or each column alone. */
  function groupsOf(one, alone) {
    const named = (level, column) => one.heads
      .filter((head) => head.level <= level && head.start <= column && column < head.end)
      .map((head) => head.cell.textContent.trim());
    if (one.levels && !alone) {
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

  /** Count the groups that fit, from the left. The widths are those of an overflowing table, in which columns are as narrow as possible. */
  function fitting(one, groups, widths, room) {
    let used = sum(widths.slice(0, one.labels));
    let count = 0;
    for (const { start, end } of groups) {
      used += sum(widths.slice(start, end));
      if (used > room) break;
      count += 1;
    }
    return count;
  }

  /** Show the columns for which `isShown` is true; an upper head spans those of its columns that are shown. */
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

  const isOpen = (one) => (column) => one.groups.some((group) => group.open && group.start <= column && column < group.end);

  function writeSummary(one) {
    const count = one.groups.filter(({ open }) => open).length;
    const what = one.groups.some(({ start, end }) => end - start > 1) ? "groups of columns" : "columns";
    one.summary.textContent = `${count} of ${one.groups.length} ${what} shown; choose`;
  }

  /** Write the list of groups, each with a box to tick, above the table. */
  function listGroups(one) {
    one.summary = Page.make("summary");
    const boxes = one.groups.map((group) => {
      const box = Page.make("input", { type: "checkbox" });
      box.checked = group.open;
      box.addEventListener("change", () => {
        group.open = box.checked;
        one.chosen = true;
        show(one, isOpen(one));
        writeSummary(one);
      });
      return Page.make("label", {}, box, group.name);
    });
    one.list?.remove();
    one.list = Page.make("details", { class: "columns" }, one.summary, Page.make("div", {}, ...boxes));
    one.box.before(one.list);
    writeSummary(one);
  }

  function fit(one, { widths, room, wide }) {
    const fixed = sum(widths.slice(0, one.labels));
    if (wide <= room) {
      one.list?.remove();
      one.list = null;
      return;
    }
    one.groups = groupsOf(one, false);
    let count = fitting(one, one.groups, widths, room);
    if (!count) {
      one.groups = groupsOf(one, true);
      count = Math.max(fitting(one, one.groups, widths, room), 1);
    }
    one.groups.forEach((group, i) => { group.open = i < count; });
    show(one, isOpen(one));
    // If the row labels and the first group alone are too wide, words may break: see page.css.
    const needed = fixed + sum(widths.slice(one.groups[0].start, one.groups[0].end));
    one.table.classList.toggle("tight", needed > room);
    listGroups(one);
  }

  const all = [...document.querySelectorAll(".wide > table.sortable")].map(describe);

  /** Fit all tables. All changes come before all measurements, so that the browser computes the layout only once. */
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
    if (innerWidth === width) return; // only the height changed: a phone shows or hides its address bar
    width = innerWidth;
    fitAll();
  });
  addEventListener("beforeprint", () => all.filter(({ list }) => list).forEach((one) => show(one, () => true)));
  addEventListener("afterprint", () => all.filter(({ list }) => list).forEach((one) => show(one, isOpen(one))));
})();
