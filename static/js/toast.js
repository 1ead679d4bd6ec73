// Short notes in the corner, and one polite voice for screen readers that never floods.

import { number } from "app/format.js";
import { stream } from "app/stream.js";
import { format, gettext, told } from "app/words.js";

const TOASTS_MAX = 4;
const SHOW_MS = 7000;
const SAY_EVERY_MS = 3000;

let box;
let voice;
let unsaid = [];
let sayTimer = 0;

/** Reads `text` out; what comes within three seconds is said in one sentence. */
export function say(text) {
  unsaid.push(text);
  if (sayTimer) return;
  sayTimer = setTimeout(() => {
    const lines = unsaid.slice(0, 3);
    if (unsaid.length > 3) lines.push(format(gettext("and {count} more"), { count: unsaid.length - 3 }));
    voice.textContent = lines.join(". ");
    unsaid = [];
    sayTimer = 0;
  }, unsaid.length > 1 ? SAY_EVERY_MS : 150);
}

/** Shows a note: tone is "good", "bad" or "note". */
export function toast(title, text = "", tone = "note", href = "") {
  const item = document.createElement("div");
  item.className = `toast ${tone}`;
  const head = document.createElement(href ? "a" : "b");
  head.className = "strong";
  head.textContent = title;
  if (href) head.href = href;
  const close = document.createElement("button");
  close.className = "icon-button small";
  close.type = "button";
  close.setAttribute("aria-label", gettext("Close"));
  close.textContent = "×";
  close.addEventListener("click", () => item.remove());
  item.append(document.createElement("span"), head, close);
  if (text) {
    const body = document.createElement("p");
    body.textContent = text;
    item.append(body);
  }
  box.append(item);
  while (box.children.length > TOASTS_MAX) box.firstChild.remove();
  setTimeout(() => item.remove(), SHOW_MS);
  say(text ? `${title}. ${text}` : title);
}

function onEvent({ type, data }) {
  if (type === "trade") {
    const said = data.side === "BUY" ? gettext("Bought {quantity} {symbol}") : gettext("Sold {quantity} {symbol}");
    toast(
      format(said, { quantity: number(data.quantity, 0), symbol: data.symbol }),
      format(gettext("at ₹{price}"), { price: number(data.price) }), "good", "/orders/",
    );
  } else if (type === "order_update" && data.status === "REJECTED") {
    toast(format(gettext("{symbol}: order rejected"), data), told(data, "status_reason"), "bad", "/orders/");
  } else if (type === "order_update" && (data.status === "CANCELLED" || data.status === "EXPIRED")) {
    const said = data.status === "CANCELLED" ? gettext("{symbol}: order cancelled") : gettext("{symbol}: order expired");
    toast(format(said, data), told(data, "status_reason"));
  } else if (type === "corporate_action") {
    const done = data.parts?.map((part) => told(part, "text")).join(" ") ?? data.message;
    toast(told(data, "title"), done, "note", "/portfolio/");
  } else if (type === "announcement") {
    toast(data.title || gettext("Announcement"), data.body || data.message || "", "note");
  } else if (type === "alert") {
    const title = `${data.symbol} ${told(data, "happened")}`;
    toast(title, data.message, "note", "/alerts/");
    if (window.Notification?.permission === "granted" && document.hidden) {
      new Notification(title, { body: data.message, tag: `alert-${data.alert_id}` });
    }
    for (const list of document.querySelectorAll("[data-refresh~='alerts']")) window.htmx.trigger(list, "refresh");
  }
}

export function start() {
  box = document.getElementById("toasts");
  voice = document.getElementById("voice");
  stream.on("event", onEvent);
  document.addEventListener("desk:refused", (event) => toast(event.detail.value, "", "bad"));
  document.addEventListener("click", (event) => {
    // Asked only when the reader presses the button for it.
    if (event.target.closest("[data-notify]")) window.Notification?.requestPermission();
  });
}
