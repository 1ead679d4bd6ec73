"""Pages of one's own portfolio, of contests and their leaderboards."""

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.formats import number
from mockmarket.core.money import ZERO
from mockmarket.core.refusals import said
from portfolios import allocation, selectors, services, standings
from portfolios import contests as contest_rules
from portfolios.announcements import announcements_for
from portfolios.current import SESSION_KEY, portfolio_of, summary_of, user_of
from portfolios.models import Contest, Portfolio, Posting

BOARD_PAGE = 50
CLOSED_SHOWN = 200
ENTRIES_PAGE = 50
ANNOUNCEMENTS_SHOWN = 50
BLANK_ROW = standings.BoardRow(
    rank=None, portfolio_id=0, alias="", return_percent=0, equity=0, day_pnl=0, me=False
)


@login_required
@require_GET
def portfolio(request: HttpRequest) -> HttpResponse:
    """What is owned and what it is worth: positions, holdings, what was closed, or the parts."""
    at = clock.now()
    shown = portfolio_of(request, at=at)
    curve = equity_lines(shown)
    context = {
        "portfolio": shown,
        "summary": summary_of(request, at=at),
        "curve": curve,
        "fall": drawdown_lines(curve),
        **_part(request, shown, at=at),
    }
    return render(request, "portfolios/portfolio.html", context)


@login_required
@require_GET
def portfolio_positions(request: HttpRequest) -> HttpResponse:
    """The shown part of the portfolio, after an order changed it."""
    at = clock.now()
    context = _part(request, portfolio_of(request, at=at), at=at)
    return render(request, "portfolios/portfolio_part.html", context)


def _part(request: HttpRequest, shown: Portfolio, *, at: datetime) -> dict[str, Any]:
    """What one tab of the portfolio shows."""
    part = request.GET.get("show", "positions")
    if part == "holdings":
        return {"part": part, "positions": selectors.holdings(portfolio=shown, at=at)}
    if part == "closed":
        return {"part": part, "closed": selectors.closed_positions(portfolio=shown)[:CLOSED_SHOWN]}
    if part == "allocation":
        return {"part": part, "allocation": allocation.of(portfolio=shown, at=at)}
    return {"part": "positions", "positions": selectors.positions(portfolio=shown, at=at)}


def equity_lines(shown: Portfolio) -> dict[str, Any]:
    """The equity curve and NIFTY 50, both in percent of their start, for static/js/lines.js."""
    points = selectors.equity_curve(portfolio=shown)
    start = float(shown.contest.starting_cash)
    index_start = next((point.benchmark for point in points if point.benchmark), None)
    return {
        "percent": True,
        "start": start,
        "lines": [
            {
                "name": _("You"),
                "points": [
                    (p.taken_at.isoformat(), round((float(p.equity) / start - 1) * 100, 4))
                    for p in points
                ],
            },
            {
                "name": "NIFTY 50",
                "points": [
                    (p.taken_at.isoformat(), round((p.benchmark / index_start - 1) * 100, 4))
                    for p in points
                    if p.benchmark and index_start
                ],
            },
        ],
    }


def drawdown_lines(curve: dict[str, Any]) -> dict[str, Any]:
    """How far equity stood below its highest so far, in percent, from the same points."""
    highest, found = 0.0, []
    for at, change in curve["lines"][0]["points"]:
        worth = 1 + change / 100
        highest = max(highest, worth)
        found.append((at, round((worth / highest - 1) * 100, 4) if highest else 0.0))
    return {"percent": True, "lines": [{"name": _("Drawdown"), "points": found}]}


