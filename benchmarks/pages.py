"""The pages in Chromium: `python -m benchmarks.pages [--quick] [--json]`.

Keys: first_live_price_ms, main_thread_share_200_rows (of one core), long_frames (over 50 ms),
js_css_kib (compressed, without the chart library), server_p95_ms (50 users).
Starts the product itself. The rival of each figure is its goal.
"""

import gzip
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.common import run
from tests.support.product import Product, running
from tests.support.waiting import eventually

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
ROOT = Path(__file__).resolve().parent.parent
GOALS = {
    "first_live_price_ms": 1000,
    "main_thread_share_200_rows": 0.30,
    "long_frames": 0,
    "js_css_kib": 150,
    "server_p95_ms": 100,
}
PATHS = ("/", "/market/", "/portfolio/", "/orders/", "/stocks/RELIANCE/", "/movers/")
# A page of 200 rows, each told five times a second: through the product's own live.js.
ROWS_SETUP = """async (rows) => {
  const { stream } = await import("app/stream.js");
  const main = document.getElementById("main");
  const table = document.createElement("table");
  table.className = "data fixed";
  const body = table.createTBody();
  const keys = [];
  for (let i = 0; i < rows; i += 1) {
    const key = `BENCH|${i}`;
    keys.push(key);
    const row = body.insertRow();
    row.style.height = "3px";
    for (const field of ["last_price", "change", "change_percent", "volume"]) {
      const cell = document.createElement("span");
      cell.className = "n";
      cell.style.fontSize = "2px";
      cell.dataset.instrument = key;
      cell.dataset.field = field;
      cell.textContent = "–";
      row.insertCell().append(cell);
    }
  }
  main.replaceChildren(table);
  await new Promise((done) => setTimeout(done, 500));
  window.bench = { frames: [], long: 0 };
  let last = performance.now();
  const frame = (now) => {
    if (now - last > 50) window.bench.long += 1;
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  let beat = 0;
  setInterval(() => {
    beat += 1;
    const data = {};
    keys.forEach((key, i) => {
      const price = 1000 + i + Math.sin(beat + i) * 5;
      data[key] = {
        last_price: price, change: price - 1000, change_percent: (price - 1000) / 10,
        volume: beat * 1000 + i,
      };
    });
    for (const listener of stream.listeners.get("price")) listener(data);
  }, 200);
}"""


def log_in(page: Page, product: Product, user: str) -> None:
    """Through the form."""
    page.goto(f"{product.url}/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", product.password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{product.url}/")


def first_live_price(browser: Browser, product: Product, *, rounds: int) -> float:
    """Median milliseconds from the start of a navigation to the first cell that a tick changed."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    log_in(page, product, "student21")
    page.add_init_script(
        "document.addEventListener('desk:prices',"
        " () => { window.firstLive ??= performance.now(); }, { once: true });"
    )
    times: list[float] = []
    for _ in range(rounds):
        page.goto(f"{product.url}/market/")
        # Not wait_for_function: it evaluates text in the page, which the page's policy forbids.
        eventually(lambda: page.evaluate("window.firstLive !== undefined"), seconds=30, poll=0.1)
        times.append(float(page.evaluate("window.firstLive")))
    context.close()
    return round(statistics.median(times), 1)


def two_hundred_rows(browser: Browser, product: Product, *, seconds: float) -> tuple[float, int]:
    """Share of one core that the page's main thread takes, and frames over 50 ms."""
    context = browser.new_context(viewport={"width": 1366, "height": 1400})
    page = context.new_page()
    log_in(page, product, "student22")
    page.goto(f"{product.url}/learn/")
    page.wait_for_timeout(2000)
    page.evaluate(ROWS_SETUP, 200)
    page.wait_for_timeout(1500)
    session = context.new_cdp_session(page)
    # Seconds of the thread, not of the clock: what else runs on the machine does not count.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    page.evaluate("window.bench.long = 0")
    before, started = spent(), time.monotonic()
    page.wait_for_timeout(seconds * 1000)
    share = (spent() - before) / (time.monotonic() - started)
    long_frames = page.evaluate("window.bench.long")
    context.close()
    return round(share, 3), int(long_frames)


def weight_kib() -> float:
    """Compressed KiB of what every page loads: own CSS and JS, normalize, htmx."""
    files = [*(ROOT / "static" / "css").rglob("*.css"), *(ROOT / "static" / "js").rglob("*.js")]
    files += [
        ROOT / "node_modules" / "modern-normalize" / "modern-normalize.css",
        ROOT / "node_modules" / "htmx.org" / "dist" / "htmx.min.js",
    ]
    return round(sum(len(gzip.compress(path.read_bytes())) for path in files) / 1024, 1)


def server_p95(product: Product, *, users: int, seconds: float) -> float:
    """The 95th percentile of page times with `users` reading a page every two seconds."""
    times: list[float] = []
    lock = threading.Lock()
    stop = time.monotonic() + seconds + 5

    def read(number: int) -> None:
        session = requests.Session()
        session.get(f"{product.url}/login/", timeout=60)
        session.post(
            f"{product.url}/login/",
            data={
                "username": f"student{number:02}",
                "password": product.password,
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            },
            timeout=60,
        )
        time.sleep(number / users * 2)
        turn = number
        while time.monotonic() < stop:
            started = time.monotonic()
            session.get(product.url + PATHS[turn % len(PATHS)], timeout=60)
            with lock:
                times.append((time.monotonic() - started) * 1000)
            turn += 1
            time.sleep(2)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(1, users + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The first round also signs in and warms caches.
    return round(statistics.quantiles(times[users:] or times, n=20)[-1], 1)


def measure(*, quick: bool) -> dict[str, Any]:
    """Every figure, with the goals and the machine."""
    with running("sqlite") as product, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        share, long_frames = two_hundred_rows(browser, product, seconds=5 if quick else 20)
        figures: dict[str, Any] = {
            "first_live_price_ms": first_live_price(browser, product, rounds=3 if quick else 10),
            "main_thread_share_200_rows": share,
            "long_frames": long_frames,
            "js_css_kib": weight_kib(),
        }
        browser.close()
        figures["server_p95_ms"] = server_p95(product, users=50, seconds=8 if quick else 40)
    return figures | {f"{name}_goal": goal for name, goal in GOALS.items()}


if __name__ == "__main__":
    run("pages", measure)
