// On a narrow screen each row of a list is a card, and the names of the columns stand before its cells: written as they are
// above the columns on a wide one.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const cell of document.querySelectorAll("[data-label]")) {
    const name = cell.dataset.label;
    cell.dataset.label = name.charAt(0).toUpperCase() + name.slice(1);
  }
});