# --- Money ------------------------------------------------------------------------------
@login_required
@require_GET
def funds(request: HttpRequest) -> HttpResponse:
    """The ledger as a statement: each entry, what it did to the cash, and what is held back."""
    at = clock.now()
    shown = portfolio_of(request, at=at)
    page = Paginator(selectors.ledger(portfolio=shown), ENTRIES_PAGE).get_page(
        request.GET.get("page")
    )
    newest = page.object_list[0].seq if page.object_list else 0
    # What later pages of the statement did is taken off today's cash.
    later = Posting.objects.filter(
        portfolio=shown, account=Posting.Account.CASH, entry__seq__gt=newest
    ).aggregate(total=Sum("amount"))["total"]
    balance = shown.cash - (later or ZERO)
    rows = []
    for entry in page:
        amounts = {posting.account: posting.amount for posting in entry.postings.all()}
        moved = amounts.get(Posting.Account.CASH, ZERO)
        rows.append(
            {
                "entry": entry,
                "cash": moved,
                "balance": balance,
                "charges": amounts.get(Posting.Account.CHARGES, ZERO),
                "realised": -amounts.get(Posting.Account.REALISED, ZERO),
            }
        )
        balance -= moved
    context = {
        "portfolio": shown,
        "summary": summary_of(request, at=at),
        "rows": rows,
        "next_page": page.next_page_number() if page.has_next() else None,
    }
    return render(request, "portfolios/funds.html", context)


@login_required
@require_GET
def announcements(request: HttpRequest) -> HttpResponse:
    """What the staff have written to this user."""
    found = announcements_for(user=user_of(request))[:ANNOUNCEMENTS_SHOWN]
    return render(request, "portfolios/announcements.html", {"announcements": found})


# --- Contests ---------------------------------------------------------------------------
@login_required
@require_GET
def contests(request: HttpRequest) -> HttpResponse:
    """The user's contests, and the field for a code."""
    return contests_page(request)


def contests_page(
    request: HttpRequest, *, code: str = "", error: str = "", refused: str = "", status: int = 200
) -> HttpResponse:
    """The page of contests; `error` is about the code, `refused` about anything else."""
    user = user_of(request)
    shown = portfolio_of(request, at=clock.now())
    cards = [
        {
            "contest": contest,
            "rules": rule_lines(contest),
            "shown": contest.pk == shown.contest_id,
            "leavable": not contest.is_practice and contest.state not in contest_rules.ENDED,
        }
        for contest in selectors.contests_of(user=user)
    ]
    context = {
        "contests": cards,
        "portfolio": shown,
        "code": code,
        "error": error,
        "refused": refused,
    }
    return render(request, "portfolios/contests.html", context, status=status)


def rule_lines(contest: Contest) -> list[tuple[str, str]]:
    """A contest's rules in words; what is not limited is not listed."""
    rules = contest_rules.rules_of(contest)
    lines = [
        (_("Products"), ", ".join(rules.products)),
        (_("Short selling"), _("allowed") if rules.shorts else _("not allowed")),
    ]
    if rules.leverage_max and rules.leverage_max > 1:
        lines.append((_("Leverage, at most"), f"{rules.leverage_max}×"))
    if rules.min_price:
        lines.append((_("Share price, at least"), f"₹{number(rules.min_price)}"))
    if rules.position_percent_max:
        lines.append((_("In one share, at most"), f"{rules.position_percent_max}%"))
    if rules.order_value_max:
        lines.append((_("In one order, at most"), f"₹{number(rules.order_value_max, places=0)}"))
    if rules.fills_per_day_max:
        lines.append((_("Fills a day, at most"), str(rules.fills_per_day_max)))
    if rules.cooling_off_seconds:
        seconds = number(rules.cooling_off_seconds, places=0)
        lines.append((_("Between buying and selling a share"), _("%s seconds") % seconds))
    if rules.universe != contest_rules.EVERYTHING:
        lines.append((_("Only these may be traded"), _universe_word(rules.universe)))
    if rules.options or rules.futures:
        lines.append((_("Futures and options"), _("allowed")))
    if rules.reason_required:
        lines.append((_("A reason with every order"), _("required")))
    if rules.minimum_fills:
        lines.append((_("Fills for a rank, at least"), str(rules.minimum_fills)))
    return lines


def _universe_word(universe: str | tuple[str, ...]) -> str:
    """An index by its name, named shares by their number."""
    if isinstance(universe, tuple):
        return _("%s named shares") % len(universe)
    return universe.partition("|")[2]


