"""The whole product through a day of NSE's hours, and on a recorded day: `manage.py up` as staff
start it, with the processes' clock set to the day.

Not mocked: exchange, engine, web, worker and beat are processes of their own.
"""

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from marketdata.exchange import recordings
from tests.faults.student import RELIANCE, Student
from tests.support.product import Product, running
from tests.support.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

CLOCK = Path(__file__).parents[1] / "support" / "clock_ahead"
NIFTY = "NSE_INDEX|Nifty 50"
NIFTY_SYMBOL = "NIFTY"


def at(ist: str) -> dict[str, str]:
    """The environment in which a product's clock stands at an instant of India."""
    ahead = datetime.fromisoformat(f"{ist}+05:30").timestamp() - time.time()
    return {"PYTHONPATH": str(CLOCK), "CLOCK_AHEAD_SECONDS": str(ahead)}


PLAIN_CONTEST = """
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import contests, services
from portfolios.models import Contest
at = clock.now()
rules = contests.Rules()
Contest.objects.create(
    name="Plain", slug="plain", join_code="PLAIN", state="RUNNING", starts_at=at, created_at=at,
    rules=rules.as_json(), rules_hash=rules.digest(),
)
services.join_contest(user=User.objects.get(username="student01"), code="PLAIN", at=at)
"""


def positions(student: Student) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = student.get("positions/")["results"]
    return found


def swept(student: Student) -> list[dict[str, Any]]:
    """NIFTY's nearest chain, once its prices have come."""
    chain = student.get(f"options/{NIFTY}/chain/")
    return [chain] if any(row["call"]["ask"] for row in chain["strikes"]) else []


def held(student: Student) -> dict[str, dict[str, Any]]:
    """What is open, by instrument."""
    return {row["instrument_key"]: row for row in positions(student) if row["quantity"]}


def settlements(student: Student) -> list[dict[str, Any]]:
    """Entries of expiry and daily settlement; margin moves are of kind SETTLEMENT too."""
    return [
        row
        for row in student.get("ledger/", kind="SETTLEMENT")["results"]
        if row["reference"].startswith(("expiry:", "mtm:"))
    ]


