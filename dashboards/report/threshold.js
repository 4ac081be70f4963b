// The threshold slider: counts images on either side of a threshold. A step of the slider is one image.
"use strict";
(() => {
  const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(1) : "n/d");

  // The number of sorted values above a threshold, by halving.
  function above(values, threshold) {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] > threshold) high = middle; else low = middle + 1;
    }
    return values.length - low;
  }

  // A threshold between each two neighbouring scores; where the detector's own falls, that itself.
  function stops({ good, defect, threshold }) {
    const values = [...new Set([...good, ...defect])].sort((a, b) => a - b);
    const places = values.map((value, index) => (index + 1 < values.length
      ? (value > 0 ? Math.sqrt(value * values[index + 1]) : (value + values[index + 1]) / 2) : value));
    places.unshift(values[0] > 0 ? values[0] * 0.9 : values[0] - Math.abs(values[0]) * 0.1 - 1e-9);
    const own = values.filter((value) => value <= threshold).length;
    places[own] = threshold;
    return { places, own };
  }

  for (const box of document.querySelectorAll(".threshold")) {
    const seeds = JSON.parse(box.querySelector("script").textContent).map((one) => ({ ...one, ...stops(one) }));
    const slider = box.querySelector("input[type=range]"), choice = box.querySelector("select");
    const plot = box.closest(".panel").querySelector(".plot");
    const out = (name, text) => { box.querySelector(`[data-out=${name}]`).textContent = text; };
    let seed;

    function show() {
      const threshold = seed.places[Number(slider.value)];
      const own = Number(slider.value) === seed.own;
      // Of very many images, some stand for all.
      const caught = Math.round(above(seed.defect, threshold) * seed.n_defect / seed.defect.length);
      const alarms = Math.round(above(seed.good, threshold) * seed.n_good / seed.good.length);
      const recall = percent(caught, seed.n_defect), precision = percent(caught, caught + alarms);
      const rate = percent(alarms, seed.n_good);
      out("threshold", threshold.toPrecision(4));
      out("caught", `${caught} of ${seed.n_defect}`);
      out("alarms", `${alarms} of ${seed.n_good}`);
      out("recall", recall);
      out("precision", precision);
      out("rate", rate);
      box.classList.toggle("moved", !own);
      box.querySelector("button").disabled = own;
      slider.setAttribute("aria-valuetext",
        `threshold ${threshold.toPrecision(4)}: recall ${recall}, precision ${precision}, false alarm rate ${rate} percent`);
      const axis = seed.row ? String(seed.row + 1) : "";
      plot.dispatchEvent(new CustomEvent("mark", { detail: own ? [] : [{
        type: "line", xref: `x${axis}`, yref: `y${axis} domain`, x0: threshold, x1: threshold, y0: 0, y1: 1, line: { width: 2 },
      }] }));
    }
    function reset() {
      slider.value = seed.own;
      show();
    }
    function choose() {
      seed = seeds[choice.selectedIndex];
      slider.max = seed.places.length - 1;
      reset();
    }
    choice.addEventListener("change", choose);
    slider.addEventListener("input", show);
    box.querySelector("button").addEventListener("click", () => { reset(); slider.focus(); });
    choose();
    box.hidden = false;
  }
})();
