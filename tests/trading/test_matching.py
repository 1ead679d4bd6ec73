"""How a fill is decided: worked examples, properties, and agreement with a plain model."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.quotes import Level
from tests.trading.reference import Model
from trading import auction
from trading.explain import Look, inputs_json, look_of, quote_json
from trading.liquidity import Pool
from trading.matching import Decision, Market, Settings, Working, match

D = Decimal
NOW = 1_800_000_000_000


def levels(text: str) -> tuple[Level, ...]:
    """`100.05x30 100.10x70`."""
    pairs = (part.split("x") for part in text.split())
    return tuple(Level(D(price), int(quantity)) for price, quantity in pairs)


def market(**fields: object) -> Market:
    return Market(
        **{  # type: ignore[arg-type]
            "instrument_key": "NSE_EQ|ACME",
            "tick_size": D("0.05"),
            "phase": "CONTINUOUS",
            "source": "stream",
            "received_ms": NOW - 100,
            "exchange_ms": NOW - 150,
            "last_price": D(100),
            "volume": 10_000,
            "bids": levels("99.95x50 99.90x80"),
            "asks": levels("100.05x30 100.10x70 100.20x500"),
            "book_received_ms": NOW - 100,
            **fields,
        }
    )


def order(side: str, quantity: int, limit: str | None = None, **fields: object) -> Working:
    return Working(
        **{  # type: ignore[arg-type]
            "buy": side == "BUY",
            "quantity": quantity,
            "filled": 0,
            "limit": None if limit is None else D(limit),
            "market": limit is None,
            **fields,
        }
    )


def decide(one: Working, seen: Market, *, traded: int = 0, book: bool = True) -> Decision:
    offers = seen.asks if one.buy else seen.bids
    return match(
        order=one, market=seen, offers=offers if book else None, traded=traded,
        settings=Settings(), now_ms=NOW,
    )  # fmt: skip


def fills(decision: Decision) -> list[tuple[int, str]]:
    return [(m.quantity, f"{m.price.normalize():f}") for m in decision.matches]


def test_a_market_order_walks_the_levels() -> None:
    assert fills(decide(order("BUY", 110), market())) == [
        (30, "100.05"), (70, "100.1"), (10, "100.2")
    ]  # fmt: skip
    assert fills(decide(order("SELL", 60), market())) == [(50, "99.95"), (10, "99.9")]


def test_what_the_book_does_not_show_stays_unfilled() -> None:
    decision = decide(order("SELL", 1_000), market())
    assert decision.quantity == 130
    assert not decision.resting
    assert not decision.cancel


def test_a_crossing_limit_fills_at_the_displayed_price_and_rests_with_the_rest() -> None:
    decision = decide(order("BUY", 150, "100.10"), market())
    assert fills(decision) == [(30, "100.05"), (70, "100.1")]
    assert decision.resting


def test_immediate_or_cancel_cancels_the_rest() -> None:
    decision = decide(order("BUY", 150, "100.10", ioc=True), market())
    assert decision.quantity == 100
    assert decision.cancel
    assert not decision.resting


def test_a_resting_limit_fills_at_its_limit_when_the_other_side_reaches_it() -> None:
    seen = market(asks=levels("99.50x40 99.80x200"), last_price=D("99.50"))
    assert fills(decide(order("BUY", 100, "99.80", resting=True), seen)) == [(100, "99.8")]


def test_a_touch_of_the_last_price_does_not_fill_a_resting_limit() -> None:
    seen = market(last_price=D("99.80"))
    assert not decide(order("BUY", 100, "99.80", resting=True), seen, traded=500).matches


def test_trades_through_a_resting_limit_fill_a_share() -> None:
    seen = market(last_price=D("99.75"))
    assert fills(decide(order("BUY", 100, "99.80", resting=True), seen, traded=25)) == [
        (25, "99.8")
    ]


@pytest.mark.parametrize(
    ("side", "trigger", "last", "wakes"),
    [
        ("BUY", "101", "100.95", False),
        ("BUY", "101", "101", True),
        ("SELL", "99", "99.05", False),
        ("SELL", "99", "98.50", True),
    ],
)
def test_stops_wake_on_the_last_price(side: str, trigger: str, last: str, wakes: bool) -> None:
    one = order(side, 10, trigger=D(trigger), armed=True)
    assert decide(one, market(last_price=D(last))).triggered is wakes


def test_a_stop_does_not_wake_on_a_trade_before_its_acceptance() -> None:
    assert not decide(order("SELL", 10, trigger=D(101), armed=False), market()).triggered


def test_an_old_quote_fills_nothing_and_says_its_age() -> None:
    decision = decide(order("BUY", 10), market(received_ms=NOW - 7_400))
    assert decision.waiting == "stale_quote seconds=7"
    assert not decision.matches


def test_a_quote_of_before_the_clock_was_set_back_fills_nothing() -> None:
    """It is an hour ahead: for an hour it would be younger than any limit."""
    ahead = NOW + 3_600_000
    decision = decide(order("BUY", 10), market(received_ms=ahead, book_received_ms=ahead))
    assert decision.waiting == "stale_quote seconds=3600"
    assert not decision.matches
    # The clocks of two machines may differ by a little.
    assert decide(order("BUY", 10), market(received_ms=NOW + 900)).matches


@pytest.mark.parametrize("phase", ["PRE_OPEN", "CLOSING_AUCTION", "POST_CLOSE", "CLOSED", ""])
def test_nothing_fills_outside_continuous_trading(phase: str) -> None:
    assert decide(order("BUY", 10), market(phase=phase)) == Decision()


def test_no_fill_outside_the_band() -> None:
    seen = market(band_high=D("100.05"))
    assert fills(decide(order("BUY", 100), seen)) == [(30, "100.05")]


def test_without_a_book_the_model_charges_spread_and_slippage() -> None:
    seen = market(asks=(), bids=(), book_received_ms=None)
    decision = decide(order("BUY", 100), seen, book=False)
    # 5 bps half spread and 10 bps for 1 % of the volume, up to the next tick.
    assert fills(decision) == [(100, "100.15")]
    assert fills(decide(order("SELL", 100), seen, book=False)) == [(100, "99.85")]


def test_an_old_book_is_not_traded_on() -> None:
    seen = market(book_received_ms=NOW - 60_000)
    assert "model" in decide(order("BUY", 100), seen).path[-1]


def test_own_fills_eat_the_level_until_it_shows_another_quantity() -> None:
    pool, shown = Pool(), levels("100.05x30 100.10x70")
    pool.take(asks=True, shown=shown, price=D("100.05"), quantity=20)
    assert pool.offers(asks=True, shown=shown)[0].quantity == 10
    assert pool.offers(asks=True, shown=levels("100.05x31 100.10x70"))[0].quantity == 31
    pool.take(asks=True, shown=shown, price=D("100.10"), quantity=100)
    assert [level.quantity for level in pool.offers(asks=True, shown=shown)] == [0, 0]
    assert pool.offers(asks=True, shown=levels("100.10x70"))[0].quantity == 0
    assert pool.offers(asks=True, shown=shown)[0].quantity == 30  # the level had gone


prices = st.integers(9_900, 10_100).map(lambda cents: cents // 5 * 5)
sides = st.lists(
    st.tuples(prices, st.integers(1, 60)), min_size=0, max_size=5, unique_by=lambda level: level[0]
)


@settings(max_examples=300)
@given(
    book=st.tuples(sides, sides),
    last=prices,
    orders=st.lists(
        st.tuples(
            st.booleans(), st.integers(1, 150), st.one_of(st.none(), prices), st.booleans(),
            st.integers(0, 50),
        ),
        min_size=1,
        max_size=6,
    ),
)  # fmt: skip
def test_it_agrees_with_the_plain_model(
    book: tuple[list[tuple[int, int]], list[tuple[int, int]]],
    last: int,
    orders: list[tuple[bool, int, int | None, bool, int]],
) -> None:
    bids, asks = sorted(book[0], reverse=True), sorted(book[1])
    model = Model(asks=asks, bids=bids, last=last)
    seen = market(
        asks=tuple(Level(D(p) / 100, q) for p, q in asks),
        bids=tuple(Level(D(p) / 100, q) for p, q in bids),
        last_price=D(last) / 100,
    )
    pool = Pool()
    for buy, quantity, limit, resting, share in orders:
        resting = resting and limit is not None
        one = Working(
            buy=buy,
            quantity=quantity,
            filled=0,
            limit=None if limit is None else D(limit) / 100,
            market=limit is None,
            resting=resting,
        )
        shown = seen.asks if buy else seen.bids
        look = Look(one, seen, pool.offers(asks=buy, shown=shown), share, Settings(), NOW)
        decision = look.decide()
        expected = (
            model.rest(buy=buy, quantity=quantity, limit=limit or 0, share=share)
            if resting
            else model.take(buy=buy, quantity=quantity, limit=limit)
        )
        assert [(m.quantity, int(m.price * 100)) for m in decision.matches] == expected
        for matched in decision.matches:
            pool.take(asks=buy, shown=shown, price=matched.price, quantity=matched.quantity)
        # What a fill stores decides the same again, through JSON text.
        again = look_of(quote=quote_json(seen), inputs=inputs_json(look, step=0))
        assert again.decide() == decision


@given(
    st.booleans(), st.integers(1, 500), st.one_of(st.none(), prices), st.booleans(),
    st.integers(0, 100), prices,
)  # fmt: skip
def test_never_more_than_asked_never_beyond_the_limit(
    buy: bool, quantity: int, limit: int | None, resting: bool, traded: int, last: int
) -> None:
    price = None if limit is None else D(limit) / 100
    one = Working(
        buy=buy, quantity=quantity, filled=0, limit=price, market=limit is None,
        resting=resting and limit is not None,
    )  # fmt: skip
    decision = decide(one, market(last_price=D(last) / 100), traded=traded)
    assert decision.quantity <= quantity
    for matched in decision.matches:
        assert matched.quantity > 0
        if price is not None:
            assert matched.price <= price if buy else matched.price >= price


def test_the_auction_lets_trade_what_its_price_allows() -> None:
    seen = market(phase="CLOSING_AUCTION", last_price=D("100.20"))

    def closed(one: Working) -> list[tuple[int, str]]:
        return fills(auction.close_out(order=one, market=seen, reason="auction"))

    assert closed(order("BUY", 10)) == [(10, "100.2")]
    assert closed(order("BUY", 10, "100.20")) == [(10, "100.2")]
    assert closed(order("BUY", 10, "100.15")) == []
    assert closed(order("SELL", 10, "100.25")) == []
    assert closed(order("SELL", 10, trigger=D(99))) == []