def page_of(product: Product, path: str) -> requests.Response:
    """A page as student01's browser gets it."""
    with requests.Session() as browser:
        login = f"{product.url}/login/"
        browser.get(login, timeout=60)
        form = {
            "username": "student01",
            "password": product.password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        browser.post(login, data=form, headers={"Referer": login}, timeout=60)
        return browser.get(f"{product.url}/{path}", timeout=60)


def go_on(product: Product, ist: str) -> None:
    """Stop the product and start it again at another instant."""
    product.stop()
    product.environment |= at(ist)
    product.log = product.folder / f"up-{ist[-8:]}.log"
    product.start()


def test_an_option_and_a_future_through_the_day_on_which_the_option_expires() -> None:
    settings = {"MARKET_HOURS": "nse", "PRACTICE_DERIVATIVES": "true"}
    with running("sqlite", **settings, **at("2026-12-01T14:00:00")) as product:
        product.manage("shell", "-c", PLAIN_CONTEST)
        student = Student(product)
        assert student.get("market/status/")["phase"]["NSE_FO"] == "CONTINUOUS"
        # Swept within the minute; nobody watches these contracts, so they are bought by limit.
        [chain] = eventually(lambda: swept(student), seconds=150, poll=2)
        assert chain["expiry"] == "2026-12-01"
        spot, lot = float(chain["spot"]), chain["lot_size"]
        deep = min(chain["strikes"], key=lambda row: abs(float(row["strike"]) - 0.98 * spot))
        option, dear = deep["call"]["instrument_key"], round(float(deep["call"]["ask"]) * 1.05)
        [future] = [
            row["instrument_key"]
            for row in student.get("instruments/", search="NIFTY FUT", segment="NSE_FO")["results"]
            if row["symbol"] == "NIFTY FUT 29 DEC 26"
        ]

        limit = {"product": "NRML", "order_type": "LIMIT"}
        refused = student.buy(option, lot, price=dear, contest="plain", **limit)
        assert refused.status_code >= 400, refused.text
        assert refused.json()["error"]["code"] == "contest_rule"
        assert "rule" in refused.json()["error"]["fields"]

        for key, price in ((option, dear), (future, round(spot * 1.02))):
            answer = student.buy(key, lot, price=price, **limit)
            assert answer.status_code == 201, answer.text
        eventually(lambda: len(held(student)) == 2, seconds=60, poll=1)
        paid = float(held(student)[option]["cost"])
        # A mark at the price that was paid would move nothing, and post no entry.
        bought = held(student)[future]["average_price"]
        eventually(lambda: held(student)[future]["last_price"] != bought, seconds=60, poll=1)
        assert not settlements(student)

        go_on(product, "2026-12-01T15:46:00")
        student = Student(product)
        closed = student.get("market/status/")
        assert (closed["status"], closed["phase"]["NSE_EQ"]) == ("closed", "POST_CLOSE")
        assert closed["next_open"].startswith("2026-12-02T03:45")
        eventually(lambda: len(settlements(student)) == 2, seconds=240, poll=2)
        expiry, mark = sorted(settlements(student), key=lambda row: row["reference"])
        assert expiry["reference"].startswith("expiry:")
        assert mark["reference"].startswith("mtm:2026-12-01:")
        assert set(held(student)) == {future}
        gone = next(row for row in positions(student) if row["instrument_key"] == option)
        # Deep in the money: worth about 2 % of the spot, less what was paid and the tax.
        assert abs(float(gone["realised_pnl"]) + paid - 0.02 * spot * lot) < 0.02 * spot * lot
        assert "exercised" in expiry["description"]
        assert "The books prove" in product.manage("check_ledger")
        assert "difference" not in product.manage("verify_fills").lower()

        for page in ("funds/", "portfolio/", "orders/", f"options/{NIFTY_SYMBOL}/"):
            assert page_of(product, page).status_code == 200
        funds = page_of(product, "funds/").text
        assert expiry["description"] in funds
        assert "marked to" in funds

        go_on(product, "2026-12-02T09:16:30")  # the next session begins, and nothing comes twice
        student = Student(product)
        eventually(lambda: student.get("market/status/")["status"] == "live", seconds=60, poll=1)
        time.sleep(45)
        assert len(settlements(student)) == 2
        assert student.get(f"options/{NIFTY}/chain/")["expiry"] == "2026-12-08"


def test_a_recorded_day_is_the_market_of_a_product() -> None:
    """What `record_market` took of the simulated exchange is played by MARKET_SOURCE=replay, on a
    weekend and whatever MARKET_HOURS says: its last prices stand on the pages."""
    with running("sqlite", MARKET_HOURS="always", **at("2026-11-27T11:00:00")) as product:
        port = re.search(r"simulated exchange on port (\d+)", product.output())
        assert port
        feed = {"UPSTOX_FEED_URL": f"ws://127.0.0.1:{port[1]}/v3/feed/market-data-feed"}
        product.environment |= feed
        product.manage("record_market", "--keys", f"{NIFTY},{RELIANCE}", "--seconds", "12")
        day = product.folder / "recordings" / "2026-11-27.frames"
        last = {
            entry.record.key: entry.record.last_price
            for entry in recordings.load(day)
            if entry.record.last_price
        }
        assert set(last) == {NIFTY, RELIANCE}

        del product.environment["UPSTOX_FEED_URL"]
        product.environment |= {
            "MARKET_SOURCE": "replay",
            "MARKET_REPLAY_DIR": "2026-11-27",
            "MARKET_HOURS": "nse",
        }
        go_on(product, "2026-11-28T12:00:00")  # a Saturday
        student = Student(product)

        def shown() -> dict[str, float]:
            found = student.get("quotes/", instruments=f"{NIFTY},{RELIANCE}")["data"]
            return {key: float(row["last_price"]) for key, row in found.items()}

        eventually(lambda: shown() == last, seconds=90, poll=1)
        status = student.get("market/status/")
        assert (status["source"], status["phase"]["NSE_EQ"]) == ("replay", "CONTINUOUS")
        text = page_of(product, "").text
        assert "Replayed market" in text
        assert "27 Nov 2026" in text  # how old the prices are
        assert "upkeep failed" not in product.output()
