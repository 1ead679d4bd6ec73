// Small SVG charts for the option page: bars and lines by strike, and the payoff.

import { compact, number } from "app/format.js";

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 280;
const HEIGHT = 132;
const BOTTOM = 16;

function node(parent, name, attributes, text) {
  const element = document.createElementNS(NS, name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/** Clears `svg` and returns scales for x in [from, to] and y in [low, high]. */
function frame(svg, from, to, low, high) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const x = (value) => ((value - from) / (to - from || 1)) * WIDTH;
  const y = (value) => (HEIGHT - BOTTOM) * (1 - (value - low) / (high - low || 1));
  return { x, y };
}

function marks(svg, x, values, spot) {
  if (spot) node(svg, "line", { class: "spot", x1: x(spot), x2: x(spot), y1: 0, y2: HEIGHT - BOTTOM });
  for (const [value, anchor] of values) {
    node(svg, "text", { x: x(value), y: HEIGHT - 3, "text-anchor": anchor }, number(value, 0));
  }
}

/** What the top of the chart stands for. */
const top = (svg, text) => node(svg, "text", { x: 0, y: 9, class: "top" }, text);

const ends = (list) => [[list[0], "start"], [list[list.length - 1], "end"]];
const known = (list) => list.filter((value) => value !== null && Number.isFinite(value));

/** Bars of one or two series (class name -> values) by strike. */
export function bars(svg, strikes, series, spot) {
  const all = Object.values(series).flatMap(known);
  if (!all.length) return svg.replaceChildren();
  const gap = strikes.length > 1 ? strikes[1] - strikes[0] : 1;
  const low = Math.min(0, ...all);
  const { x, y } = frame(svg, strikes[0] - gap, strikes[strikes.length - 1] + gap, low, Math.max(0, ...all));
  const names = Object.keys(series);
  const width = Math.max(1, (0.8 * (x(gap) - x(0))) / names.length);
  names.forEach((name, order) => {
    series[name].forEach((value, row) => {
      if (!value) return;
      const top = Math.min(y(value), y(0));
      const tone = name === "signed" ? (value > 0 ? "put" : "call") : name;
      node(svg, "rect", {
        class: tone, x: x(strikes[row]) + (order - names.length / 2) * width, y: top, width,
        height: Math.abs(y(value) - y(0)),
      });
    });
  });
  node(svg, "line", { class: "axis", x1: 0, x2: WIDTH, y1: y(0), y2: y(0) });
  marks(svg, x, ends(strikes), spot);
  top(svg, compact(Math.max(...all)));
}

/** Lines of series (class name -> fractions, shown as percent) by strike. */
export function lines(svg, strikes, series, spot) {
  const all = Object.values(series).flatMap(known);
  if (!all.length) return svg.replaceChildren();
  const { x, y } = frame(svg, strikes[0], strikes[strikes.length - 1], Math.min(...all) * 0.95, Math.max(...all) * 1.05);
  for (const name in series) {
    const points = series[name]
      .map((value, row) => (value === null ? null : `${x(strikes[row])},${y(value)}`))
      .filter(Boolean);
    if (points.length) node(svg, "path", { class: name, d: `M${points.join("L")}` });
  }
  marks(svg, x, ends(strikes), spot);
  top(svg, `${number(Math.max(...all) * 100, 1)}%`);
}

/** A function drawn over [from, to], shaded above and below zero. */
export function payoff(svg, from, to, profit, spot) {
  const steps = 160;
  const values = Array.from({ length: steps + 1 }, (_, i) => profit(from + ((to - from) * i) / steps));
  const { x, y } = frame(svg, from, to, Math.min(0, ...values), Math.max(0, ...values));
  const at = (i) => x(from + ((to - from) * i) / steps);
  for (const [name, keep] of [["gain", Math.max], ["loss", Math.min]]) {
    const outline = values.map((value, i) => `${at(i)},${y(keep(value, 0))}`);
    node(svg, "polygon", { class: name, points: `0,${y(0)} ${outline.join(" ")} ${WIDTH},${y(0)}` });
  }
  node(svg, "line", { class: "axis", x1: 0, x2: WIDTH, y1: y(0), y2: y(0) });
  node(svg, "path", { class: "line", d: `M${values.map((value, i) => `${at(i)},${y(value)}`).join("L")}` });
  marks(svg, x, [[from, "start"], [to, "end"]], spot);
}
