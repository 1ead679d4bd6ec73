// The market list: every share in memory as a light row, only a window of them in the document,
// so that 2,200 shares scroll smoothly and only what is seen is subscribed.

import { latest, put, retarget } from "app/live.js";
import { field as write } from "app/format.js";

const OVERSCAN = 8;
const REFRESH_MS = 30000;

class MarketList {
  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.template = table.querySelector("template").content.firstElementChild;
    this.form = document.getElementById("market-filters");
    this.count = document.getElementById("market-count");
    this.abort = new AbortController();
    this.sortBy = table.dataset.sort || "symbol";
    this.descending = table.dataset.order === "desc";
    this.pool = [];
    this.rows = [];
    this.first = -1;
    const signal = { signal: this.abort.signal };
    window.addEventListener("scroll", () => this.draw(), { passive: true, ...signal });
    window.addEventListener("resize", () => this.draw(true), signal);
    table.addEventListener("click", (event) => this.sortPressed(event), signal);
    this.form.addEventListener("input", () => this.filterSoon(), signal);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.filter();
    }, signal);
    this.timer = setInterval(() => this.load(), REFRESH_MS);
    this.columns();
    this.load();
  }

  async load() {
    const query = this.query();
    let answer;
    try {
      const response = await fetch(`${this.table.dataset.rows}?${query}`, { headers: { Accept: "application/json" } });
      if (!response.ok) return; // what the server rendered stays
      answer = await response.json();
    } catch {
      return;
    }
    if (!this.table.isConnected || query !== this.query()) return;
    this.rows = answer.rows.map(([key, symbol, name, sector, last_price, change, change_percent, volume, low, high]) => (
      { key, symbol, name, sector, last_price, change, change_percent, volume, low, high }));
    this.sort();
  }

  query() {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) if (value) values.set(name, value);
    return values.toString();
  }

  filterSoon() {
    clearTimeout(this.filterTimer);
    this.filterTimer = setTimeout(() => this.filter(), 180);
  }

  filter() {
    const query = this.query();
    history.replaceState(history.state, "", query ? `?${query}` : location.pathname);
    this.load();
  }

  sortPressed(event) {
    const button = event.target.closest("[data-sort-by]");
    if (!button) return;
    const name = button.dataset.sortBy;
    this.descending = this.sortBy === name ? !this.descending : name !== "symbol" && name !== "sector";
    this.sortBy = name;
    this.sort();
  }

  sort() {
    const name = this.sortBy;
    const sign = this.descending ? -1 : 1;
    const value = (row) => latest(row.key)?.[name] ?? row[name];
    this.rows.sort((a, b) => {
      const x = value(a);
      const y = value(b);
      if (x === y) return a.symbol < b.symbol ? -1 : 1;
      if (x === null) return 1; // an unknown price stands last either way
      if (y === null) return -1;
      return x < y ? -sign : sign;
    });
    for (const head of this.table.tHead.querySelectorAll("th")) {
      const button = head.querySelector("[data-sort-by]");
      if (button?.dataset.sortBy === name) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.count.textContent = write("rank", this.rows.length);
    document.getElementById("market-empty").hidden = this.rows.length > 0;
    this.draw(true);
  }

  build() {
    const spacer = () => {
      const row = document.createElement("tr");
      row.className = "spacer";
      row.setAttribute("aria-hidden", "true");
      // One cell: one that spans hidden columns would bring them back as empty ones.
      row.append(document.createElement("td"));
      return row;
    };
    this.above = spacer();
    this.below = spacer();
    this.body.replaceChildren(this.above, this.below);
    this.table.setAttribute("aria-rowcount", String(this.rows.length));
  }

  draw(force = false) {
    if (!this.rows.length && !this.above) {
      this.body.replaceChildren();
      return;
    }
    if (!this.above) this.build();
    const height = this.pool[0]?.offsetHeight || 32;
    const top = this.body.getBoundingClientRect().top;
    const seen = Math.ceil(window.innerHeight / height);
    const first = Math.max(0, Math.min(this.rows.length - 1, Math.floor(-top / height)) - OVERSCAN);
    if (!force && Math.abs(first - this.first) < OVERSCAN / 2) return;
    this.first = first;
    const last = Math.min(this.rows.length, first + seen + 2 * OVERSCAN);
    while (this.pool.length < last - first) {
      const row = this.template.cloneNode(true);
      this.pool.push(row);
    }
    this.pool.forEach((row, index) => {
      const data = first + index < last ? this.rows[first + index] : null;
      if (!data) {
        row.remove();
        return;
      }
      this.fill(row, data, first + index);
      if (row.parentNode !== this.body) this.body.insertBefore(row, this.below);
    });
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${(this.rows.length - last) * height}px`;
    this.table.setAttribute("aria-rowcount", String(this.rows.length + 1));
  }

  fill(row, data, index) {
    row.setAttribute("aria-rowindex", String(index + 2));
    if (row.dataset.row === data.key) return;
    row.dataset.row = data.key;
    const link = row.querySelector("a.symbol");
    link.textContent = data.symbol;
    link.href = `/stocks/${encodeURIComponent(data.symbol)}/`;
    row.querySelector(".name").textContent = data.name;
    row.querySelector(".sector").textContent = data.sector;
    for (const button of row.querySelectorAll("[data-ticket-open]")) {
      button.dataset.ticketOpen = data.key;
      button.setAttribute("aria-label", `${button.dataset.word} ${data.symbol}`);
    }
    const newest = { ...data, ...latest(data.key) };
    for (const cell of row.querySelectorAll("[data-field]")) {
      const name = cell.dataset.field;
      retarget(cell, data.key);
      if (newest[name] === null) cell.textContent = "–";
      else put(cell, name, newest[name], false);
    }
  }

  /** The column chooser hides what the reader does not want; the choice is kept here. */
  columns() {
    const hidden = new Set((localStorage.getItem("desk.columns") || "").split(" ").filter(Boolean));
    for (const box of document.querySelectorAll("[data-column]")) {
      box.checked = !hidden.has(box.dataset.column);
      this.table.classList.toggle(`no-${box.dataset.column}`, !box.checked);
      box.addEventListener("change", () => {
        this.table.classList.toggle(`no-${box.dataset.column}`, !box.checked);
        if (box.checked) hidden.delete(box.dataset.column);
        else hidden.add(box.dataset.column);
        localStorage.setItem("desk.columns", [...hidden].join(" "));
      }, { signal: this.abort.signal });
    }
  }

  stop() {
    clearInterval(this.timer);
    this.abort.abort();
  }
}

let list = null;

function scan() {
  const table = document.querySelector("table.market-table[data-rows]");
  if (list && list.table === table) return;
  list?.stop();
  list = table ? new MarketList(table) : null;
}

export function start() {
  scan();
  document.addEventListener("htmx:afterSettle", scan);
  document.addEventListener("htmx:historyRestore", scan);
}
