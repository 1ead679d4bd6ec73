// The browser client without a browser: a fake clock, a fake socket, a fake REST.
import assert from "node:assert/strict";
import { test } from "node:test";

import { delay, numbers, Order, Stream } from "../../static/js/stream.js";

class World {
  constructor() {
    this.time = 0;
    this.timers = new Map();
    this.next = 1;
    this.sockets = [];
    this.asked = [];
    this.quotes = {};
  }

  env() {
    return {
      open: () => {
        const socket = { sent: [], send: (text) => socket.sent.push(JSON.parse(text)), close() {} };
        this.sockets.push(socket);
        return socket;
      },
      quotes: async (keys) => {
        this.asked.push(keys);
        return this.quotes;
      },
      onVisibility: (tell) => (this.visibility = tell),
      onNetwork: (tell) => (this.network = tell),
      onActivity: (tell) => (this.activity = tell),
      online: () => true,
      now: () => this.time,
      random: () => 0.5,
      setTimeout: (work, ms) => {
        this.timers.set(this.next, { at: this.time + ms, work });
        return this.next++;
      },
      clearTimeout: (id) => this.timers.delete(id),
    };
  }

  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at);
      if (!due.length) break;
      const [id, timer] = due[0];
      this.timers.delete(id);
      this.time = timer.at;
      timer.work();
      await new Promise((done) => setImmediate(done));
    }
    this.time = end;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  say(frame) {
    this.socket.onmessage({ data: JSON.stringify(frame) });
  }

  welcome(seq = 0, epoch = "e") {
    this.say({ type: "welcome", epoch, seq, limits: { instruments: 100 } });
  }
}

function open(options) {
  const world = new World();
  const stream = new Stream(world.env());
  const seen = [];
  for (const name of ["price", "event", "resync", "state", "depth", "topic"]) {
    stream.on(name, (detail) => seen.push([name, detail]));
  }
  stream.start(options);
  return { world, stream, seen, of: (name) => seen.filter(([n]) => n === name).map(([, d]) => d) };
}

test("the first delay is 3 s on average and the ceiling grows to a minute", () => {
  assert.equal(delay(0, 0.5), 3000);
  assert.equal(delay(0, 0), 0);
  assert.ok(delay(3, 0.5) > delay(1, 0.5));
  assert.equal(delay(50, 1), 60_000);
});

test("REST strings become numbers, times and words stay", () => {
  assert.deepEqual(
    numbers({ last_price: "101.50", volume: 3, timestamp: "2026", source: "cache", bid: null }),
    { last_price: 101.5, volume: 3, timestamp: "2026", source: "cache", bid: null },
  );
});

test("Order gives out once, in order, and passes live events", () => {
  const order = new Order();
  order.start("e", 4);
  assert.deepEqual(order.take({ seq: 6 }), []);
  assert.ok(order.gap);
  assert.deepEqual(order.take({ seq: 4, live: true }), [{ seq: 4, live: true }]);
  assert.deepEqual(order.take({ seq: 5 }), [{ seq: 5 }, { seq: 6 }]);
  assert.deepEqual(order.take({ seq: 5 }), []);
  assert.ok(!order.gap);
});

test("wanted keys are told once, after the burst, and again after a reconnect", async () => {
  const { world, stream } = open();
  world.welcome();
  stream.want(new Set(["B"]));
  stream.want(new Set(["B", "A"]));
  await world.advance(300);
  assert.deepEqual(world.socket.sent, [{ action: "set", instruments: ["A", "B"] }]);
  stream.want(new Set(["A", "B"]));
  await world.advance(300);
  assert.equal(world.socket.sent.length, 1);
  world.socket.onclose({ code: 1012 });
  await world.advance(3000);
  assert.equal(world.sockets.length, 2);
  world.welcome();
  assert.deepEqual(world.socket.sent, [{ action: "set", instruments: ["A", "B"] }]);
});