@login_required
@require_POST
def leave_contest(request: HttpRequest, slug: str) -> HttpResponse:
    """Leaves a contest for good; its portfolio keeps its books."""
    user = user_of(request)
    contest = selectors.access_contest(user=user, contest=slug)
    try:
        services.leave_contest(user=user, contest=contest, at=clock.now())
    except DomainError as refusal:
        return contests_page(request, refused=said(refusal.message), status=refusal.status)
    return redirect("contests")


@login_required
@require_POST
def join_contest(request: HttpRequest) -> HttpResponse:
    """Joins by code and switches to the contest."""
    code = request.POST.get("code", "")
    try:
        joined = services.join_contest(user=user_of(request), code=code, at=clock.now())
    except DomainError as refusal:
        error = said(refusal.message)
        return contests_page(request, code=code, error=error, status=refusal.status)
    request.session[SESSION_KEY] = joined.contest.slug
    return redirect("dashboard")


@login_required
@require_POST
def switch_contest(request: HttpRequest) -> HttpResponse:
    """Shows another of the user's portfolios from now on."""
    chosen = selectors.access_portfolio(
        user=user_of(request), contest=request.POST.get("contest", "")
    )
    request.session[SESSION_KEY] = chosen.contest.slug
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = reverse("dashboard")
    return redirect(target)


@login_required
@require_GET
def leaderboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Who stands where; one's own row always in sight."""
    at = clock.now()
    user = user_of(request)
    contest = selectors.access_contest(user=user, contest=slug)
    offset = int(request.GET["from"]) if request.GET.get("from", "").isdecimal() else 0
    board = standings.leaderboard(
        contest=contest,
        at=at,
        user=user,
        board=request.GET.get("board", standings.BOARDS[0]),
        limit=BOARD_PAGE,
        after=offset,
    )
    ended = contest.state in contest_rules.ENDED
    context = {
        "contest": contest,
        "board": board,
        "board_name": board.board,
        "boards": [
            (name, _board_word(name))
            for name in standings.BOARDS
            if not (ended and name in standings.MOVING_BOARDS)
        ],
        "explained": _board_sentence(board.board),
        "score_word": "" if board.board == "return" else _board_word(board.board),
        "show_luck": board.board == "return",
        "ended": ended,
        "has_certificate": ended and board.me is not None,
        # The board of returns moves with every rank_update; these two are asked for again.
        "refreshed": board.board in standings.MOVING_BOARDS and not ended,
        "me_shown": any(row.me for row in board.rows),
        "offset": offset,
        "previous_offset": max(0, offset - BOARD_PAGE),
        "first_row": offset + 1,
        "last_row": offset + len(board.rows),
        "own_offset": _page_of(board),
        "page_size": BOARD_PAGE,
        "next_offset": offset + BOARD_PAGE if offset + BOARD_PAGE < board.total else None,
        "blank": BLANK_ROW,
    }
    part = request.GET.get("fragment")
    name = "portfolios/leaderboard_table.html" if part else "portfolios/leaderboard.html"
    return render(request, name, context)


def _page_of(board: standings.Leaderboard) -> int | None:
    """Where the page with one's own row begins; None where it is shown, or one has no rank."""
    if board.me is None or any(row.me for row in board.rows) or board.me.rank is None:
        return None
    return (board.me.rank - 1) // BOARD_PAGE * BOARD_PAGE


def _board_word(name: str) -> str:
    return {
        "return": _("Return"),
        "day": _("Today"),
        "week": _("This week"),
        "sharpe": _("Sharpe ratio"),
        "drawdown": _("Smallest drawdown"),
        "win_rate": _("Win rate"),
        "consistency": _("Consistency"),
    }.get(name, name)


def _board_sentence(name: str) -> str:
    """What the board ranks by, in a sentence."""
    same = _("Every row is valued at the same instant from the same prices.")
    return {
        "return": same,
        "day": _("Gain since the last close, on the equity of that close."),
        "week": _("Gain since the last close before Monday."),
        "sharpe": _("Average daily return over its ups and downs, a year; from five sessions on."),
        "drawdown": _("The deepest fall from a peak; the smallest leads."),
        "win_rate": _("Closing trades that made a profit."),
        "consistency": _("Sessions that ended with a gain; from five sessions on."),
    }.get(name, same)
