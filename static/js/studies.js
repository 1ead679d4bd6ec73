// Indicators over the chart's bars, computed in the browser from what is drawn, so that the last
// bar's value is live. Definitions as in marketdata/indicators.py; tests compare the two.

import { token } from "app/chart-theme.js";

/** Simple moving average; null until there are `length` values. */
export function sma(values, length) {
  const out = new Array(values.length).fill(null);
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) {
    sum += values[i];
    if (i >= length) sum -= values[i - length];
    if (i >= length - 1) out[i] = sum / length;
  }
  return out;
}

/** Exponential moving average, seeded with the simple average of the first `length`. */
export function ema(values, length) {
  const out = new Array(values.length).fill(null);
  if (values.length < length) return out;
  const weight = 2 / (length + 1);
  let current = values.slice(0, length).reduce((sum, value) => sum + value, 0) / length;
  out[length - 1] = current;
  for (let i = length; i < values.length; i += 1) {
    current += weight * (values[i] - current);
    out[i] = current;
  }
  return out;
}

/** Bollinger bands: the average and two population deviations either side. */
export function bollinger(values, length = 20, width = 2) {
  const middle = sma(values, length);
  return middle.map((mean, i) => {
    if (mean === null) return [null, null, null];
    const window = values.slice(i - length + 1, i + 1);
    const deviation = Math.sqrt(window.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length);
    return [mean - width * deviation, mean, mean + width * deviation];
  });
}

/** Wilder's relative strength index. */
export function rsi(values, length = 14) {
  const out = new Array(values.length).fill(null);
  if (values.length <= length) return out;
  let gain = 0;
  let loss = 0;
  for (let i = 1; i <= length; i += 1) {
    const move = values[i] - values[i - 1];
    if (move > 0) gain += move;
    else loss -= move;
  }
  gain /= length;
  loss /= length;
  const value = () => (loss === 0 ? (gain === 0 ? 50 : 100) : 100 - 100 / (1 + gain / loss));
  out[length] = value();
  for (let i = length + 1; i < values.length; i += 1) {
    const move = values[i] - values[i - 1];
    gain = (gain * (length - 1) + Math.max(move, 0)) / length;
    loss = (loss * (length - 1) + Math.max(-move, 0)) / length;
    out[i] = value();
  }
  return out;
}

/** MACD: the line (12 less 26), its signal (9) and their difference. */
export function macd(values) {
  const fast = ema(values, 12);
  const slow = ema(values, 26);
  const line = slow.map((value, i) => (value === null ? null : fast[i] - value));
  const first = line.findIndex((value) => value !== null);
  const signal = new Array(values.length).fill(null);
  if (first >= 0) ema(line.slice(first), 9).forEach((value, i) => { signal[first + i] = value; });
  return { line, signal, bars: line.map((value, i) => (signal[i] === null ? null : value - signal[i])) };
}

const STUDIES = {
  sma20: { name: "SMA 20", pane: 0, colour: "--amber-11", values: (closes) => sma(closes, 20) },
  ema50: { name: "EMA 50", pane: 0, colour: "--teal-11", values: (closes) => ema(closes, 50) },
};

function line(library, chart, bars, spec, pane) {
  const series = chart.addSeries(library.LineSeries, {
    color: token(spec.colour), lineWidth: 1, priceLineVisible: false, lastValueVisible: pane > 0,
    title: pane > 0 ? spec.name : "", crosshairMarkerVisible: false,
  }, pane);
  const data = (all) => {
    const values = spec.values(all.map((bar) => bar.close));
    return all.map((bar, i) => (values[i] === null ? { time: bar.time } : { time: bar.time, value: values[i] }));
  };
  series.setData(data(bars));
  series.deskUpdate = (all) => {
    const recent = all.slice(-400); // an average's memory of older bars is below a paisa
    const values = spec.values(recent.map((bar) => bar.close));
    const last = values.at(-1);
    if (last !== null) series.update({ time: recent.at(-1).time, value: last });
  };
  return series;
}

/** MACD less its signal, as bars. */
function difference(library, chart, bars, pane) {
  const series = chart.addSeries(library.HistogramSeries, { priceLineVisible: false, lastValueVisible: false }, pane);
  const tints = [token("--up-flash"), token("--down-flash")];
  const bar = (time, value) => (value === null ? { time } : { time, value, color: tints[value < 0 ? 1 : 0] });
  const values = (all) => macd(all.map((one) => one.close)).bars;
  series.setData(values(bars).map((value, i) => bar(bars[i].time, value)));
  series.deskUpdate = (all) => {
    const recent = all.slice(-400);
    const last = values(recent).at(-1);
    if (last !== null) series.update(bar(recent.at(-1).time, last));
  };
  return series;
}

/** Adds the chosen studies to a chart; each series updates itself with the last bar. */
export function studies(library, chart, bars, chosen) {
  const made = [];
  for (const [key, spec] of Object.entries(STUDIES)) {
    if (chosen.has(key)) made.push(line(library, chart, bars, spec, 0));
  }
  if (chosen.has("bollinger")) {
    for (const edge of [0, 1, 2]) {
      made.push(line(library, chart, bars, {
        name: "BB", colour: "--slate-9", values: (closes) => bollinger(closes).map((band) => band[edge]),
      }, 0));
    }
  }
  let pane = 1;
  if (chosen.has("rsi")) {
    const series = line(library, chart, bars, { name: "RSI 14", colour: "--accent-text", values: (closes) => rsi(closes) }, pane);
    for (const price of [30, 70]) {
      series.createPriceLine({ price, color: token("--line-strong"), lineWidth: 1, lineStyle: library.LineStyle.Dashed, axisLabelVisible: false });
    }
    made.push(series);
    pane += 1;
  }
  if (chosen.has("macd")) {
    made.push(difference(library, chart, bars, pane));
    made.push(line(library, chart, bars, { name: "MACD", colour: "--accent-text", values: (closes) => macd(closes).line }, pane));
    made.push(line(library, chart, bars, { name: "Signal", colour: "--amber-11", values: (closes) => macd(closes).signal }, pane));
  }
  // The price keeps most of the height.
  chart.panes().forEach((one, index) => one.setStretchFactor(index ? 1 : 3));
  return made;
}

/** Name and value of the chosen averages at a time, for the legend. */
export function averages(bars, chosen, time) {
  const out = [];
  const index = bars.findIndex((bar) => bar.time === time);
  if (index < 0) return out;
  const closes = bars.slice(Math.max(0, index - 400), index + 1).map((bar) => bar.close);
  for (const [key, spec] of Object.entries(STUDIES)) {
    const value = chosen.has(key) ? spec.values(closes).at(-1) : null;
    if (value !== null) out.push([spec.name, value]);
  }
  return out;
}
