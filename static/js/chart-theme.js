// The chart's colours are the page's: read from the tokens, again when the theme changes.

/** A token as a colour that canvas understands (light-dark() is resolved by the browser). */
export function token(name) {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** 21 Nov, 14:03; a bar of a day has no time of day: 21 Nov 2026. */
function moment(seconds) {
  const at = new Date(seconds * 1000);
  const part = (options) => new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options }).format(at);
  const day = `${at.getUTCDate()} ${part({ month: "short" })}`;
  if (seconds % 86400 === 0) return `${day} ${at.getUTCFullYear()}`;
  return `${day}, ${part({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}`;
}

/** Options of lightweight-charts for the current theme. */
export function chartOptions() {
  const font = getComputedStyle(document.documentElement).fontFamily;
  return {
    autoSize: true,
    layout: {
      background: { type: "solid", color: "transparent" },
      textColor: token("--quiet"),
      fontFamily: font,
      fontSize: 11,
      panes: { separatorColor: token("--line-strong"), separatorHoverColor: token("--control-hover") },
      attributionLogo: false, // named beside the chart in text instead: its logo needs inline style
    },
    grid: {
      vertLines: { color: token("--line") },
      horzLines: { color: token("--line") },
    },
    rightPriceScale: { borderColor: token("--line") },
    timeScale: { borderColor: token("--line"), timeVisible: true, secondsVisible: false },
    crosshair: { mode: 0 },
    localization: {
      priceFormatter: (price) => new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(price),
      timeFormatter: (time) => moment(time),
    },
  };
}

const IST_SECONDS = 19800;

/** Epoch seconds shifted so that a chart, which draws in UTC, shows Indian time. */
export const istSeconds = (iso) => Math.floor((typeof iso === "number" ? iso : Date.parse(iso)) / 1000) + IST_SECONDS;
