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
  function groupsOf(state, alone) {
    const named = (level, column) => state.heads
      .filter((head) => head.level <= level && head.start <= column && column < head.end)
      .map((head) => head.cell.textContent.trim());
    if (state.levels && !alone) {
      return state.heads.filter((head) => head.level === state.levels - 1).map(({ start, end }) => (
        { name: named(state.levels - 1, start).join(", "), start, end }
      ));
    }
    return state.last.slice(state.labels).map((head, i) => {
      const start = state.labels + i;
      const button = head.querySelector("button");
      const name = button.textContent.slice(button.querySelector(".tag")?.textContent.length ?? 0);
      return { name: [...named(state.levels, start), name].join(", "), start, end: start + 1 };
    });
  }

  const sum = (widths) => widths.reduce((total, width) => total + width, 0);

  /** Count the groups that fit, from the left. The widths are those of an overflowing table, in which columns are as narrow as possible. */
  function fitting(state, groups, widths, room) {
    let used = sum(widths.slice(0, state.labels));
    let count = 0;
    for (const { start, end } of groups) {
      used += sum(widths.slice(start, end));
      if (used > room) break;
      count += 1;
    }
    return count;
  }

  /** Show the columns for which `isShown` is true; an upper head spans those of its columns that are shown. */
  function show(state, isShown) {
    const columns = state.last.map((_, column) => column < state.labels || isShown(column));
    for (const row of [state.table.tHead.rows[state.levels], ...[...state.table.tBodies].flatMap((body) => [...body.rows])]) {
      columns.forEach((shown, column) => { row.cells[column].hidden = !shown; });
    }
    for (const { cell, start, end } of state.heads) {
      const count = columns.slice(start, end).filter(Boolean).length;
      cell.hidden = !count;
      cell.colSpan = Math.max(count, 1);
    }
  }

  const isOpen = (state) => (column) => state.groups.some((group) => group.open && group.start <= column && column < group.end);

  function writeSummary(state) {
    const count = state.groups.filter(({ open }) => open).length;
    const what = state.groups.some(({ start, end }) => end - start > 1) ? "groups of columns" : "columns";
    state.summary.textContent = `${count} of ${state.groups.length} ${what} shown; choose`;
  }

  /** Write the list of groups, each with a box to tick, above the table. */
  function listGroups(state) {
    state.summary = Page.make("summary");
    const boxes = state.groups.map((group) => {
      const box = Page.make("input", { type: "checkbox" });
      box.checked = group.open;
      box.addEventListener("change", () => {
        group.open = box.checked;
        state.chosen = true;
        show(state, isOpen(state));
        writeSummary(state);
      });
      return Page.make("label", {}, box, group.name);
    });
    state.list?.remove();
    state.list = Page.make("details", { class: "columns" }, state.summary, Page.make("div", {}, ...boxes));
    state.box.before(state.list);
    writeSummary(state);
  }

  function fit(state, { widths, room, wide }) {
    const fixed = sum(widths.slice(0, state.labels));
    if (wide <= room) {
      state.list?.remove();
      state.list = null;
      return;
    }
    state.groups = groupsOf(state, false);
    let count = fitting(state, state.groups, widths, room);
    if (!count) {
      state.groups = groupsOf(state, true);
      count = Math.max(fitting(state, state.groups, widths, room), 1);
    }
    state.groups.forEach((group, i) => { group.open = i < count; });
    show(state, isOpen(state));
    // If the row labels and the first group alone are too wide, words may break: see page.css.
    const needed = fixed + sum(widths.slice(state.groups[0].start, state.groups[0].end));
    state.table.classList.toggle("tight", needed > room);
    listGroups(state);
  }

  const all = [...document.querySelectorAll(".wide > table.sortable")].map(describe);

  /** Fit all tables. All changes come before all measurements, so that the browser computes the layout only once. */
  function fitAll() {
    const open = all.filter(({ chosen }) => !chosen);
    open.filter(({ list }) => list).forEach((state) => {
      state.table.classList.remove("tight");
      show(state, () => true);
    });
    const measured = open.map((state) => ({
      room: state.box.clientWidth,
      wide: state.table.offsetWidth,
      widths: state.last.map((head) => head.getBoundingClientRect().width),
    }));
    open.forEach((state, i) => fit(state, measured[i]));
  }

  let width = innerWidth;
  fitAll();
  addEventListener("resize", () => {
    if (innerWidth === width) return; // only the height changed: a phone shows or hides its address bar
    width = innerWidth;
    fitAll();
  });
  addEventListener("beforeprint", () => all.filter(({ list }) => list).forEach((state) => show(state, () => true)));
  addEventListener("afterprint", () => all.filter(({ list }) => list).forEach((state) => show(state, isOpen(state))));
})();