test("prices merge, and come over REST every ten seconds while the socket is away", async () => {
  const { world, stream, of } = open();
  world.welcome();
  stream.want(new Set(["A"]));
  await world.advance(300);
  world.say({ type: "prices_batch", data: { A: { last_price: 1, high: 2 } } });
  world.say({ type: "price_update", instrument_key: "A", data: { last_price: 3 } });
  assert.deepEqual(stream.prices.get("A"), { last_price: 3, high: 2 });
  world.quotes = { A: { last_price: "4.00" } };
  world.socket.onclose({ code: 1006 });
  await world.advance(0);
  assert.equal(world.asked.length, 1);
  assert.equal(stream.prices.get("A").last_price, 4);
  await world.advance(20_000);
  assert.equal(world.asked.length, 3);
  assert.equal(of("price").at(-1).A.last_price, 4);
});

test("events are replayed after a reconnect and shown once", async () => {
  const { world, of } = open();
  world.welcome(5);
  world.say({ type: "trade", seq: 6, data: 6 });
  world.socket.onclose({ code: 1006 });
  await world.advance(3000);
  world.welcome(9);
  assert.deepEqual(world.socket.sent, [{ action: "resume", epoch: "e", seq: 6 }]);
  world.say({ type: "trade", seq: 10, data: 10 });
  for (const seq of [7, 8, 9, 10]) world.say({ type: "trade", seq, data: seq });
  assert.deepEqual(of("event").map((event) => event.seq), [6, 7, 8, 9, 10]);
});

test("a hole asks for a replay, another epoch for a refetch", async () => {
  const { world, of } = open({ epoch: "e", seq: 1 });
  world.welcome(1);
  world.say({ type: "trade", seq: 3, data: 3 });
  await world.advance(2000);
  assert.deepEqual(world.socket.sent.at(-1), { action: "resume", epoch: "e", seq: 1 });
  world.say({ type: "resync", epoch: "e", seq: 7 });
  assert.equal(of("resync").length, 1);
  world.say({ type: "trade", seq: 8, data: 8 });
  assert.deepEqual(of("event").map((event) => event.seq), [8]);
  world.socket.onclose({ code: 1006 });
  await world.advance(3000);
  world.welcome(2, "other");
  assert.equal(of("resync").length, 2);
});

test("signed out is final, idle waits for the user", async () => {
  const gone = open();
  gone.world.welcome();
  gone.world.socket.onclose({ code: 4401 });
  await gone.world.advance(120_000);
  assert.equal(gone.world.sockets.length, 1);
  assert.equal(gone.stream.state, "closed");

  const idle = open();
  idle.world.welcome();
  idle.world.socket.onclose({ code: 4408 });
  await idle.world.advance(120_000);
  assert.equal(idle.world.sockets.length, 1);
  idle.world.activity();
  await idle.world.advance(0);
  assert.equal(idle.world.sockets.length, 2);
});

test("a hidden tab pauses its prices after half a minute and resumes", async () => {
  const { world, stream } = open();
  world.welcome();
  stream.want(new Set(["A"]));
  await world.advance(300);
  world.visibility(true);
  await world.advance(5000);
  world.visibility(false);
  assert.equal(world.socket.sent.length, 1);
  world.visibility(true);
  await world.advance(20_000);
  world.say({ type: "pong", id: null });
  await world.advance(10_500);
  assert.deepEqual(world.socket.sent.filter((s) => s.action === "set").at(-1).instruments, []);
  world.visibility(false);
  assert.deepEqual(world.socket.sent.filter((s) => s.action === "set").at(-1).instruments, ["A"]);
});

test("a connection that stopped answering is replaced", async () => {
  const { world } = open();
  world.welcome();
  await world.advance(25_000);
  assert.deepEqual(world.socket.sent.at(-1), { action: "ping" });
  world.say({ type: "pong", id: null });
  await world.advance(25_000);
  await world.advance(10_000 + 6_000);
  assert.equal(world.sockets.length, 2);
});
