"""Starting practice afresh from the page of contests."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.refusals import said
from portfolios.current import user_of
from portfolios.views import contests_page
from trading import practice


@login_required
@require_POST
def practice_reset(request: HttpRequest) -> HttpResponse:
    """A new practice portfolio; the old one keeps its books and is left."""
    try:
        practice.reset_practice(user=user_of(request), at=clock.now())
    except DomainError as refusal:
        return contests_page(request, refused=said(refusal.message), status=refusal.status)
    return redirect("contests")
