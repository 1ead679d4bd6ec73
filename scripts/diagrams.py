"""Write the drawings of the documentation, docs/images/*.svg: `python scripts/diagrams.py`.

A drawing is boxes and arrows on a grid, readable in light and dark: the colours follow what the
reader's device asks for. tests/docs/test_diagrams.py draws them again and compares.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
STYLE = """
text { font: 13px Inter, system-ui, sans-serif; fill: #1c2024; }
.name { font-weight: 600; }
.quiet { fill: #60646c; font-size: 11.5px; }
.box { fill: #ffffff; stroke: #b9bbc6; }
.ours { fill: #edf2fe; stroke: #8da4ef; }
.store { fill: #e9f6e9; stroke: #8ec28e; }
.bar { fill: #8da4ef; } .bar.auction { fill: #f3ba63; } .bar.work { fill: #8ec28e; }
.line { stroke: #60646c; fill: none; stroke-width: 1.3; }
.grid { stroke: #d9d9e0; }
.head { fill: #60646c; }
@media (prefers-color-scheme: dark) {
  text { fill: #edeef0; } .quiet { fill: #b0b4ba; }
  .box { fill: #212225; stroke: #5a6169; } .ours { fill: #182449; stroke: #3a5bc7; }
  .store { fill: #1b2a1e; stroke: #3d7f4b; } .line { stroke: #b0b4ba; } .head { fill: #b0b4ba; }
  .bar { fill: #3e63dd; } .bar.auction { fill: #b5752b; } .bar.work { fill: #3d7f4b; }
  .grid { stroke: #363a3f; }
}
"""


class Drawing:
    """Boxes and arrows; a place is (left, top) in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts: list[str] = []
        self.size, self.title = (width, height), title

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def box(self, x: int, y: int, width: int, name: str, *lines: str, kind: str = "box") -> None:
        height = 28 + 16 * len(lines)
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" class="{kind}"/>'
        )
        self.text(x + 10, y + 19, name, "name")
        for number, line in enumerate(lines):
            self.text(x + 10, y + 36 + 16 * number, line, "quiet")

    def arrow(self, points: str, label: str = "", at: tuple[int, int] = (0, 0)) -> None:
        self.parts.append(f'<polyline points="{points}" class="line" marker-end="url(#head)"/>')
        if label:
            self.text(*at, label, "quiet")

    def bar(self, x: float, y: int, width: float, kind: str = "") -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y}" width="{width:g}" height="14" rx="2" class="bar {kind}"/>'
        )

    def svg(self) -> str:
        width, height = self.size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'width="{width}" height="{height}">\n<title>{escape(self.title)}</title>\n'
            f"<style>{STYLE}</style>\n"
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="head"/></marker>'
            "</defs>\n" + "\n".join(self.parts) + "\n</svg>\n"
        )


def processes() -> Drawing:
    """Who runs, and what flows between them."""
    d = Drawing(860, 430, "The processes and what flows between them")
    d.box(
        20,
        20,
        250,
        "Exchange",
        "Upstox, or the simulated exchange,",
        "or a recorded day: the same wire",
    )
    d.box(590, 20, 250, "REST of the exchange", "quotes, candles, option chains, news")
    d.box(
        20,
        140,
        330,
        "Market engine (one; others stand by)",
        "feed → gate → board → hooks:",
        "matching, triggers, alerts, valuation, chains",
        kind="ours",
    )
    d.box(
        590,
        140,
        250,
        "Worker and beat (Celery)",
        "sweeps, closes, square-off,",
        "snapshots, webhooks",
        kind="ours",
    )
    d.box(
        20,
        262,
        330,
        "Redis",
        "one batch a beat of 20 to 50 ms, doorbells,",
        "heartbeats, limits; no money and no order",
        kind="store",
    )
    d.box(
        590,
        262,
        250,
        "PostgreSQL, or SQLite",
        "orders, fills, ledger, contests;",
        "the last guard of every rule",
        kind="store",
    )
    d.box(230, 372, 400, "Web × N: pages, API, one hub for all its sockets", kind="ours")
    d.arrow("145,80 145,138", "protobuf frames", (153, 112))
    d.arrow("715,64 715,138", "calls within the quota", (723, 104))
    d.arrow("588,164 352,164", "quotes, by exchange time", (400, 158))
    d.arrow("145,200 145,260", "publishes once for all", (153, 234))
    d.arrow("352,190 470,190 470,284 588,284", "books fills in batches", (478, 232))
    d.arrow("715,200 715,260")
    d.arrow("290,322 290,370", "hears", (298, 350))
    d.arrow("600,322 600,370", "reads, places orders", (608, 350))
    d.arrow("230,386 140,386", "", (0, 0))
    d.text(20, 384, "Browsers,", "name")
    d.text(20, 402, "programs", "name")
    return d


def layers() -> Drawing:
    """Who may import whom."""
    d = Drawing(860, 250, "The layers: each may import what stands below it, never above")
    for number, (name, line) in enumerate((
        ("trading", "orders, fills, risk, charges, matching, alerts"),
        ("portfolios", "contests, ledger, positions, valuation, ranks"),
        ("marketdata", "instruments, quotes, sessions, feed, stream, options"),
        ("mockmarket.core", "money, clock, bus, records, supervisor; imports no app"),
    )):  # fmt: skip
        d.box(20, 16 + 58 * number, 430, name, line, kind="ours")
        if number:
            d.arrow(f"235,{2 + 58 * number} 235,{14 + 58 * number}")
    d.text(500, 32, "Inside an app, the same:", "name")
    d.box(500, 46, 340, "interfaces", "views, API, consumers, tasks, commands, admin")
    d.box(500, 108, 340, "services and selectors", "the only writers; the only readers for others")
    d.box(500, 170, 340, "pure modules", "no Django, no clock, no network")
    d.arrow("670,92 670,106")
    d.arrow("670,154 670,168")
    return d


def tick() -> Drawing:
    """From the exchange's frame to the browser's cell."""
    d = Drawing(860, 330, "A tick, from the exchange to the browser")
    steps = (
        ("frame", "marketdata/upstox/feed.py", "own thread; reconnects, cuts silent connections"),
        ("tick", "marketdata/quotes.py", "protobuf to Tick"),
        ("gate", "marketdata/gate.py", "refuses what cannot be true, counts it by reason"),
        (
            "board",
            "marketdata/board.py",
            "numpy columns; newest exchange time wins, field by field",
        ),
        ("bus", "mockmarket/core/bus.py", "one batch of what changed, each 20 to 50 ms"),
        (
            "hub",
            "marketdata/stream/hub.py",
            "encodes each change once; a socket is rows and a cursor",
        ),
    )
    for number, (name, module, line) in enumerate(steps):
        y = 14 + 52 * number
        d.box(20, y, 440, f"{name} · {module}", line, kind="ours")
        if number:
            d.arrow(f"240,{y - 8} 240,{y - 1}")
    d.box(
        560,
        150,
        280,
        "hooks, in this order",
        "orders: trading/desk.py, trading/matching.py",
        "triggers, alerts",
        "valuation and ranks, once a second",
        "option chains",
    )
    d.arrow("460,190 558,190", "each tick", (480, 184))
    d.box(560, 274, 280, "browser, program", "static/js/stream.js, static/js/live.js")
    d.arrow("460,296 558,296", "one frame", (480, 290))
    return d


def order() -> Drawing:
    """From the ticket to the fill and back."""
    d = Drawing(860, 372, "An order, from the ticket to the fill")
    d.box(
        20,
        14,
        400,
        "web · trading/services.py",
        "validate → lock the portfolio → check funds again",
        "→ reserve → insert → commit",
        kind="ours",
    )
    d.box(
        20,
        104,
        400,
        "doorbell · mockmarket/core/bus.py",
        "after the commit; the engine also sweeps",
        "the database each second",
        kind="ours",
    )
    d.box(
        20,
        194,
        400,
        "engine · trading/matching.py",
        "pure: order, quote, depth, phase → fills and the rules;",
        "the filled quantity moves in memory at once",
        kind="ours",
    )
    d.box(
        20,
        284,
        400,
        "engine · trading/settlement.py",
        "lock portfolio, then order → check again → fill,",
        "entry, postings, position, release → commit a batch",
        kind="ours",
    )
    for y in (74, 164, 254):
        d.arrow(f"220,{y} 220,{y + 28}")
    d.box(540, 14, 300, "database", "refuses a second (portfolio, client_order_id)", kind="store")
    d.box(
        540,
        284,
        300,
        "database",
        "refuses a second (order, execution_ref);",
        "postings sum to zero",
        kind="store",
    )
    d.box(
        540,
        150,
        300,
        "outbox → socket",
        "order and trade events, numbered for each user;",
        "`resume` replays the last 300",
    )
    d.arrow("420,36 538,36")
    d.arrow("420,312 538,312")
    d.arrow("690,282 690,212", "publishes what was committed", (520, 250))
    return d


def day() -> Drawing:
    """A session by the clock, since 3 August 2026."""
    left, hour = 190, 92
    d = Drawing(870, 330, "A session of the Indian market by the clock")

    def x(text: str) -> float:
        hours, minutes = text.split(":")
        return left + (int(hours) - 9 + int(minutes) / 60) * hour

    for number in range(9, 17):
        at = x(f"{number}:00")
        d.parts.append(f'<line x1="{at:g}" y1="26" x2="{at:g}" y2="286" class="grid"/>')
        d.text(at, 18, f"{number:02}:00", "quiet", "middle")
    rows: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
        ("Shares", "NSE_EQ", (("9:00", "9:15", "auction"), ("9:15", "15:30", ""))),
        ("Shares with F&O", "auction", (
            ("9:00", "9:15", "auction"), ("9:15", "15:15", ""), ("15:15", "15:35", "auction"))),
        ("Indices", "NSE_INDEX", (("9:15", "15:15", ""), ("15:15", "15:35", "auction"))),
        ("Futures, options", "NSE_FO", (("9:15", "15:40", ""),)),
        ("Feed connected", "", (("9:13", "15:40", "work"),)),
        ("REST, each 5 s", "", (("9:13", "15:40", "work"),)),
        ("Square-off, shares", "15:10", (("15:10", "15:12", "work"),)),
        ("Closing prices", "15:31, 15:36", (
            ("15:31", "15:33", "work"), ("15:36", "15:38", "work"))),
    )  # fmt: skip
    for number, (name, small, bars) in enumerate(rows):
        y = 34 + 31 * number
        d.text(10, y + 12, name)
        d.text(left - 12, y + 12, small, "quiet", "end")
        for start, end, kind in bars:
            d.bar(x(start), y, x(end) - x(start), kind)
    for place, kind, words in ((left, "auction", "auction"), (left + 120, "", "continuous trading"),
                               (left + 300, "work", "what the product does")):  # fmt: skip
        d.bar(place, 304, 22, kind)
        d.text(place + 28, 316, words, "quiet")
    return d


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "processes": processes, "layers": layers, "tick": tick, "order": order, "day": day,
}  # fmt: skip


def main() -> None:
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg())


if __name__ == "__main__":
    main()
