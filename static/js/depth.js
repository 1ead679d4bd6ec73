// The five-level ladder of the focused instrument, and where its price stands in the day.

import { number } from "app/format.js";
import { latest } from "app/live.js";
import { stream } from "app/stream.js";

let watched = null;

function refocus() {
  const ladder = document.querySelector("[data-depth]");
  const key = ladder ? ladder.dataset.depth : null;
  if (key === watched) return;
  watched = key;
  stream.depth(key);
}

function side(ladder, name, levels) {
  const rows = ladder.querySelectorAll(`.${name} .ladder-row`);
  const most = Math.max(1, ...levels.map((level) => level[1]));
  const mine = new Set((ladder.dataset.own || "").split(" ").filter(Boolean).map(Number));
  let total = 0;
  rows.forEach((row, index) => {
    const level = levels[index];
    const [price, quantity] = level || [null, null];
    total += quantity || 0;
    row.querySelector(".price").textContent = number(price);
    row.querySelector(".quantity").textContent = number(quantity, 0);
    row.querySelector("rect").setAttribute("width", `${quantity ? (quantity / most) * 100 : 0}%`);
    row.classList.toggle("mine", mine.has(price));
  });
  const sum = ladder.querySelector(`.${name} .sum`);
  if (sum) sum.textContent = number(total, 0);
}

/** The marker of the day's range follows the price. */
function place(batch) {
  for (const marker of document.querySelectorAll("[data-range]")) {
    if (!batch.has(marker.dataset.range)) continue;
    const { low, high, last_price: last } = latest(marker.dataset.range) || {};
    if (high > low) marker.value = Math.round(((last - low) / (high - low)) * 100);
  }
}

export function start() {
  document.addEventListener("desk:prices", (event) => place(event.detail));
  stream.on("depth", (message) => {
    const ladder = document.querySelector(`[data-depth="${CSS.escape(message.instrument_key)}"]`);
    if (!ladder) return;
    side(ladder, "bids", message.data.bids || []);
    side(ladder, "asks", message.data.asks || []);
  });
  refocus();
  document.addEventListener("htmx:afterSettle", refocus);
  document.addEventListener("htmx:historyRestore", refocus);
}
