// Pages live by markup. Whatever names an instrument (data-instrument, data-field) is kept
// current: only what is on screen is subscribed, new content is found, removed content forgotten.

import { direction, field as write, isSigned, number } from "app/format.js";
import { stream } from "app/stream.js";

const KEYS_MAX = 96; // the server allows 100; a few are left for the ticket
const FLASH_EVERY_MS = 1000;

const cells = new Map(); // instrument key -> Set of elements
const visible = new Map(); // instrument key -> how many of its elements are on screen
const onScreen = new WeakSet();
const newest = new Map(); // instrument key -> merged data, so that a cell scrolled in is filled
const flashedAt = new WeakMap();
const shown = new WeakMap(); // element -> the number that it shows
const pending = new Map();
let frame = 0;
let wantTimer = 0;

/** Keys that a part of the page needs although no element shows them (the chart, the ticket). */
const pinned = new Map();

export function pin(owner, keys) {
  if (keys && keys.length) pinned.set(owner, keys);
  else pinned.delete(owner);
  tellStream();
}

/** The newest known data of an instrument, or undefined. */
export const latest = (key) => newest.get(key);

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const element = entry.target;
    const key = element.dataset.instrument;
    if (entry.isIntersecting === onScreen.has(element)) continue;
    if (entry.isIntersecting) {
      onScreen.add(element);
      visible.set(key, (visible.get(key) || 0) + 1);
      const data = newest.get(key);
      if (data) paint(element, data, false);
    } else {
      forgetSight(element, key);
    }
  }
  tellStream();
}, { rootMargin: "64px" });

function forgetSight(element, key) {
  if (!onScreen.delete(element)) return;
  const count = visible.get(key) - 1;
  if (count > 0) visible.set(key, count);
  else visible.delete(key);
}

function add(element) {
  const key = element.dataset.instrument;
  let group = cells.get(key);
  if (!group) cells.set(key, (group = new Set()));
  if (group.has(element)) return;
  group.add(element);
  observer.observe(element);
}

function remove(element, key = element.dataset.instrument) {
  const group = cells.get(key);
  if (!group || !group.delete(element)) return;
  if (!group.size) {
    cells.delete(key);
    newest.delete(key);
  }
  observer.unobserve(element);
  forgetSight(element, key);
}

/** Points an element at another instrument: rows of a long list are used again. */
export function retarget(element, key) {
  if (element.dataset.instrument === key) return;
  remove(element);
  element.dataset.instrument = key;
  shown.delete(element);
  add(element);
}

function each(root, action) {
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  if (root.hasAttribute("data-instrument") && root.hasAttribute("data-field")) action(root);
  for (const element of root.querySelectorAll("[data-instrument][data-field]")) action(element);
}

function tellStream() {
  clearTimeout(wantTimer);
  wantTimer = setTimeout(() => {
    const keys = new Set();
    for (const list of pinned.values()) for (const key of list) keys.add(key);
    const drawer = document.querySelector(".drawer.open");
    const page = document.getElementById("main");
    // What the eye is on comes first, should the screen hold more than the limit.
    for (const area of [drawer, page, null]) {
      for (const key of visible.keys()) {
        if (keys.size >= KEYS_MAX) break;
        if (keys.has(key)) continue;
        const group = [...cells.get(key)];
        if (area === null || group.some((element) => area.contains(element))) keys.add(key);
      }
    }
    stream.want(keys);
  }, 120);
}

/** Writes text without replacing the text node: no layout object is made anew. */
function setText(element, text) {
  const node = element.firstChild;
  if (node && node.nodeType === Node.TEXT_NODE && !node.nextSibling) {
    if (node.nodeValue !== text) node.nodeValue = text;
  } else {
    element.textContent = text;
  }
}

/** Shows `value` in an element; colours it by sign; flashes it when it moved. */
export function put(element, name, value, flash = true) {
  if (value === undefined || value === null) return;
  const before = shown.get(element);
  if (before === value) return;
  shown.set(element, value);
  setText(element, element.dataset.places ? number(value, Number(element.dataset.places)) : write(name, value));
  if (isSigned(name)) {
    const tone = direction(value);
    if (!element.classList.contains(tone)) {
      element.classList.remove("up", "down", "flat");
      element.classList.add(tone);
    }
  }
  if (flash && before !== undefined && (name === "last_price" || name === "equity" || name === "day_pnl")) {
    const now = performance.now();
    if (now - (flashedAt.get(element) || 0) < FLASH_EVERY_MS) return;
    flashedAt.set(element, now);
    element.classList.add(value > before ? "flash-up" : "flash-down");
  }
}

function paint(element, data, flash) {
  const name = element.dataset.field;
  if (!(name in data)) return;
  put(element, name, data[name], flash);
}

function flush() {
  frame = 0;
  for (const [key, data] of pending) {
    newest.set(key, Object.assign(newest.get(key) || {}, data));
    const group = cells.get(key);
    if (!group) continue;
    for (const element of group) if (onScreen.has(element)) paint(element, data, true);
  }
  const batch = new Map(pending);
  pending.clear();
  document.dispatchEvent(new CustomEvent("desk:prices", { detail: batch }));
}

function receive(prices) {
  for (const key in prices) {
    const waiting = pending.get(key);
    if (waiting) Object.assign(waiting, prices[key]);
    else pending.set(key, { ...prices[key] });
  }
  if (!frame) frame = requestAnimationFrame(flush);
}

/** Own figures: the shown portfolio's numbers and its positions. */
function ownFigures(data) {
  if (String(data.portfolio_id) !== document.body.dataset.portfolioId) return;
  for (const element of document.querySelectorAll("[data-portfolio]")) {
    put(element, element.dataset.portfolio, data[element.dataset.portfolio]);
  }
  if (data.rank) for (const element of document.querySelectorAll("[data-rank]")) setText(element, `#${data.rank}`);
  if (!data.positions) return;
  for (const position of data.positions) {
    const name = CSS.escape(`${position.instrument_key}|${position.product}`);
    for (const element of document.querySelectorAll(`[data-position="${name}"]`)) {
      put(element, element.dataset.field, position[element.dataset.field]);
    }
  }
}

export function start() {
  each(document.body, add);
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.removedNodes) if (!node.isConnected) each(node, (element) => remove(element));
      for (const node of change.addedNodes) if (node.isConnected) each(node, add);
    }
    tellStream();
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("animationend", (event) => {
    if (event.animationName.startsWith("flash-")) event.target.classList.remove("flash-up", "flash-down");
  });
  stream.on("price", receive);
  stream.on("indices", receive);
  stream.on("event", (message) => {
    if (message.type === "portfolio_update") ownFigures(message.data);
  });
}
