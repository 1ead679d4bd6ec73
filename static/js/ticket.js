// The order ticket: one drawer everywhere. The server renders it; this opens it, keeps its
// estimate fresh and follows the placed order to its end.

import { latest, pin } from "app/live.js";
import { number } from "app/format.js";
import { stream } from "app/stream.js";
import { gettext, told } from "app/words.js";

const FINAL = new Set(["FILLED", "CANCELLED", "REJECTED", "EXPIRED"]);
const ESTIMATE_MS = 350;
const REESTIMATE_MS = 5000; // while the ticket stands open and the price moves

// An order may fill before the answer that shows it arrives: what was heard is kept for it.
const HEARD_MAX = 50;
const heard = new Map();

let drawer;
let returnFocus = null;
let estimateTimer = 0;
let estimatedAt = 0; // the price that the shown estimate was asked at
let chargesOpen = false;

const form = () => drawer.querySelector("form[data-ticket]");

export function open({ instrument = "", side = "BUY", order = "", price = "" }) {
  returnFocus = document.activeElement;
  const query = new URLSearchParams({ instrument, side });
  if (order) query.set("order", order);
  if (price) query.set("price", price);
  pin("ticket", instrument ? [instrument] : null);
  window.htmx.ajax("GET", `/orders/ticket/?${query}`, { target: "#ticket", swap: "innerHTML" });
  drawer.classList.add("open");
  drawer.removeAttribute("aria-hidden");
}

export function close() {
  if (!drawer.classList.contains("open")) return;
  drawer.classList.remove("open");
  drawer.setAttribute("aria-hidden", "true");
  pin("ticket", null);
  drawer.replaceChildren();
  if (returnFocus && returnFocus.isConnected) returnFocus.focus();
}

/** Shows the fields that the chosen kind and type need and colours the ticket by its side. */
function arrange() {
  const current = form();
  if (!current) return;
  const chosen = (name) => current.querySelector(`[name="${name}"]:checked`)?.value;
  const type = chosen("order_type");
  const side = chosen("side");
  const mode = chosen("mode") || "ORDER";
  if (side) {
    current.classList.remove("BUY", "SELL");
    current.classList.add(side);
    const submit = current.querySelector("[data-submit]");
    submit.classList.remove("buy", "sell");
    submit.classList.add(side === "BUY" ? "buy" : "sell");
    submit.textContent = mode === "GTT" ? submit.dataset.wordWatch : side === "BUY" ? submit.dataset.wordBuy : submit.dataset.wordSell;
  }
  const order = mode !== "GTT";
  for (const name of ["type", "more", "validity", "after_market", "reason"]) show(current, name, order);
  show(current, "gtt", mode === "GTT");
  show(current, "bracket", mode === "BRACKET");
  if (type) {
    const limit = order && (type === "LIMIT" || type === "SL");
    show(current, "price", limit);
    show(current, "trigger_price", order && (type === "SL" || type === "SL_M"));
    const key = current.dataset.instrument;
    const last = latest(key)?.last_price ?? Number(current.dataset.lastPrice);
    const price = current.elements.price;
    if (limit && price && !price.value && last) price.value = last.toFixed(2);
  }
  const byAmount = chosen("measure") === "amount";
  show(current, "amount", byAmount);
  if (byAmount) quantityFromAmount(current);
}

function show(current, name, visible) {
  const field = current.querySelector(`[data-when="${name}"]`);
  if (!field) return;
  field.hidden = !visible;
  for (const input of field.querySelectorAll("input, textarea")) input.disabled = !visible;
}

function quantityFromAmount(current) {
  const amount = Number(current.elements.amount?.value);
  const limit = current.elements.price && !current.elements.price.disabled ? Number(current.elements.price.value) : 0;
  const last = limit || latest(current.dataset.instrument)?.last_price || Number(current.dataset.lastPrice);
  if (!amount || !last) return;
  const lot = Number(current.dataset.lot) || 1;
  current.elements.quantity.value = Math.max(0, Math.floor(amount / last / lot) * lot);
}

function estimateSoon() {
  clearTimeout(estimateTimer);
  estimateTimer = setTimeout(() => {
    const current = form();
    if (!current) return;
    window.htmx.ajax("POST", current.dataset.estimate, {
      source: current, target: "#estimate", swap: "outerHTML",
    });
  }, ESTIMATE_MS);
}

