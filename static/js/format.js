// How numbers and times are written: the same rules as mockmarket/core/formats.py.
// Tests compare the two, so that the first tick does not change how a page looks.

export const UNKNOWN = "–";
const MINUS = "−";
const CRORE = 1e7;
const LAKH = 1e5;

/** Digits in the Indian manner: "12345678" is "1,23,45,678". */
export function grouped(digits) {
  if (digits.length <= 3) return digits;
  const tail = digits.slice(-3);
  const head = digits.slice(0, -3).replace(/\B(?=(\d{2})+$)/g, ",");
  return `${head},${tail}`;
}

/** Rounded half away from zero to `places` (as the server does), grouped, perhaps signed. */
export function number(value, places = 2, signed = false) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  // The shortest decimal text of the double is what the server rounds; scaling by an exponent
  // in text keeps 1.005 from becoming 1.00.
  const size = Math.abs(value);
  let rounded = size;
  if (size < 1e15) {
    const [mantissa, exponent = "0"] = String(size).split("e");
    const scaled = Math.round(Number(`${mantissa}e${Number(exponent) + places}`));
    rounded = scaled;
  }
  let digits = rounded.toFixed(0);
  let fraction = "";
  if (places > 0) {
    digits = digits.padStart(places + 1, "0");
    fraction = `.${digits.slice(-places)}`;
    digits = digits.slice(0, -places);
  }
  const text = grouped(digits) + fraction;
  if (value < 0 && rounded !== 0) return MINUS + text;
  return signed && rounded !== 0 ? `+${text}` : text;
}

/** ₹1,23,456.50; the sign stands before the rupee sign. */
export function rupees(value, places = 2, signed = false) {
  const text = number(value, places, signed);
  if (text === UNKNOWN) return text;
  return text[0] === "+" || text[0] === MINUS ? `${text[0]}₹${text.slice(1)}` : `₹${text}`;
}

/** Above ten lakh in lakh and crore. */
export function compact(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= CRORE) return `${number(value / CRORE)} Cr`;
  if (size >= 10 * LAKH) return `${number(value / LAKH)} L`;
  return number(value, 0);
}

/** +1.25%; the value is already in percent. */
export function percent(value, signed = true) {
  const text = number(value, 2, signed);
  return text === UNKNOWN ? text : `${text}%`;
}

/** "up", "down" or "flat". */
export function direction(value) {
  if (!value || !Number.isFinite(value)) return "flat";
  return value > 0 ? "up" : "down";
}

const SIGNED = new Set(["change", "change_percent", "day_pnl", "unrealised_pnl", "realised_pnl", "return_percent"]);
const WHOLE = new Set(["quantity", "filled_quantity", "rank"]);

/** Whether a field is coloured by its sign. */
export const isSigned = (field) => SIGNED.has(field);

/** The text of one field of a quote, a position or a portfolio. */
export function field(name, value) {
  if (name === "change_percent" || name === "return_percent") return percent(value);
  if (name === "volume" || name === "open_interest") return compact(value);
  if (WHOLE.has(name)) return number(value, 0);
  return number(value, 2, SIGNED.has(name));
}

const IST = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

/** 14:03:27 in the exchange's zone. */
export const istClock = (date) => IST.format(date);

/** 1:42:10 from a number of milliseconds; days when there are any. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const days = Math.floor(seconds / 86400);
  const pad = (part) => String(part).padStart(2, "0");
  const clock = `${Math.floor((seconds % 86400) / 3600)}:${pad(Math.floor((seconds % 3600) / 60))}:${pad(seconds % 60)}`;
  return days > 0 ? `${days} d ${clock}` : clock;
}
