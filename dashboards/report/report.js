// Draws charts when they come into view, shows one category at a time, sorts tables. Without it the page is still whole.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // ---- charts ----
  const config = {
    responsive: true,
    displaylogo: false,
    // On a touch screen the bar would always be there, over the legend.
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    // Plotly offers by default to upload the chart to its makers. These are somebody's products.
    showSendToCloud: false,
    plotlyServerURL: "",
  };
  const logFpr = document.getElementById("log-fpr");
  const drawn = new Set();

  function draw(plot) {
    const figure = plot.closest("figure");
    try {
      const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
      const ink = colour("--ink"), soft = colour("--soft"), grid = colour("--grid"), page = colour("--page");
      layout.font = { color: ink };
      layout.hoverlabel = { bgcolor: page, bordercolor: soft, font: { color: ink } };
      layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink };
      for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
        Object.assign(layout[key], { gridcolor: grid, linecolor: soft, tickcolor: soft });
      }
      if (logFpr.checked && "fpr" in figure.dataset) {
        Object.assign(layout.xaxis, { type: "log", range: [-4, Math.log10(layout.xaxis.range[1])], dtick: 1, exponentformat: "none" });
      }
      Plotly.react(plot, data, layout, config);
      drawn.add(plot);
    } catch (error) {
      plot.textContent = `This chart could not be drawn: ${error.message}`;
      plot.classList.add("plot-error");
    }
  }
  const redraw = () => drawn.forEach(draw);

  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        watcher.unobserve(target);
        target.replaceChildren();
        draw(target);
      }
    }
  }, { rootMargin: "600px" });
  all(".plot").forEach((plot) => watcher.observe(plot));

  logFpr.parentElement.hidden = false;
  logFpr.addEventListener("change", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    all(".plot").filter((plot) => plot.offsetParent && !drawn.has(plot)).forEach(draw);
    redraw();
  });
  addEventListener("afterprint", redraw);

  // ---- one category at a time ----
  const picker = document.querySelector(".picker");
  function pick(index) {
    all(".panel").forEach((panel) => panel.classList.toggle("chosen", panel.dataset.panel === index));
    all(".picker button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.pick === index));
  }
  all("[data-pick]").forEach((element) => element.addEventListener("click", () => pick(element.dataset.pick)));
  if (picker) picker.hidden = false;
  pick("0");

  // ---- sortable tables ----
  for (const table of all("table[data-sortable]")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent;
      return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
    };
    // Numbers among themselves, words among themselves, words (failed, n/d, nothing) after numbers.
    const compare = (a, b) =>
      typeof a === typeof b
        ? (typeof a === "number" ? a - b : a.localeCompare(b))
        : (typeof a === "number" ? -1 : 1);
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }
})();
