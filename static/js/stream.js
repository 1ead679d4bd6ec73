// The browser's end of /ws/: one socket a tab for prices and the user's own events.
//
// Prices: `want(keys)` says what the page shows; frames come back as "price" with a map of
// instrument key to changed fields. While the socket is away, prices are asked for over REST every
// ten seconds. Events: numbered ones are given out once and in order, whatever the network does;
// what was missed is replayed, or the page is told to refetch ("resync"). The pure parts and the
// class take their surroundings as arguments, so that tests run without a browser.

const RECONNECT_MS = 6_000; // the first delay is drawn from 0 to this: 3 s on average
const RECONNECT_MS_MAX = 60_000;
const GROWTH = 1.6;
const POLL_MS = 10_000;
const PING_MS = 25_000;
const ANSWER_MS = 10_000; // for the welcome, and for any frame after a ping
const WANT_MS = 250; // changes of a page come in bursts; a user has ten changes a minute
const HIDDEN_MS = 30_000; // a glance at another tab costs no change
const TOUCH_MS = 600_000; // a page in use says so: sockets close after an hour without action
const RESUME_MS = 2_000;
const FINAL = new Set([4401, 4403]);
const IDLE = 4408;

/** How long to wait before attempt `n` (from 0): full jitter under a growing ceiling. */
export function delay(attempt, random) {
  return random * Math.min(RECONNECT_MS_MAX, RECONNECT_MS * GROWTH ** attempt);
}

/** The numbers of a REST quote, whose prices are strings. */
export function numbers(quote) {
  const result = {};
  for (const [name, value] of Object.entries(quote)) {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
    result[name] = name !== "timestamp" && Number.isFinite(number) ? number : value;
  }
  return result;
}

/** Gives out numbered events once and in order. `take` returns what may be shown now. */
export class Order {
  constructor(seq = null, epoch = null) {
    this.seq = seq;
    this.epoch = epoch;
    this.early = new Map();
  }

  start(epoch, seq) {
    this.epoch = epoch;
    this.seq = seq;
    for (const number of this.early.keys()) if (number <= seq) this.early.delete(number);
    return this.#ready();
  }

  take(event) {
    if (event.live) return [event];
    if (this.seq === null) this.seq = event.seq - 1;
    if (event.seq <= this.seq) return [];
    this.early.set(event.seq, event);
    return this.#ready();
  }

  get gap() {
    return this.early.size > 0;
  }

  #ready() {
    const ready = [];
    while (this.early.has(this.seq + 1)) {
      this.seq += 1;
      ready.push(this.early.get(this.seq));
      this.early.delete(this.seq);
    }
    return ready;
  }
}

const PLAIN = new Set([
  "welcome", "status", "subscription_confirmed", "unsubscription_confirmed",
  "subscription_deferred", "prices_batch", "price_update", "indices_update", "depth_update",
  "pong", "options_confirmed", "depth_confirmed", "topics_confirmed", "resync", "error",
]);

/** What a page talks to. Events: price, indices, status, event, depth, topic, state, resync. */
export class Stream {
  constructor(surroundings) {
    this.env = surroundings;
    this.state = "closed";
    this.prices = new Map(); // key -> everything last heard, merged
    this.status = null;
    this.limits = { instruments: 100 };
    this.order = new Order();
    this.listeners = new Map();
    this.wanted = new Set();
    this.sent = ""; // what the server was last told to send, as sorted JSON
    this.depthKey = null;
    this.topicNames = [];
    this.socket = null;
    this.attempt = 0;
    this.timers = {};
    this.hidden = false;
    this.touched = 0;
    this.heard = 0;
  }

  /** Call `listener(detail)` on every `name`; returns the function that ends it. */
  on(name, listener) {
    if (!this.listeners.has(name)) this.listeners.set(name, new Set());
    this.listeners.get(name).add(listener);
    return () => this.listeners.get(name).delete(listener);
  }

