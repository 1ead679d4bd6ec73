// The option chain's page: live Greeks and figures, charts, and strategies built by pressing.

import { compact, direction, istClock, number, rupees } from "app/format.js";
import * as mini from "app/mini-chart.js";
import { breakEvens, extremes, premium, preset, profit } from "app/payoff.js";
import { stream } from "app/stream.js";

const REDRAW_MS = 2000;
const REACH = 0.06; // the payoff is drawn within 6 % of the spot, where no deviation is known
const DEVIATIONS = 2.5; // else so many expected moves around it
const MARGIN_DELAY_MS = 300;

let page = null;
let chain = null;
let legs = [];
let drawnAt = 0;
let marginTimer = 0;
let clockSkewMs = 0;
let priceCells = new Map();

function adopt() {
  const found = document.querySelector("[data-options]");
  if (found === page) return;
  page = found;
  legs = [];
  stream.topics(page ? [page.dataset.options] : []);
  if (!page) return;
  chain = JSON.parse(document.getElementById("option-chain").value);
  priceCells = new Map([...page.querySelectorAll("[data-price-of]")].map((cell) => [cell.dataset.priceOf, cell]));
  // Only where it lies below the screen: the page itself stays at its top.
  const centre = page.querySelector("tr.centre");
  if (centre && centre.getBoundingClientRect().top > window.innerHeight) centre.scrollIntoView({ block: "center" });
  draw();
  showStrategy();
}

// --- Live --------------------------------------------------------------------------------
function receive(message) {
  if (!page || message.topic !== page.dataset.options) return;
  const data = message.data;
  chain.spot = data.spot;
  if (data.gamma_exposure) chain.gamma = data.gamma_exposure;
  for (const side of ["calls", "puts"]) chain[side].volatility = data[side].volatility;
  for (const cell of page.querySelectorAll("[data-chain]")) {
    const [side, row, name] = cell.dataset.chain.split("|");
    const value = data[side][name][Number(row)];
    const text = name === "volatility" ? number(value === null ? null : value * 100, 1) : number(value, 2);
    const span = cell.firstElementChild;
    if (span.textContent !== text) span.textContent = text;
  }
  for (const element of page.querySelectorAll("[data-chain-figure]")) {
    const value = data.figures[element.dataset.chainFigure];
    if (value === null || value === undefined) continue;
    const shown = "percent" in element.dataset ? `${number(value * 100)}%` : number(value, Number(element.dataset.places ?? 2));
    if (element.textContent !== shown) element.textContent = shown;
  }
  if (data.figures.one_deviation) chain.deviation = data.figures.one_deviation;
  if (data.interest) showInterest(data.interest);
  const now = performance.now();
  if (now - drawnAt > REDRAW_MS) draw();
}

/** What only a sweep changes: open interest with its bars, and the figures that hang on it. */
function showInterest(interest) {
  const age = page.querySelector("[data-age]");
  if (!age || age.dataset.age === interest.at) return;
  age.dataset.age = interest.at;
  const bars = [...page.querySelectorAll("[data-bar]")];
  const of = (place) => { const [side, row] = place.split("|"); return interest[side].open_interest[Number(row)] || 0; };
  const most = Math.max(1, ...bars.map((bar) => of(bar.dataset.bar)));
  for (const bar of bars) bar.setAttribute("width", `${((100 * of(bar.dataset.bar)) / most).toFixed(1)}%`);
  for (const span of page.querySelectorAll("[data-interest]")) {
    const [side, row, name] = span.dataset.interest.split("|");
    const value = interest[side][name][Number(row)];
    span.textContent = compact(value);
    if (name === "open_interest") continue;
    span.parentElement.classList.remove("up", "down", "flat");
    span.parentElement.classList.add(direction(value));
  }
  for (const side of ["calls", "puts"]) chain[side].interest = interest[side].open_interest;
  for (const element of page.querySelectorAll("[data-interest-figure]")) {
    element.textContent = number(interest[element.dataset.interestFigure], Number(element.dataset.places ?? 2));
  }
}

function countAges() {
  for (const element of document.querySelectorAll("[data-age]")) {
    element.textContent = String(Math.max(0, Math.round((Date.now() + clockSkewMs - Date.parse(element.dataset.age)) / 1000)));
  }
}

function prices(event) {
  if (!page) return;
  for (const side of ["calls", "puts"]) {
    chain[side].key.forEach((key, row) => {
      const data = event.detail.get(key);
      if (!data || !data.last_price) return;
      chain[side].price[row] = data.last_price;
      const cell = priceCells.get(key);
      if (cell) cell.title = `${istClock(new Date(Date.now() + clockSkewMs))} IST`;
    });
  }
}

// --- Charts ------------------------------------------------------------------------------
function draw() {
  drawnAt = performance.now();
  const shown = [...page.querySelectorAll("th.strike[scope=row]")].length;
  const centre = chain.strikes.reduce((best, k, i) => (Math.abs(k - chain.spot) < Math.abs(chain.strikes[best] - chain.spot) ? i : best), 0);
  const from = Math.max(0, centre - Math.ceil(shown / 2));
  const cut = (list) => list.slice(from, centre + Math.ceil(shown / 2) + 1);
  const strikes = cut(chain.strikes);
  const target = (name) => page.querySelector(`[data-draw="${name}"]`);
  mini.bars(target("interest"), strikes, { call: cut(chain.calls.interest), put: cut(chain.puts.interest) }, chain.spot);
  // Out of the money only: in the money a tick of the price is whole points of volatility.
  const call = cut(chain.calls.volatility).map((value, i) => (strikes[i] >= chain.spot ? value : null));
  const put = cut(chain.puts.volatility).map((value, i) => (strikes[i] <= chain.spot ? value : null));
  mini.lines(target("smile"), strikes, { call, put }, chain.spot);
  mini.lines(target("terms"), chain.terms.map(([days]) => days), { line: chain.terms.map(([, volatility]) => volatility) });
  mini.bars(target("gamma"), strikes, { signed: cut(chain.gamma) }, chain.spot);
}

