// Profit and loss of a strategy at expiry: piecewise linear, so its extremes and zeros are exact.
// A leg is {kind: "C"|"P", strike, lots, price}; money is in rupees, one lot is `lot` units.

/** Profit at expiry when the underlying settles at `spot`. */
export function profit(legs, lot, spot) {
  let total = 0;
  for (const leg of legs) {
    const intrinsic = leg.kind === "C" ? Math.max(spot - leg.strike, 0) : Math.max(leg.strike - spot, 0);
    total += leg.lots * lot * (intrinsic - leg.price);
  }
  return total;
}

/** Cash paid (positive) or received (negative) when the strategy is opened. */
export const premium = (legs, lot) => legs.reduce((sum, leg) => sum + leg.lots * lot * leg.price, 0);

/** The slope beyond the highest strike: what each further rupee of the underlying brings. */
const slopeAbove = (legs, lot) => legs.reduce((sum, leg) => sum + (leg.kind === "C" ? leg.lots * lot : 0), 0);

const corners = (legs) => [...new Set(legs.map((leg) => leg.strike))].sort((a, b) => a - b);

/** {most, least}: the extremes of profit over all settlements from zero up; ±Infinity if open. */
export function extremes(legs, lot) {
  const values = [0, ...corners(legs)].map((spot) => profit(legs, lot, spot));
  const slope = slopeAbove(legs, lot);
  return {
    most: slope > 0 ? Infinity : Math.max(...values),
    least: slope < 0 ? -Infinity : Math.min(...values),
  };
}

/** Settlements at which the profit is zero, ascending. */
export function breakEvens(legs, lot) {
  if (!legs.length) return [];
  const strikes = corners(legs);
  const slope = slopeAbove(legs, lot);
  const last = strikes[strikes.length - 1];
  const points = [0, ...strikes];
  // Beyond the last strike the line goes on for ever: one more point where it must have crossed.
  const end = profit(legs, lot, last);
  if (slope !== 0 && Math.sign(end) === -Math.sign(slope)) points.push(last - (2 * end) / slope);
  const found = [];
  for (let i = 1; i < points.length; i += 1) {
    const [a, b] = [points[i - 1], points[i]];
    const [pa, pb] = [profit(legs, lot, a), profit(legs, lot, b)];
    if (pa === 0) found.push(a);
    else if (pa * pb < 0) found.push(a + ((b - a) * pa) / (pa - pb));
  }
  if (profit(legs, lot, points[points.length - 1]) === 0) found.push(points[points.length - 1]);
  return [...new Set(found.filter((spot) => spot > 0).map((spot) => Math.round(spot * 100) / 100))];
}

/**
 * Legs of a preset around the money, its strikes one expected move apart (1.5 % of the spot where
 * none is known); strikes that the chain lacks leave the preset empty.
 */
export function preset(name, chain) {
  const { strikes, spot } = chain;
  const centre = strikes.reduce((best, k, i) => (Math.abs(k - spot) < Math.abs(strikes[best] - spot) ? i : best), 0);
  const gap = (strikes[centre + 1] ?? spot) - strikes[centre];
  const step = Math.max(1, Math.round((chain.deviation || spot * 0.015) / gap));
  const at = (kind, offset, lots) => {
    const row = centre + offset * step;
    const side = kind === "C" ? chain.calls : chain.puts;
    const price = side.price[row];
    return price === null || price === undefined ? null : { kind, strike: strikes[row], lots, price };
  };
  const shapes = {
    straddle: [at("C", 0, -1), at("P", 0, -1)],
    strangle: [at("C", 1, -1), at("P", -1, -1)],
    spread: [at("C", 0, 1), at("C", 1, -1)],
    condor: [at("P", -2, 1), at("P", -1, -1), at("C", 1, -1), at("C", 2, 1)],
  };
  const legs = shapes[name] || [];
  return legs.every(Boolean) ? legs : [];
}
