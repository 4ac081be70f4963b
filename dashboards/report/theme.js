// The theme: that of the machine, or the one that was chosen here. Runs before the page is drawn.
"use strict";
(() => {
  const root = document.documentElement, names = ["auto", "light", "dark"];
  const key = "raysuite-theme";
  let chosen = "auto";
  try {
    chosen = localStorage.getItem(key) ?? "auto";
  } catch {
    // A page that lies on a disk has no storage in some browsers: it forgets.
  }
  const button = document.getElementById("theme");
  function set(name, remember) {
    chosen = names.includes(name) ? name : "auto";
    if (chosen === "auto") delete root.dataset.theme; else root.dataset.theme = chosen;
    button.textContent = `Theme: ${chosen}`;
    try {
      if (remember) localStorage.setItem(key, chosen);
    } catch {
      // As above.
    }
    document.dispatchEvent(new Event("theme"));
  }
  button.addEventListener("click", () => set(names[(names.indexOf(chosen) + 1) % names.length], true));
  button.hidden = false;
  set(chosen, false);
})();