// --- Strategies --------------------------------------------------------------------------
function addLeg(contract, lots) {
  const kind = contract[0];
  const strike = Number(contract.slice(1));
  const side = kind === "C" ? chain.calls : chain.puts;
  const price = side.price[chain.strikes.indexOf(strike)];
  if (price === null || price === undefined) return;
  const known = legs.find((leg) => leg.kind === kind && leg.strike === strike);
  if (known) known.lots += lots;
  else legs.push({ kind, strike, lots, price });
  legs = legs.filter((leg) => leg.lots !== 0).slice(0, 8);
  showStrategy();
}

function legRow(leg) {
  const row = document.createElement("li");
  const side = document.createElement("span");
  side.className = `pill side-${leg.lots > 0 ? "BUY" : "SELL"}`;
  side.textContent = `${leg.lots > 0 ? "+" : "−"}${Math.abs(leg.lots)}`;
  const name = document.createElement("span");
  name.textContent = `${number(leg.strike, 0)} ${leg.kind === "C" ? "CE" : "PE"} @ ${number(leg.price)}`;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button tiny";
  remove.textContent = "×";
  remove.setAttribute("aria-label", name.textContent);
  remove.addEventListener("click", () => {
    legs = legs.filter((other) => other !== leg);
    showStrategy();
  });
  row.append(side, name, remove);
  return row;
}

function showStrategy() {
  const list = page.querySelector("[data-legs]");
  const figures = page.querySelector("[data-strategy]");
  const svg = page.querySelector('[data-draw="payoff"]');
  page.querySelector("[data-strategy-empty]").hidden = legs.length > 0;
  figures.hidden = legs.length === 0;
  svg.toggleAttribute("hidden", legs.length === 0);
  list.replaceChildren(...legs.map(legRow));
  clearTimeout(marginTimer);
  if (!legs.length) return svg.replaceChildren();
  const say = (name, text) => { figures.querySelector(`[data-figure="${name}"]`).textContent = text; };
  const amount = (value) => (Number.isFinite(value) ? rupees(value) : "∞");
  const { most, least } = extremes(legs, chain.lot);
  const paid = premium(legs, chain.lot);
  say("premium", rupees(-paid, 2, true));
  say("most", amount(most));
  say("least", Number.isFinite(least) ? rupees(least) : "−∞");
  say("even", breakEvens(legs, chain.lot).map((spot) => number(spot)).join(", ") || "–");
  say("margin", "…");
  const strikes = legs.map((leg) => leg.strike);
  const reach = chain.deviation ? DEVIATIONS * chain.deviation : REACH * chain.spot;
  mini.payoff(
    svg,
    Math.min(chain.spot - reach, ...strikes.map((k) => k - reach / 4)),
    Math.max(chain.spot + reach, ...strikes.map((k) => k + reach / 4)),
    (spot) => profit(legs, chain.lot, spot),
    chain.spot,
  );
  marginTimer = setTimeout(() => askMargin(list.dataset.marginUrl, say), MARGIN_DELAY_MS);
}

async function askMargin(url, say) {
  const asked = legs.map((leg) => `${leg.kind}${leg.strike}:${leg.lots}`).join(",");
  const query = new URLSearchParams({ expiry: chain.expiry, legs: asked });
  try {
    const answer = await fetch(`${url}?${query}`, { headers: { Accept: "application/json" } });
    const body = await answer.json();
    say("margin", answer.ok ? rupees(Number(body.total)) : body.message);
  } catch {
    say("margin", "–");
  }
}

export function start() {
  const server = Date.parse(document.body.dataset.now);
  if (server) clockSkewMs = server - Date.now();
  setInterval(countAges, 1000);
  stream.on("topic", receive);
  document.addEventListener("desk:prices", prices);
  document.addEventListener("htmx:afterSettle", adopt);
  document.addEventListener("htmx:historyRestore", adopt);
  // The ticket opens at the price that was pressed, not at the one the page came with.
  document.addEventListener("click", (event) => {
    const pressed = page && event.target.closest("[data-at-price]");
    if (pressed) pressed.dataset.price = pressed.textContent.replaceAll(",", "").replace("–", "").trim();
  }, true);
  document.addEventListener("click", (event) => {
    if (!page) return;
    const leg = event.target.closest("[data-leg]");
    if (leg) return addLeg(leg.dataset.leg, Number(leg.dataset.lots));
    const chosen = event.target.closest("[data-preset]");
    if (chosen) {
      legs = preset(chosen.dataset.preset, chain);
      showStrategy();
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-go]")) location.assign(event.target.value);
    if (event.target.matches("[data-options-pick] [data-submit]")) event.target.form.requestSubmit();
  });
  adopt();
}
