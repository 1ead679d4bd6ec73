// Finds chart boxes and draws them with lightweight-charts, loaded only where one is shown.
// A chart that cannot load says so in its place; nothing else waits for it.

import { gettext } from "app/words.js";

const drawn = new WeakMap();

async function draw(box) {
  if (drawn.has(box)) return;
  drawn.set(box, null);
  const state = box.querySelector(".chart-state");
  try {
    const module = box.dataset.chart === "candles"
      ? await import("app/candles.js")
      : await import("app/lines.js");
    const stop = await module.draw(box);
    drawn.set(box, stop);
    if (state && !box.querySelector(".chart-state[data-keep]")) state.hidden = true;
  } catch (error) {
    if (state) {
      state.hidden = false;
      state.textContent = gettext("The chart could not be loaded. Trading works without it.");
    }
    console.warn("chart", error);
  }
}

function scan() {
  for (const box of document.querySelectorAll("[data-chart]")) draw(box);
}

export function start() {
  scan();
  document.addEventListener("htmx:afterSettle", scan);
  document.addEventListener("htmx:historyRestore", scan);
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.removedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE || node.isConnected) continue;
        const boxes = node.matches("[data-chart]") ? [node] : node.querySelectorAll("[data-chart]");
        for (const box of boxes) {
          drawn.get(box)?.();
          drawn.delete(box);
        }
      }
    }
  }).observe(document.body, { childList: true, subtree: true });
}
