// Heat maps: a cell's colour follows its share's change, in steps of half a percent.

/** The colour step of a change, as marketdata/views/research.py picks it. */
export function tone(change) {
  const size = Math.abs(change);
  const step = Math.min(4, Math.trunc(size / 0.5) + (size >= 0.05 ? 1 : 0));
  return step === 0 ? "p0" : `${change < 0 ? "n" : "p"}${step}`;
}

export function start() {
  document.addEventListener("desk:prices", (event) => {
    const cells = document.querySelectorAll("[data-heat]");
    for (const cell of cells) {
      const change = event.detail.get(cell.dataset.heat)?.change_percent;
      if (change === undefined || change === null) continue;
      const wanted = `heat-${tone(change)}`;
      if (cell.getAttribute("class") !== wanted) cell.setAttribute("class", wanted);
    }
  });
}
