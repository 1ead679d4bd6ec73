// Line charts: an equity curve against NIFTY, or up to five shares from one starting point.
// The data stands in a JSON block that data-source names; the newest point may be live.

import { chartOptions, istSeconds, token } from "app/chart-theme.js";
import { stream } from "app/stream.js";
import * as library from "lightweight-charts";

const COLOURS = ["--accent", "--slate-9", "--teal-11", "--amber-11", "--red-11"];

function points(list) {
  const seen = new Map();
  for (const [at, value] of list) if (value !== null) seen.set(istSeconds(at), Number(value));
  return [...seen].sort((a, b) => a[0] - b[0]).map(([time, value]) => ({ time, value }));
}

export async function draw(box) {
  const source = document.getElementById(box.dataset.source);
  const { lines, percent, start } = JSON.parse(source.value);
  const state = box.querySelector(".chart-state");
  if (!lines.some((line) => line.points.length > 1)) {
    state.dataset.keep = "";
    state.textContent = box.dataset.empty;
    box.classList.add("none");
    return () => {};
  }
  const chart = library.createChart(box, chartOptions());
  const all = lines.map((line, index) => {
    const series = chart.addSeries(index === 0 && box.dataset.area !== undefined ? library.AreaSeries : library.LineSeries, {
      lineWidth: index === 0 ? 2 : 1.5,
      title: line.name,
      priceLineVisible: false,
      ...(percent ? { priceFormat: { type: "custom", formatter: (value) => `${value.toFixed(2)}%` } } : {}),
    });
    series.setData(points(line.points));
    return series;
  });
  const down = box.dataset.tone === "down";
  const tone = down ? "down" : "accent";
  const paint = () => {
    chart.applyOptions(chartOptions());
    if (percent) chart.applyOptions({ localization: { priceFormatter: (value) => `${value.toFixed(2)}%` } });
    all.forEach((series, index) => {
      const colour = token(down ? "--down-solid" : COLOURS[index % COLOURS.length]);
      series.applyOptions({ color: colour, lineColor: colour, topColor: token(`--${tone}-tint`), bottomColor: token(down ? "--down-tint" : "--panel") });
    });
  };
  paint();
  chart.timeScale().fitContent();
  const abort = new AbortController();
  document.addEventListener("desk:theme", paint, { signal: abort.signal });
  const newestTime = points(lines[0].points).at(-1)?.time ?? 0;
  const quit = box.dataset.live === "equity" && start ? stream.on("event", ({ type, data }) => {
    if (type !== "portfolio_update" || String(data.portfolio_id) !== document.body.dataset.portfolioId) return;
    // One point a minute, like the kept ones: the newest moves until the next minute begins.
    const minute = Math.floor(istSeconds(Date.now()) / 60) * 60;
    all[0].update({ time: Math.max(minute, newestTime), value: (data.equity / start - 1) * 100 });
  }) : () => {};
  return () => {
    quit();
    abort.abort();
    chart.remove();
  };
}
