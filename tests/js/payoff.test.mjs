// The strategy's arithmetic, by hand.
import assert from "node:assert/strict";
import { test } from "node:test";

import { breakEvens, extremes, premium, preset, profit } from "../../static/js/payoff.js";

const call = (strike, lots, price) => ({ kind: "C", strike, lots, price });
const put = (strike, lots, price) => ({ kind: "P", strike, lots, price });

test("a bought call loses its premium at most and has no limit above", () => {
  const legs = [call(100, 1, 5)];
  assert.equal(profit(legs, 10, 90), -50);
  assert.equal(profit(legs, 10, 120), 150);
  assert.deepEqual(extremes(legs, 10), { most: Infinity, least: -50 });
  assert.deepEqual(breakEvens(legs, 10), [105]);
});

test("a sold straddle keeps its premium at the strike and breaks even on both sides", () => {
  const legs = [call(100, -1, 6), put(100, -1, 4)];
  assert.equal(premium(legs, 10), -100);
  assert.deepEqual(extremes(legs, 10), { most: 100, least: -Infinity });
  assert.deepEqual(breakEvens(legs, 10), [90, 110]);
});

test("an iron condor is bounded both ways", () => {
  const legs = [put(90, 1, 1), put(95, -1, 2), call(105, -1, 2), call(110, 1, 1)];
  assert.deepEqual(extremes(legs, 10), { most: 20, least: -30 });
  assert.deepEqual(breakEvens(legs, 10), [93, 107]);
});

test("a bought put makes most at zero", () => {
  assert.deepEqual(extremes([put(100, 1, 5)], 1), { most: 95, least: -5 });
});

test("no legs break even nowhere", () => {
  assert.deepEqual(breakEvens([], 1), []);
});

test("presets need every strike that they name", () => {
  const strikes = [98, 99, 100, 101, 102];
  const side = { price: [4, 3, 2, 1, 0.5] };
  const chain = { strikes, spot: 100.2, calls: side, puts: side };
  assert.deepEqual(preset("straddle", chain).map((leg) => leg.strike), [100, 100]);
  assert.deepEqual(preset("condor", chain), []);
  assert.deepEqual(preset("unknown", chain), []);
});

test("a preset's strikes stand one expected move apart", () => {
  const strikes = Array.from({ length: 21 }, (_, row) => 90 + row);
  const side = { price: strikes.map(() => 1) };
  const chain = { strikes, spot: 100, calls: side, puts: side, deviation: 3.2 };
  assert.deepEqual(preset("strangle", chain).map((leg) => leg.strike), [103, 97]);
  assert.deepEqual(preset("condor", chain).map((leg) => leg.strike), [94, 97, 103, 106]);
});
