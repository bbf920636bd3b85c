"use strict";
// Paper does not scroll, so tables that are wider than a sheet are made smaller while the page is printed.

(function print() {
  const root = document.documentElement;
  const style = document.getElementById("print-style");
  const SHEET = 970; // CSS pixels: the width between the margins of Letter in landscape, which is narrower than that of A4

  addEventListener("beforeprint", () => {
    // Until this event ends, the browser would measure tables with the style of the screen, so the print style is set here.
    root.classList.add("printing");
    style.media = "all";
    document.body.style.width = `${SHEET}px`;
    const tables = [...document.querySelectorAll(".wide > table")];
    const shares = tables.map((table) => Math.min(table.parentElement.clientWidth, SHEET) / table.offsetWidth);
    tables.forEach((table, i) => {
      // Rounded down by 1 %, because letters do not shrink evenly.
      if (shares[i] < 1) table.style.zoom = Math.floor(shares[i] * 990) / 1000;
    });
    document.body.style.width = ""; // the browser then uses the width of each sheet: those with figures are portrait
  });

  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    style.media = "print";
    for (const table of document.querySelectorAll(".wide > table")) table.style.zoom = "";
  });
})();
