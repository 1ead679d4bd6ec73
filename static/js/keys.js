// The keyboard: / search, B and S the ticket, Esc closes, g and a letter goes, ? shows all.

const GO = { d: "/", m: "/market/", p: "/portfolio/", o: "/orders/", r: "rank", w: "/watchlists/", a: "/alerts/", c: "/contests/" };
let leaderUntil = 0;

const typing = (target) => target.closest("input, select, textarea, [contenteditable]");

/** The instrument that the eye is on: focused row, hovered row, else the page's own. */
export function focusedInstrument() {
  const near = document.activeElement?.closest("[data-row]") || document.querySelector("[data-row]:hover");
  if (near) return near.dataset.row;
  return document.querySelector("#main [data-page-instrument]")?.dataset.pageInstrument || "";
}

function go(letter) {
  let path = GO[letter];
  if (path === "rank") path = document.body.dataset.leaderboard || "/contests/";
  const link = document.createElement("a");
  link.href = path;
  document.getElementById("main").append(link);
  window.htmx?.process(link);
  link.click();
  link.remove();
}

function onKey(event) {
  if (event.key === "Escape") {
    document.dispatchEvent(new CustomEvent("desk:escape"));
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const now = performance.now();
  if (now < leaderUntil && GO[event.key]) {
    leaderUntil = 0;
    event.preventDefault();
    go(event.key);
  } else if (event.key === "g") {
    leaderUntil = now + 1200;
  } else if (event.key === "/") {
    event.preventDefault();
    const boxes = [...document.querySelectorAll("[data-search]")];
    boxes.find((box) => box.offsetParent)?.focus();
  } else if (event.key === "?") {
    document.getElementById("keys-dialog")?.showModal();
  } else if (event.key.toLowerCase() === "b" || event.key.toLowerCase() === "s") {
    const key = focusedInstrument();
    if (!key) return;
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("desk:ticket", {
      detail: { instrument: key, side: event.key.toLowerCase() === "b" ? "BUY" : "SELL" },
    }));
  }
}

/** Arrow keys walk from the search box down its results and back up into it. */
function onArrows(event) {
  if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
  const list = event.target.closest(".found") || document.getElementById(event.target.getAttribute?.("aria-controls"));
  if (!list?.matches(".found")) return;
  const box = document.querySelector(`[aria-controls="${list.id}"]`);
  const stops = [box, ...list.querySelectorAll("a")];
  const now = stops.indexOf(event.target.closest("a, [data-search]"));
  const next = stops[Math.min(Math.max(now, 0) + (event.key === "ArrowDown" ? 1 : -1), stops.length - 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** Results cover the watchlist: they go with Escape, a press beside them, and a change of page. */
function closeFound(within) {
  for (const list of document.querySelectorAll(".found:not(:empty)")) {
    const box = document.querySelector(`[aria-controls="${list.id}"]`);
    if (within && (list.contains(within) || within === box)) continue;
    list.replaceChildren();
    if (box) box.value = "";
  }
}

export function start() {
  document.addEventListener("desk:escape", () => closeFound());
  document.addEventListener("click", (event) => closeFound(event.target));
  document.addEventListener("htmx:pushedIntoHistory", () => closeFound());
  document.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onArrows);
}
