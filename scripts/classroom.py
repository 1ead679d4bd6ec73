"""A class at work in the demonstration, so that its pictures show a term and not an empty desk.

Staff set a contest up in the administration, some students join it, and trade.
"""

import os
import sys
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
STUDENT, STAFF = "student01", "admin"
CONTEST, SLUG, CODE = "Autumn term", "autumn-term", "K7M2QWX4"
# What the first student buys: symbol, quantity, and at how many percent of the price a limit waits.
TRADES = (("RELIANCE", 12, 0), ("TCS", 8, 0), ("SBIN", 30, 0), ("INFY", 15, 0), ("ITC", 60, 97))
WATCHED = ("RELIANCE", "TCS", "SBIN", "INFY", "ITC", "HDFCBANK", "MARUTI", "TITAN", "LT")
# The others, for a leaderboard worth looking at; what each of them buys.
CLASSMATES = (
    "HDFCBANK", "TATASTEEL", "ICICIBANK", "WIPRO", "MARUTI", "LT", "AXISBANK", "TITAN", "HAL",
    "BHARTIARTL", "SUNPHARMA",
)  # fmt: skip
REASON = "Above its average of twenty sessions; wrong below last week's low."


def password() -> str:
    """The demonstration's password."""
    known = os.environ.get("DEMO_PASSWORD")
    folder = Path(os.environ.get("VAR_DIR", ROOT / "var"))
    return known or (folder / "demo_password").read_text().strip()


class Student:
    """A student's calls to the API."""

    def __init__(self, url: str, name: str) -> None:
        self.api = f"{url}/api/v1"
        self.session = requests.Session()
        pair = self.call("POST", "auth/token/", username=name, password=password())
        self.session.headers["Authorization"] = f"Bearer {pair['access']}"

    def call(self, method: str, path: str, **body: object) -> Any:
        answer = self.session.request(method, f"{self.api}/{path}", json=body or None, timeout=60)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def key_of(self, symbol: str) -> str:
        found = self.call("GET", f"instruments/?search={symbol}&segment=NSE_EQ&limit=500")[
            "results"
        ]
        return str(next(row["instrument_key"] for row in found if row["symbol"] == symbol))

    def price_of(self, symbol: str) -> float:
        key = self.key_of(symbol)
        return float(self.call("GET", f"quotes/?instruments={key}")["data"][key]["last_price"])

    def order(self, symbol: str, quantity: int, *, percent: int = 0) -> None:
        """Buy at the market, or with a limit at so many percent of the price."""
        more = {"order_type": "MARKET"}
        if percent:
            price = int(self.price_of(symbol) * percent / 100)
            more = {"order_type": "LIMIT", "price": f"{price}.00"}
        self.call(
            "POST", "orders/", contest=SLUG, instrument_key=self.key_of(symbol), side="BUY",
            quantity=quantity, product="CNC", validity="DAY", reason=REASON, **more,
        )  # fmt: skip

    def watch(self, symbols: tuple[str, ...]) -> None:
        made = self.call("POST", "watchlists/", name="My shares")
        for symbol in symbols:
            path = f"watchlists/{made['id']}/items/"
            self.call("POST", path, instrument_key=self.key_of(symbol))


def is_at_work(url: str) -> bool:
    """Whether there is nothing left to do. Ends the program where the market is not live."""
    first = Student(url, STUDENT)
    state = first.call("GET", "market/status/")["status"]
    if state != "live":
        sys.exit(f"the market is {state}: pictures need one that is open and live")
    return any(one["slug"] == SLUG for one in first.call("GET", "contests/")["results"])


def set_up(staff: Page, url: str) -> None:
    """In the administration: a contest from a template, open to join, then started."""
    staff.goto(f"{url}/admin/portfolios/contest/add/?template=classroom")
    for name, value in {
        "name": CONTEST, "join_code": CODE, "capacity": "60",
        "rule_minimum_fills": "1", "reason": "The second course of the year",
    }.items():  # fmt: skip
        staff.fill(f"[name={name}]", value)
    # The form makes the short name from the name while one types; so it is set last.
    staff.locator("[name=slug]").evaluate("(field, slug) => { field.value = slug; }", SLUG)
    staff.click("button[name=_continue], input[name=_continue]")
    staff.wait_for_url("**/change/**")
    for action in ("Open to join", "Start or resume"):
        staff.get_by_role("link", name=action).click()
        staff.locator("#dialog-form [name=reason]").fill("As announced to the class")
        staff.get_by_role("button", name=action).click()
        staff.get_by_text(f"{action}: done.").wait_for()


def trade(url: str) -> None:
    """Everybody joins and buys; the first student watches, and waits for a price."""
    names = [STUDENT, *(f"student{number:02}" for number in range(2, 2 + len(CLASSMATES)))]
    students = [Student(url, name) for name in names]
    for student in students:
        student.call("POST", "contests/join/", code=CODE)
    first, others = students[0], students[1:]
    first.watch(WATCHED)
    for symbol, quantity, percent in TRADES:
        first.order(symbol, quantity, percent=percent)
    for number, (student, symbol) in enumerate(zip(others, CLASSMATES, strict=True)):
        student.order(symbol, int((80_000 + 12_000 * number) / student.price_of(symbol)))
