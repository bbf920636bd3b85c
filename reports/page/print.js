"use strict";
// Nothing scrolls on paper: a table that is wider than a sheet is made smaller for as long as the page prints.

(function print() {
  const root = document.documentElement;
  const style = document.getElementById("print-style");
  const SHEET = 970; // CSS pixels between the margins: Letter in landscape, the narrower of the two usual papers

  addEventListener("beforeprint", () => {
    // The screen's rules hold until this event is over, and its widths tell nothing of paper.
    root.classList.add("printing");
    style.media = "all";
    document.body.style.width = `${SHEET}px`;
    const tables = [...document.querySelectorAll(".wide > table")];
    const shares = tables.map((table) => Math.min(table.parentElement.clientWidth, SHEET) / table.offsetWidth);
    tables.forEach((table, i) => {
      // Rounded down, with room for letters that do not shrink evenly.
      if (shares[i] < 1) table.style.zoom = Math.floor(shares[i] * 990) / 1000;
    });
    document.body.style.width = ""; // sheets differ: figures stand upright
  });

  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    style.media = "print";
    for (const table of document.querySelectorAll(".wide > table")) table.style.zoom = "";
  });
})();
