// The frame: status light, LIVE badge, countdown, menus, theme, which page is current.

import { istClock, span } from "app/format.js";
import { stream } from "app/stream.js";
import { gettext } from "app/words.js";

const NOTE_MS = 2000; // a break shorter than this is shown by the light alone

let noteTimer = 0;
let heardAt = new Date();
let marketStatus = null;
let socketState = "connecting";
let clockSkewMs = 0;

function word(state) {
  const light = document.getElementById("light");
  return light?.dataset[`word${state[0].toUpperCase()}${state.slice(1)}`];
}

function showState() {
  const light = document.getElementById("light");
  if (!light) return;
  let state = marketStatus ? marketStatus.status : light.dataset.state;
  if (socketState === "reconnecting" || socketState === "offline") state = socketState;
  light.dataset.state = state;
  light.lastElementChild.textContent = word(state) || state;
  light.title = (marketStatus && marketStatus.message) || "";
  const live = state === "live";
  document.getElementById("live-badge").classList.toggle("on", live);
  document.documentElement.dataset.feed = state;
  clearTimeout(noteTimer);
  const wait = state === "live" || state === "offline" ? 0 : NOTE_MS;
  noteTimer = setTimeout(() => { document.documentElement.dataset.note = state; }, wait);
  for (const place of document.querySelectorAll("[data-last-heard]")) place.textContent = `${istClock(heardAt)} IST`;
}

/** A part of the page that could not be had: said in the corner, the part stays as it was. */
function watchRequests() {
  document.addEventListener("htmx:sendError", () => refuse(gettext("The server could not be reached. Nothing was changed; try again.")));
  document.addEventListener("htmx:timeout", () => refuse(gettext("The server took too long. Look at your orders before you try again.")));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, boosted, target } = event.detail;
    if (xhr.status < 500 || boosted || target?.id === "main") return;
    event.detail.shouldSwap = false;
    refuse(gettext("Something went wrong on the server. It has been noted; try again."));
  });
}

const refuse = (text) => document.dispatchEvent(new CustomEvent("desk:refused", { detail: { value: text } }));

function tick() {
  const clock = document.getElementById("clock");
  if (!clock) return;
  const now = Date.now() + clockSkewMs;
  clock.querySelector("b").textContent = `${istClock(new Date(now))} IST`;
  const closes = Date.parse(clock.dataset.closes);
  const opens = Date.parse(clock.dataset.opens);
  const note = clock.querySelector("span");
  if (closes > now) note.textContent = `${clock.dataset.wordCloses} ${span(closes - now)}`;
  else if (opens > now) note.textContent = `${clock.dataset.wordOpens} ${span(opens - now)}`;
  for (const place of document.querySelectorAll("[data-opens-in]")) place.textContent = opens > now ? `· ${note.textContent}` : "";
}

function markCurrent() {
  const path = location.pathname;
  for (const link of document.querySelectorAll("[data-nav]")) {
    const target = link.dataset.nav;
    const here = target === "/" ? path === "/" : path.startsWith(target);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // On a phone a row of tabs is wider than the screen: the chosen one is brought into it.
  for (const chosen of document.querySelectorAll("#main .segmented > [aria-current]")) {
    chosen.parentElement.scrollLeft = chosen.offsetLeft - chosen.parentElement.offsetLeft - 48;
  }
}

function applyTheme(button) {
  const root = document.documentElement;
  if (button.dataset.setTheme) root.dataset.theme = button.dataset.setTheme;
  if (button.dataset.setPalette) root.dataset.palette = button.dataset.setPalette;
  for (const other of button.parentElement.querySelectorAll("[aria-pressed]")) {
    other.setAttribute("aria-pressed", String(other === button));
  }
  document.dispatchEvent(new CustomEvent("desk:theme"));
}

export function start() {
  markCurrent();
  const server = Date.parse(document.body.dataset.now);
  if (server) clockSkewMs = server - Date.now();
  setInterval(tick, 1000);
  tick();
  stream.on("status", (message) => {
    marketStatus = message;
    showState();
  });
  stream.on("price", () => { heardAt = new Date(Date.now() + clockSkewMs); });
  watchRequests();
  stream.on("state", (state) => {
    socketState = state;
    showState();
  });
  document.addEventListener("htmx:pushedIntoHistory", markCurrent);
  document.addEventListener("htmx:historyRestore", markCurrent);
  document.addEventListener("htmx:afterSettle", (event) => {
    markCurrent();
    const title = document.getElementById("main")?.dataset.title;
    if (title && event.target.id === "main") document.getElementById("main").focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.menu[open], details.contest-switch[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
    // A menu closes once something in it was chosen.
    event.target.closest(".menu-body a, .menu-body button")?.closest("details")?.removeAttribute("open");
    const theme = event.target.closest("[data-set-theme], [data-set-palette]");
    if (theme) applyTheme(theme);
    const fold = event.target.closest("[data-fold]");
    if (fold) {
      const folded = document.querySelector(".shell").classList.toggle("folded");
      fold.setAttribute("aria-expanded", String(!folded));
      localStorage.setItem("desk.folded", folded ? "1" : "");
    }
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog).showModal();
    const closer = event.target.closest("[data-close-dialog]");
    if (closer) closer.closest("dialog").close();
  });
  if (localStorage.getItem("desk.folded")) document.querySelector(".shell")?.classList.add("folded");
}