/** The estimate of an open ticket follows the price, at a pace that the server can bear. */
function reestimate() {
  const current = form();
  if (!current || document.hidden) return;
  const last = latest(current.dataset.instrument)?.last_price;
  if (!last || last === estimatedAt) return;
  estimatedAt = last;
  estimateSoon();
}

/** Shows an order's newest state wherever it stands. */
function showOrder(data) {
  for (const panel of document.querySelectorAll(`[data-order="${CSS.escape(String(data.id))}"]`)) {
    panel.dataset.status = data.status;
    for (const part of panel.querySelectorAll("[data-order-field]")) {
      const name = part.dataset.orderField;
      if (name === "status") {
        part.textContent = document.body.getAttribute(`data-status-${data.status.toLowerCase()}`) || data.status.replaceAll("_", " ").toLowerCase();
      } else if (name === "status_reason") part.textContent = told(data, "status_reason");
      else if (data[name] !== undefined && data[name] !== null) {
        part.textContent = number(Number(data[name]), name.endsWith("price") ? 2 : 0);
      }
    }
    const ended = FINAL.has(data.status);
    for (const part of panel.querySelectorAll("[data-while-live]")) part.hidden = ended;
    for (const part of panel.querySelectorAll("[data-when-ended]")) part.hidden = !ended;
  }
}

function onOrder({ type, data }) {
  if (type !== "order_update") return;
  heard.delete(data.id);
  heard.set(data.id, data);
  if (heard.size > HEARD_MAX) heard.delete(heard.keys().next().value);
  showOrder(data);
  document.dispatchEvent(new CustomEvent("desk:order", { detail: data }));
  // Lists of orders and positions are the server's to write; a row being changed is left alone.
  for (const list of document.querySelectorAll("[data-refresh~='orders']")) {
    if (!list.querySelector("[data-editing]")) window.htmx.trigger(list, "refresh");
  }
}

/** A contest that staff freeze or resume reaches an open ticket at once. */
function onContest({ type, data }) {
  if (type !== "contest_update" || data.contest !== document.body.dataset.contest) return;
  const current = form();
  if (!current) return;
  const open = data.state === "RUNNING";
  current.querySelector("[data-submit]").disabled = !open;
  const notice = current.querySelector("[data-contest-notice]");
  notice.hidden = open;
  notice.lastElementChild.textContent = open ? "" : `${gettext("Trading in this contest is stopped:")} ${data.reason || data.name}`;
}

export function start() {
  drawer = document.getElementById("ticket");
  if (!drawer) return;
  document.addEventListener("desk:ticket", (event) => open(event.detail));
  document.addEventListener("desk:escape", close);
  document.addEventListener("click", (event) => {
    const trigger = event.target.closest("[data-ticket-open]");
    if (trigger) {
      event.preventDefault();
      open({ instrument: trigger.dataset.ticketOpen, side: trigger.dataset.side, order: trigger.dataset.order, price: trigger.dataset.price });
    }
    if (event.target.closest("[data-ticket-close]")) close();
  });
  drawer.addEventListener("input", (event) => {
    arrange();
    if (event.target.name !== "reason") estimateSoon();
  });
  drawer.addEventListener("toggle", (event) => {
    if (event.target.matches("[data-keep-open]")) chargesOpen = event.target.open;
  }, true);
  setInterval(reestimate, REESTIMATE_MS);
  document.addEventListener("htmx:afterSettle", (event) => {
    if (chargesOpen) drawer.querySelector("[data-keep-open]")?.setAttribute("open", "");
    if (event.target !== drawer) return;
    for (const panel of drawer.querySelectorAll("[data-order]")) {
      if (heard.has(panel.dataset.order)) showOrder(heard.get(panel.dataset.order));
    }
    arrange();
    const current = form();
    if (current) {
      pin("ticket", [current.dataset.instrument]);
      estimateSoon();
      const error = drawer.querySelector(".field .error");
      const wrong = error?.closest(".field").querySelector("[aria-invalid], input");
      (wrong || current.elements.quantity)?.focus();
      if (!wrong) current.elements.quantity?.select?.();
      error?.scrollIntoView({ block: "center" }); // not behind the foot, which stays
    }
  });
  stream.on("event", onOrder);
  stream.on("event", onContest);
}
