"""Starting practice afresh: the old portfolio is left with its books, a new one is opened."""

from datetime import datetime

from django.db import transaction

from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from mockmarket.core.records import record
from portfolios import booking, services
from portfolios.models import Contest, Portfolio, Position
from trading import lifecycle
from trading.models import Order
from trading.services import end_order


class CannotReset(DomainError):
    """Practice cannot be started afresh now; the message says why."""

    code = "cannot_reset"
    status = 409


def reset_practice(*, user: User, at: datetime) -> Portfolio:
    """Leave the practice portfolio and open a new one with the starting cash.

    Live orders are cancelled; ledger, orders and fills of the old one stay where they are. Raises
    CannotReset while an intraday position is open: its square-off still has to come.
    """
    contest = services.practice_contest(at=at)
    with transaction.atomic(durable=True):
        # The contest first, as whoever ends a contest does; then the portfolio, then orders.
        Contest.objects.select_for_update(of=("self",)).get(id=contest.id)
        found = Portfolio.objects.filter(user=user, contest=contest, left_at__isnull=True).first()
        if found is not None:
            _leave(booking.lock_portfolio(portfolio_id=found.id), at=at)
        return services.open_portfolio(user=user, contest=contest, at=at)


def _leave(portfolio: Portfolio, *, at: datetime) -> None:
    intraday = Position.objects.filter(portfolio=portfolio, product=Position.Product.MIS)
    if intraday.exclude(quantity=0).exists():
        raise CannotReset("Close your intraday positions first.")
    live = Order.objects.select_for_update(of=("self",)).select_related("instrument")
    for order in live.filter(portfolio=portfolio, status__in=lifecycle.LIVE).order_by("pk"):
        order.portfolio = portfolio
        end_order(
            order=order, event=lifecycle.Event.CANCEL, reason=record("practice_restarted"), at=at
        )
    portfolio.left_at = at
    portfolio.save(update_fields=["left_at"])