  /** Connect and stay connected. `epoch` and `seq` are where the page's own numbers stand. */
  start({ epoch = null, seq = null } = {}) {
    if (this.started) return;
    this.started = true;
    this.order = new Order(seq, epoch);
    this.env.onVisibility((hidden) => this.#visibility(hidden));
    this.env.onNetwork((online) => (online ? this.#connectSoon(0) : this.#offline()));
    this.env.onActivity(() => this.#touch());
    this.#connect();
  }

  /** Make `keys` (a Set) everything this page shows; what is over the limit is left out. */
  want(keys) {
    this.wanted = new Set([...keys].slice(0, this.limits.instruments));
    this.#later("want", WANT_MS, () => this.#tellWanted());
    if (this.state !== "open") this.#pollSoon();
  }

  /** Follow the order book of one instrument; null ends it. */
  depth(key) {
    this.depthKey = key;
    this.#send({ action: "depth", instrument: null });
    if (key !== null) this.#send({ action: "depth", instrument: key });
  }

  /** Follow named topics (two at most), such as an option chain. */
  topics(names) {
    this.topicNames = [...names];
    this.#send({ action: "topics", topics: this.topicNames });
  }

  // --- Connection -------------------------------------------------------------------------
  #connect() {
    this.#cancel("connect");
    if (this.socket || !this.started) return;
    this.#setState(this.attempt ? "reconnecting" : "connecting");
    const socket = this.env.open();
    this.socket = socket;
    this.#later("answer", ANSWER_MS, () => this.#drop(socket));
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = (event) => this.#closed(socket, event.code);
  }

  #drop(socket) {
    // A half-open connection never tells; close() may take minutes to fire onclose.
    if (this.socket !== socket) return;
    socket.onclose = null;
    socket.close();
    this.#closed(socket, 1006);
  }

  #closed(socket, code) {
    if (this.socket !== socket) return;
    this.socket = null;
    this.sent = "";
    for (const name of ["answer", "ping", "want", "resume"]) this.#cancel(name);
    if (FINAL.has(code)) {
      this.#setState("closed");
      this.#cancel("poll");
      return;
    }
    if (code === IDLE) {
      this.idle = true; // the next movement of the user connects again
      this.#setState("offline");
    } else {
      this.#setState(this.env.online() ? "reconnecting" : "offline");
      this.#connectSoon(delay(this.attempt, this.env.random()));
      this.attempt += 1;
    }
    this.#pollSoon();
  }

  #connectSoon(milliseconds) {
    if (!this.socket && this.state !== "closed") {
      this.#later("connect", milliseconds, () => this.#connect());
    }
  }

