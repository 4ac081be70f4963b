// Sorts tables by the column whose head is pressed. Rows that unfold from another one move with it.
"use strict";
(() => {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    // A body a group of rows, of which the first one counts; or one body, whose rows count each for itself.
    const bodies = [...table.tBodies];
    const groups = () => (bodies.length > 1 ? [...table.tBodies] : [...bodies[0].rows]);
    if (groups().length < 2) continue;
    const value = (group, column) => {
      const cell = (group.rows?.[0] ?? group).cells[column];
      const text = (cell.dataset.value ?? cell.textContent).trim();
      return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
    };
    // Numbers among themselves, words among themselves; words (failed, n/d, nothing) after numbers, whichever way.
    const compare = (a, b, sign) =>
      typeof a === typeof b
        ? sign * (typeof a === "number" ? a - b : a.localeCompare(b))
        : (typeof a === "number" ? -1 : 1);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sorted = groups().sort((a, b) => compare(value(a, column), value(b, column), down ? -1 : 1));
        if (bodies.length > 1) {
          // Before the row of means, which stays last.
          for (const group of sorted) table.insertBefore(group, table.tFoot);
        } else {
          bodies[0].append(...sorted);
        }
      });
    });
  }
})();
