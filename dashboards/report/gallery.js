// The gallery: lays map over image, filters by category, kind and defect, and enlarges what is clicked.
"use strict";
(() => {
  const gallery = document.getElementById("gallery"), dialog = document.getElementById("enlarged");
  if (!gallery || !dialog) return;
  const items = [...gallery.querySelectorAll("article")];

  // A picture that exists twice in the page would weigh twice in the file: the overlay is made here.
  for (const item of items) {
    const [image, map] = ["image", "map"].map((name) => item.querySelector(`[data-picture=${name}] img`));
    const place = item.querySelector("[data-picture=overlay]");
    if (image && map) {
      const upper = map.cloneNode();
      upper.className = "over";
      upper.alt = "";
      place.querySelector(".stack").replaceChildren(image.cloneNode(), upper, ...[...item.querySelectorAll("[data-picture=image] .outline")].map((one) => one.cloneNode()));
      place.querySelector("img").alt = image.alt.replace(/^image/, "map over image");
    }
    place.hidden = !(image && map);
    item.tabIndex = 0;
    item.setAttribute("role", "button");
    item.setAttribute("aria-label", `Enlarge ${item.querySelector(".caption").textContent.replace(/\s+/g, " ").trim()}`);
  }

  // ---- filters ----
  const bar = gallery.querySelector(".filters"), selects = [...bar.querySelectorAll("select")];
  function filter() {
    const wanted = Object.fromEntries(selects.map((select) => [select.dataset.filter, select.value]));
    const fits = (item) => Object.entries(wanted).every(([name, value]) => value === "" || item.dataset[name] === value);
    for (const item of items) item.hidden = !fits(item);
    for (const group of gallery.querySelectorAll(".gallery-group, .gallery-kind")) {
      const own = [...group.querySelectorAll("article")];
      const asked = ["category", "kind"].every((name) => !group.dataset[name] || wanted[name] === "" || group.dataset[name] === wanted[name]);
      // That there is nothing is said where it was not the filter that took it.
      group.hidden = !asked || (own.some((item) => item.hidden) && own.every((item) => item.hidden)) || (own.length === 0 && wanted.defect !== "");
    }
    const shown = items.filter((item) => !item.hidden).length;
    bar.querySelector("output").textContent = `${shown} of ${items.length} images`;
    gallery.querySelector("[data-nothing]").hidden = shown > 0 || items.length === 0;
  }
  selects.forEach((select) => select.addEventListener("change", filter));
  document.addEventListener("pick", ({ detail }) => {
    selects[0].value = detail;
    filter();
  });
  bar.hidden = items.length === 0;
  // The category that is shown above.
  selects[0].value = "0";
  filter();

  // ---- enlarging ----
  let at = null;
  function show(item) {
    at = item;
    dialog.querySelector(".caption").replaceChildren(...[...item.querySelector(".caption").cloneNode(true).childNodes]);
    dialog.querySelector(".pictures").replaceChildren(...[...item.querySelectorAll("[data-picture]:not([hidden])")].map((one) => one.cloneNode(true)));
    if (!dialog.open) dialog.showModal();
  }
  function step(by) {
    const shown = items.filter((item) => !item.hidden);
    show(shown[(shown.indexOf(at) + by + shown.length) % shown.length]);
  }
  gallery.addEventListener("click", (event) => {
    const item = event.target.closest("article");
    if (item) show(item);
  });
  gallery.addEventListener("keydown", (event) => {
    if (event.target.matches("article") && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      show(event.target);
    }
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      event.preventDefault();
      step(by);
    }
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target === dialog || (button && "close" in button.dataset)) dialog.close();
    else if (button) step(Number(button.dataset.step));
  });
  // Escape closes a dialog by itself.
  dialog.addEventListener("close", () => at && at.focus());
})();