  #offline() {
    this.#setState("offline");
    if (this.socket) this.#drop(this.socket);
  }

  #ping() {
    const socket = this.socket;
    this.#later("ping", PING_MS, () => {
      this.#send({ action: "ping" });
      this.#later("answer", ANSWER_MS, () => this.#drop(socket));
      this.#ping();
    });
  }

  #send(action) {
    if (this.state === "open" && this.socket) this.socket.send(JSON.stringify(action));
  }

  // --- Frames -----------------------------------------------------------------------------
  #receive(text) {
    const frame = JSON.parse(text);
    if (this.state === "open") this.#cancel("answer");
    switch (frame.type) {
      case "welcome":
        return this.#welcome(frame);
      case "prices_batch":
        return this.#price(frame.data);
      case "price_update":
        return this.#price({ [frame.instrument_key]: frame.data });
      case "indices_update":
        this.#merge(frame.data);
        return this.#emit("indices", frame.data);
      case "status":
        this.status = frame;
        return this.#emit("status", frame);
      case "depth_update":
        return this.#emit("depth", frame);
      case "resync":
        this.order.start(frame.epoch ?? this.order.epoch, frame.seq);
        return this.#emit("resync", frame);
      case "error":
        return this.#emit("error", frame);
    }
    if (frame.topic !== undefined) return this.#emit("topic", frame);
    if (!PLAIN.has(frame.type)) this.#event(frame);
    return undefined;
  }

  #welcome(frame) {
    this.#cancel("answer");
    this.#cancel("poll");
    this.attempt = 0;
    this.limits = frame.limits;
    this.#setState("open");
    this.#ping();
    this.#tellWanted();
    if (this.depthKey !== null) this.depth(this.depthKey);
    if (this.topicNames.length) this.topics(this.topicNames);
    const { epoch, seq } = this.order;
    if (epoch === null || seq === null) {
      this.order.start(frame.epoch, frame.seq);
    } else if (epoch !== frame.epoch) {
      this.order.start(frame.epoch, frame.seq);
      this.#emit("resync", frame);
    } else if (seq < frame.seq) {
      this.#send({ action: "resume", epoch, seq });
    }
  }

  #event(frame) {
    for (const ready of this.order.take(frame)) this.#emit("event", ready);
    if (this.order.gap && !this.timers.resume) {
      this.#later("resume", RESUME_MS, () => {
        const { epoch, seq } = this.order;
        if (this.order.gap) this.#send({ action: "resume", epoch, seq });
      });
    }
  }

  #price(data, stale = false) {
    this.#merge(data);
    this.#emit("price", data, { stale });
  }

  #merge(data) {
    for (const [key, fields] of Object.entries(data)) {
      this.prices.set(key, { ...this.prices.get(key), ...fields });
    }
  }

  // --- What the page shows ------------------------------------------------------------------
  #tellWanted() {
    const keys = this.hidden ? [] : [...this.wanted].sort();
    const said = JSON.stringify(keys);
    if (this.state !== "open" || said === (this.sent || "[]")) return;
    this.sent = said;
    this.#send({ action: "set", instruments: keys });
  }

  #visibility(hidden) {
    if (hidden) {
      this.#later("hide", HIDDEN_MS, () => {
        this.hidden = true;
        this.#cancel("poll");
        this.#tellWanted();
      });
      return;
    }
    this.#cancel("hide");
    this.hidden = false;
    if (this.state === "open") {
      this.#tellWanted();
    } else {
      this.#wake();
      this.#pollSoon();
    }
  }

  #touch() {
    const now = this.env.now();
    if (now - this.touched < TOUCH_MS && !this.idle) return;
    this.touched = now;
    this.#wake();
    this.#send({ action: "options", updates: "batch" });
  }

  #wake() {
    this.idle = false;
    this.#connectSoon(0);
  }

  // --- REST while the socket is away ----------------------------------------------------------
  #pollSoon() {
    if (this.hidden || !this.started || this.timers.poll || this.state === "closed") return;
    this.#later("poll", this.polledAt === undefined ? 0 : POLL_MS, () => this.#poll());
  }

  async #poll() {
    if (this.state === "open") return;
    this.polledAt = this.env.now();
    const keys = [...this.wanted];
    if (keys.length) {
      try {
        const quotes = await this.env.quotes(keys);
        if (this.state !== "open") {
          const data = {};
          for (const [key, quote] of Object.entries(quotes)) data[key] = numbers(quote);
          this.#price(data, true);
        }
      } catch {
        // The server is away altogether: the page keeps its prices, marked as stale.
      }
    }
    this.#pollSoon();
  }

  // --- Small things ---------------------------------------------------------------------------
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.#emit("state", state);
  }

  #emit(name, ...details) {
    for (const listener of this.listeners.get(name) ?? []) listener(...details);
  }

  #later(name, milliseconds, work) {
    this.#cancel(name);
    this.timers[name] = this.env.setTimeout(() => {
      delete this.timers[name];
      work();
    }, milliseconds);
  }

  #cancel(name) {
    if (this.timers[name] !== undefined) this.env.clearTimeout(this.timers[name]);
    delete this.timers[name];
  }
}

/** The surroundings of a page. */
export function browser() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return {
    open: () => new WebSocket(`${scheme}//${location.host}/ws/`),
    quotes: async (keys) => {
      const query = new URLSearchParams({ instruments: keys.join(",") });
      const response = await fetch(`/api/v1/quotes/?${query}`, {
        headers: { Accept: "application/json" },
      });
      if (!response.ok) throw new Error(`quotes answered ${response.status}`);
      return (await response.json()).data;
    },
    onVisibility: (tell) =>
      document.addEventListener("visibilitychange", () => tell(document.hidden)),
    onNetwork: (tell) => {
      addEventListener("online", () => tell(true));
      addEventListener("offline", () => tell(false));
    },
    onActivity: (tell) => {
      for (const name of ["pointerdown", "keydown"]) addEventListener(name, tell);
    },
    online: () => navigator.onLine,
    now: () => Date.now(),
    random: () => Math.random(),
    setTimeout: (work, milliseconds) => setTimeout(work, milliseconds),
    clearTimeout: (timer) => clearTimeout(timer),
  };
}

export const stream = new Stream(typeof document === "undefined" ? null : browser());
