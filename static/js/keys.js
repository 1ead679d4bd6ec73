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

/** Arrow keys walk through search results. */
function onArrows(event) {
  const box = event.target.closest("[data-search]");
  if (!box || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  const list = document.getElementById(box.getAttribute("aria-controls"));
  const links = list ? [...list.querySelectorAll("a")] : [];
  if (!links.length) return;
  event.preventDefault();
  links[0].focus();
}

export function start() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onArrows);
}
