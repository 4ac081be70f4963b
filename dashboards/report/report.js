// Draws charts when they come into view, shows one category at a time. Without it the page is still whole.
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
  // Pixels between the margins of a sheet of A4 or letter size.
  const PAPER = 700;
  let printing = false;

  function draw(plot) {
    const figure = plot.closest("figure");
    plot.querySelector("noscript")?.remove();
    try {
      const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
      const ink = colour("--ink"), soft = colour("--soft"), grid = colour("--grid"), page = colour("--page");
      layout.font = { color: ink };
      layout.hoverlabel = { bgcolor: page, bordercolor: soft, font: { color: ink } };
      layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink };
      for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
        const axis = Object.assign(layout[key], { gridcolor: grid, linecolor: soft, tickcolor: soft });
        if (axis.type === "log" && axis.tickvals && plot.clientWidth < 520) {
          // There is room for the powers of ten alone.
          const kept = axis.ticktext.map((text) => /^(0\.0*)?10*$|^1e/.test(text));
          if (kept.some(Boolean)) axis.ticktext = axis.ticktext.map((text, index) => (kept[index] ? text : ""));
        }
      }
      if (logFpr?.checked && "fpr" in figure.dataset) {
        Object.assign(layout.xaxis, { type: "log", range: [-4, Math.log10(layout.xaxis.range[1])], dtick: 1, exponentformat: "none" });
      }
      layout.shapes = [...(layout.shapes ?? []), ...marks(plot)];
      if (printing) layout.width = Math.min(plot.clientWidth, PAPER);
      Plotly.react(plot, data, layout, config);
      drawn.add(plot);
    } catch (error) {
      plot.textContent = `This chart could not be drawn: ${error.message}`;
      plot.classList.add("plot-error");
    }
  }
  // Lines that other parts of the page put on a chart, as that of the threshold slider.
  const marks = (plot) => (plot.marks ?? []).map((mark) => ({ ...mark, line: { ...mark.line, color: colour("--ink") } }));
  document.addEventListener("mark", ({ target, detail }) => {
    target.marks = detail;
    if (drawn.has(target)) draw(target);
  }, true);
  const redraw = () => drawn.forEach(draw);

  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        watcher.unobserve(target);
        if (!drawn.has(target)) draw(target);
      }
    }
  }, { rootMargin: "600px" });
  all(".plot").forEach((plot) => watcher.observe(plot));

  if (logFpr) {
    logFpr.parentElement.hidden = false;
    logFpr.addEventListener("change", redraw);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("theme", redraw);
  // Paper is white, and narrower than many a screen. Charts are drawn for it before the style of print holds, so with the
  // theme that is like it, and with a width that fits.
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    printing = true;
    root.dataset.theme = "light";
    all(".plot").filter((plot) => plot.offsetParent && !drawn.has(plot)).forEach(draw);
    redraw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    if (before === undefined) delete root.dataset.theme; else root.dataset.theme = before;
    // A width that was given once stays otherwise.
    drawn.forEach((plot) => Plotly.purge(plot));
    redraw();
  });

  // ---- one category at a time ----
  const picker = document.querySelector(".picker");
  function pick(index) {
    document.dispatchEvent(new CustomEvent("pick", { detail: index }));
    all(".panel").forEach((panel) => panel.classList.toggle("chosen", panel.dataset.panel === index));
    all(".picker button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.pick === index));
  }
  all("[data-pick]").forEach((element) => element.addEventListener("click", () => pick(element.dataset.pick)));
  if (picker) picker.hidden = false;
  pick("0");
})();
