"""Performance of a portfolio from its fills: reads for pages and the API."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from django.db.models import Sum

from marketdata.models import Candle
from mockmarket.core.money import ZERO, notional
from portfolios import history, metrics, performance, positions, rows
from portfolios.models import Portfolio, PortfolioSnapshot, Posting
from portfolios.valuation import PortfolioRow, Price, Value
from trading.models import Fill, PositionChange

_Place = tuple[int, int, int]  # in a portfolio's ledger
FILLS_MAX = 20_000  # the newest; a review of more would keep a page waiting


@dataclass(frozen=True, slots=True)
class Report:
    """A portfolio's performance beside NIFTY 50 with the same cash. Rupees and percent."""

    review: performance.Performance
    equity: Decimal
    paid_in: Decimal
    return_percent: Decimal
    time_weighted_percent: float | None
    drawdown_percent: float | None
    benchmark_equity: Decimal | None
    benchmark_percent: float | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Equity at an instant, and the same cash in NIFTY 50. Rupees."""

    taken_at: datetime
    equity: Decimal
    benchmark: Decimal | None


@dataclass(frozen=True, slots=True)
class Basis:
    """What report and curve both begin from, read once: the portfolio's value at `at`, cash that
    was paid in, its snapshots (time, kind, equity; oldest first) and NIFTY 50."""

    portfolio: Portfolio
    at: datetime
    row: PortfolioRow
    value: Value
    flows: list[performance.Flow]
    snapshots: list[tuple[datetime, str, Decimal]]
    benchmark: performance.Series


def basis(*, portfolio: Portfolio, at: datetime) -> Basis:
    """Read what the performance of a portfolio is reckoned from."""
    row = rows.portfolio_row(portfolio_id=portfolio.id, at=at)
    kept = list(
        PortfolioSnapshot.objects.filter(portfolio=portfolio)
        .order_by("taken_at", "kind")
        .values_list("taken_at", "kind", "equity", "benchmark")
    )
    return Basis(
        portfolio=portfolio,
        at=at,
        row=row,
        value=rows.exact_value(row=row, at=at),
        flows=_flows(portfolio),
        snapshots=[(taken_at, kind, equity) for taken_at, kind, equity, _ in kept],
        benchmark=_benchmark(
            portfolio, kept=[(taken_at, price) for taken_at, _, _, price in kept if price], at=at
        ),
    )


def report(on: Basis) -> Report:
    """Why the portfolio stands where it stands."""
    portfolio, row, value, at = on.portfolio, on.row, on.value, on.at
    fills = _fills(portfolio)
    prices = rows.prices(keys={fill.order.instrument.key for fill in fills}, at=at)
    review = performance.review(
        trips=_trips(portfolio, fills, prices=prices),
        fills=len(fills),
        turnover=sum((notional(price=f.price, quantity=f.quantity) for f in fills), ZERO),
        charges=row.charges,
        benchmark=on.benchmark,
        at=at,
    )
    same = performance.same_money(flows=on.flows, benchmark=on.benchmark, at=at)
    time_weighted, drawdown = _closes(on)
    return Report(
        review=review,
        equity=value.equity,
        paid_in=row.paid_in,
        return_percent=value.return_percent,
        time_weighted_percent=time_weighted,
        drawdown_percent=drawdown,
        benchmark_equity=same,
        benchmark_percent=(
            float((same - row.paid_in) / row.paid_in * 100) if same and row.paid_in else None
        ),
    )


def curve(on: Basis, *, since: datetime | None = None) -> list[CurvePoint]:
    """Equity over time, oldest first, beside the same cash in NIFTY 50, ending now."""
    portfolio = on.portfolio
    points = [
        (taken_at, equity)
        for taken_at, _, equity in on.snapshots
        if since is None or taken_at >= since
    ]
    points.append((on.at, on.value.equity))
    if since is None or portfolio.joined_at >= since:
        points.insert(0, (portfolio.joined_at, portfolio.contest.starting_cash))
    return [
        CurvePoint(
            taken_at=taken_at,
            equity=equity,
            benchmark=performance.same_money(
                flows=[flow for flow in on.flows if flow.at <= taken_at],
                benchmark=on.benchmark,
                at=taken_at,
            ),
        )
        for taken_at, equity in points
    ]


def trips(*, portfolio: Portfolio, at: datetime) -> list[performance.Trip]:
    """Closed and open FIFO trips, newest first: the list of closed trades."""
    fills = _fills(portfolio)
    prices = rows.prices(keys={fill.order.instrument.key for fill in fills}, at=at)
    found = _trips(portfolio, fills, prices=prices)
    return sorted(found, key=lambda trip: (trip.closed_at or at, trip.opened_at), reverse=True)


def _fills(portfolio: Portfolio) -> list[Fill]:
    newest = (
        Fill.objects.filter(order__portfolio=portfolio)
        .select_related("order__instrument")
        .order_by("-filled_at", "-ledger_seq", "-sequence")[:FILLS_MAX]
    )
    return list(reversed(newest))


def _trips(
    portfolio: Portfolio, fills: list[Fill], *, prices: dict[str, Price]
) -> list[performance.Trip]:
    changes = _changes(portfolio)
    by_position: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for fill in fills:
        by_position[fill.order.instrument.key, fill.order.product].append(fill)
    found: list[performance.Trip] = []
    for (key, product), own in by_position.items():
        instrument = own[0].order.instrument
        quote = prices.get(key)
        events = [
            (
                (fill.ledger_seq, 0, fill.sequence),
                positions.DatedFill(
                    buy=fill.order.buy,
                    quantity=fill.quantity,
                    price=fill.price,
                    filled_at=fill.filled_at,
                ),
            )
            for fill in own
        ]
        own_changes = [one for one in changes[key, product] if one[0] > events[0][0]]
        closed, still_open = positions.fifo_lots(
            event for _, event in sorted([*events, *own_changes], key=lambda one: one[0])
        )
        for lot in (*closed, *still_open):
            mark = quote.last if quote is not None and quote.last is not None else lot.open_price
            found.append(
                performance.Trip(
                    symbol=instrument.symbol,
                    instrument_key=key,
                    sector=instrument.sector,
                    product=product,
                    quantity=lot.quantity,
                    opened_at=lot.opened_at,
                    entry_price=lot.open_price,
                    exit_price=mark if lot.close_price is None else lot.close_price,
                    closed_at=lot.closed_at,
                )
            )
    return found


def _changes(
    portfolio: Portfolio,
) -> dict[tuple[str, str], list[tuple[_Place, positions.DatedFill | positions.DatedChange]]]:
    """What moved units without a fill, by instrument and product: an expiry closes at its price,
    a corporate action rescales."""
    found: dict[
        tuple[str, str], list[tuple[_Place, positions.DatedFill | positions.DatedChange]]
    ] = defaultdict(list)
    rows = (
        PositionChange.objects.filter(position__portfolio=portfolio)
        .exclude(quantity=0)
        .select_related("position__instrument")
    )
    for row in rows:
        event: positions.DatedFill | positions.DatedChange
        if row.kind == PositionChange.Kind.EXPIRY:
            event = positions.DatedFill(
                buy=row.quantity > 0,
                quantity=abs(row.quantity),
                price=row.price or ZERO,
                filled_at=row.occurred_at,
            )
        else:
            event = positions.DatedChange(quantity=row.quantity, changed_at=row.occurred_at)
        place = (row.ledger_seq, 1, row.pk)
        found[row.position.instrument.key, row.position.product].append((place, event))
    return found


def _flows(portfolio: Portfolio) -> list[performance.Flow]:
    moved = (
        Posting.objects.filter(portfolio=portfolio, account=Posting.Account.CAPITAL)
        .order_by("entry__occurred_at")
        .values_list("entry__occurred_at")
        .annotate(total=Sum("amount"))
    )
    return [performance.Flow(at=occurred_at, amount=-total) for occurred_at, total in moved]


def _benchmark(
    portfolio: Portfolio, *, kept: list[tuple[datetime, float]], at: datetime
) -> performance.Series:
    """NIFTY 50 since the portfolio began, from daily candles and its own snapshots (`kept`)."""
    candles = Candle.objects.filter(
        instrument__key=history.BENCHMARK_KEY, start__gte=portfolio.joined_at
    )
    points = [(start, float(close)) for start, close in candles.values_list("start", "close")]
    points += kept
    now = history.benchmark(at=at)
    if now is not None:
        points.append((at, now))
    return performance.Series(points)


def _closes(on: Basis) -> tuple[float | None, float | None]:
    """Time-weighted return and drawdown, percent, over the closes and now."""
    closes = [
        (taken_at, equity)
        for taken_at, kind, equity in on.snapshots
        if kind == PortfolioSnapshot.Kind.CLOSE
    ]
    points = [*closes, (on.at, on.value.equity)]
    starting = float(on.portfolio.contest.starting_cash)
    amounts = [starting, *(float(amount) for _, amount in points)]
    paid = np.zeros((1, len(points)))
    for flow in on.flows[1:]:  # the first is what it began with
        session = next((n for n, (taken_at, _) in enumerate(points) if flow.at <= taken_at), None)
        if session is not None:
            paid[0, session] += float(flow.amount)
    returns = metrics.daily_returns(equity=np.array([amounts]), flows=paid)
    return (
        float(metrics.time_weighted_return(returns)[0]),
        float(metrics.drawdown_percent(returns)[0]),
    )
