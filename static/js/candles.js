// The stock page's chart: candles or line, volume, averages, own fills; the last bar is live.

import { chartOptions, istSeconds, token } from "app/chart-theme.js";
import { pin } from "app/live.js";
import { number } from "app/format.js";
import { averages, studies } from "app/studies.js";
import * as library from "lightweight-charts";

const SECONDS = { "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "1d": 86400 };

async function load(key, interval) {
  const response = await fetch(`/api/v1/instruments/${encodeURIComponent(key)}/candles/?interval=${interval}`, {
    headers: { Accept: "application/json" },
  });
  if (!response.ok) throw new Error(`candles ${response.status}`);
  const { candles } = await response.json();
  return candles.map(([start, open, high, low, close, volume]) => ({
    time: istSeconds(start), open: Number(open), high: Number(high), low: Number(low),
    close: Number(close), volume: Number(volume) || 0,
  }));
}

class CandleChart {
  constructor(box) {
    this.box = box;
    this.key = box.dataset.instrumentKey;
    this.interval = box.dataset.interval || "1m";
    this.style = "candles";
    this.on = new Set((box.dataset.studies || "").split(" ").filter(Boolean));
    this.bars = [];
    this.extra = [];
    this.lines = [];
    this.marks = null;
    this.lastVolume = null;
    this.legend = box.querySelector(".chart-legend");
    this.state = box.querySelector(".chart-state");
    this.chart = library.createChart(box, chartOptions());
    this.abort = new AbortController();
    const signal = { signal: this.abort.signal };
    document.addEventListener("desk:prices", (event) => this.live(event.detail.get(this.key)), signal);
    document.addEventListener("htmx:afterSettle", (event) => {
      if (event.target.querySelector?.("#own-fills")) this.own();
    }, signal);
    document.addEventListener("desk:theme", () => this.rebuild(), signal);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild(), signal);
    const frame = box.closest(".chart-box");
    frame?.addEventListener("click", (event) => this.press(event, frame), signal);
    this.chart.subscribeCrosshairMove((where) => this.describe(where));
    pin("chart", [this.key]);
  }

  press(event, frame) {
    const button = event.target.closest("[data-interval], [data-style], [data-study], [data-fullscreen]");
    if (!button) return;
    if (button.dataset.fullscreen !== undefined) {
      if (document.fullscreenElement) document.exitFullscreen();
      else frame.requestFullscreen();
      return;
    }
    if (button.dataset.interval) {
      this.interval = button.dataset.interval;
      this.mark(frame, "interval", button);
      this.refresh();
    } else if (button.dataset.style) {
      this.style = button.dataset.style;
      this.mark(frame, "style", button);
      this.rebuild();
    } else {
      const name = button.dataset.study;
      if (!this.on.delete(name)) this.on.add(name);
      button.setAttribute("aria-pressed", String(this.on.has(name)));
      this.rebuild();
    }
  }

  mark(frame, kind, chosen) {
    for (const other of frame.querySelectorAll(`[data-${kind}]`)) other.setAttribute("aria-pressed", String(other === chosen));
  }

  async refresh() {
    this.bars = await load(this.key, this.interval);
    this.rebuild();
    this.chart.timeScale().setVisibleLogicalRange({ from: this.bars.length - 120, to: this.bars.length + 4 });
  }

  rebuild() {
    const view = this.chart.timeScale().getVisibleLogicalRange();
    for (const series of [this.main, this.volume, ...this.extra]) if (series) this.chart.removeSeries(series);
    while (this.chart.panes().length > 1) this.chart.removePane(this.chart.panes().length - 1);
    this.extra = [];
    this.chart.applyOptions(chartOptions());
    const up = token("--up-solid");
    const down = token("--down-solid");
    this.main = this.style === "line"
      ? this.chart.addSeries(library.LineSeries, { color: token("--accent"), lineWidth: 2 })
      : this.chart.addSeries(library.CandlestickSeries, {
        upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false,
      });
    this.volume = this.chart.addSeries(library.HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "", lastValueVisible: false, priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.tints = [token("--up-flash"), token("--down-flash")];
    this.main.setData(this.style === "line" ? this.bars.map((bar) => ({ time: bar.time, value: bar.close })) : this.bars);
    // An index is not traded: no row of zeros below it.
    this.volume.setData(this.bars.some((bar) => bar.volume > 0) ? this.bars.map((bar) => this.volumeBar(bar)) : []);
    this.extra = studies(library, this.chart, this.bars, this.on);
    this.box.dataset.panes = String(this.chart.panes().length);
    this.marks = null; // they and the lines went with the series
    this.lines = [];
    this.own();
    if (view) this.chart.timeScale().setVisibleLogicalRange(view);
    if (this.state) {
      this.state.hidden = this.bars.length > 0;
      if (!this.bars.length) this.state.textContent = this.box.dataset.empty;
    }
    this.describe();
  }

  volumeBar(bar) {
    return { time: bar.time, value: bar.volume, color: bar.close >= bar.open ? this.tints[0] : this.tints[1] };
  }

  /** Own fills as arrows on the bars in which they happened, own orders and average as lines.
      Read from the page's own part, which the server writes anew after every order event. */
  own() {
    if (!this.main || !this.bars.length) return;
    const read = (id) => JSON.parse(document.getElementById(id)?.value || "[]");
    const size = SECONDS[this.interval] || 60;
    const first = this.bars[0].time;
    const marks = read("own-fills")
      .map((fill) => ({ ...fill, time: Math.floor(istSeconds(fill.at) / size) * size }))
      .filter((fill) => fill.time >= first)
      .sort((a, b) => a.time - b.time)
      .map((fill) => ({
        time: fill.time,
        position: fill.side === "BUY" ? "belowBar" : "aboveBar",
        shape: fill.side === "BUY" ? "arrowUp" : "arrowDown",
        color: token(fill.side === "BUY" ? "--up-solid" : "--down-solid"),
        text: `${fill.side === "BUY" ? "B" : "S"} ${fill.quantity}`,
      }));
    if (this.marks) this.marks.setMarkers(marks);
    else this.marks = library.createSeriesMarkers(this.main, marks);
    this.box.dataset.fills = String(marks.length);
    for (const line of this.lines) this.main.removePriceLine(line);
    this.lines = read("own-lines").map((line) => this.main.createPriceLine({
      price: line.price, title: line.title, lineWidth: 1, axisLabelVisible: true,
      lineStyle: library.LineStyle[line.side ? "Dashed" : "Dotted"],
      color: token(line.side === "BUY" ? "--up-solid" : line.side ? "--down-solid" : "--accent"),
    }));
  }

  /** Folds a tick into the last bar, or opens the next one. */
  live(data) {
    if (!(data?.last_price > 0) || !this.main) return; // a market that never traded has null
    const size = SECONDS[this.interval] || 60;
    const at = istSeconds(data.timestamp ?? Date.now());
    const start = this.interval === "1d" ? Math.floor(at / 86400) * 86400 : Math.floor(at / size) * size;
    const price = data.last_price;
    let bar = this.bars.at(-1);
    if (bar && start < bar.time && this.interval !== "1d") return;
    if (!bar || start > bar.time) {
      bar = { time: start, open: price, high: price, low: price, close: price, volume: 0 };
      this.bars.push(bar);
    }
    bar.high = Math.max(bar.high, price);
    bar.low = Math.min(bar.low, price);
    bar.close = price;
    if (data.volume !== undefined) {
      if (this.lastVolume !== null && data.volume > this.lastVolume) bar.volume += data.volume - this.lastVolume;
      this.lastVolume = data.volume;
    }
    this.main.update(this.style === "line" ? { time: bar.time, value: bar.close } : bar);
    if (bar.volume > 0) this.volume.update(this.volumeBar(bar));
    for (const series of this.extra) series.deskUpdate?.(this.bars);
    if (this.state) this.state.hidden = true;
    this.describe();
  }

  describe(where) {
    if (!this.legend) return;
    const bar = (where?.time !== undefined && this.bars.find((one) => one.time === where.time)) || this.bars.at(-1);
    if (!bar) return;
    const parts = [["O", bar.open], ["H", bar.high], ["L", bar.low], ["C", bar.close]]
      .map(([name, value]) => `${name} ${number(value)}`);
    if (bar.volume > 0) parts.push(`V ${number(bar.volume, 0)}`);
    for (const [name, value] of averages(this.bars, this.on, bar.time)) parts.push(`${name} ${number(value)}`);
    this.legend.textContent = parts.join("   ");
  }

  stop() {
    this.abort.abort();
    pin("chart", null);
    this.chart.remove();
  }
}

export async function draw(box) {
  const chart = new CandleChart(box);
  await chart.refresh();
  return () => chart.stop();
}
