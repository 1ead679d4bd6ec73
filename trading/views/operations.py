"""The staff's page of how the system is."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from mockmarket.core import clock
from mockmarket.core.errors import Forbidden
from portfolios.current import user_of
from trading import operations as facts


@login_required
@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    """Green unless a person is needed. Staff only."""
    if not user_of(request).is_staff:
        raise Forbidden("The operations page is for staff.")
    at = clock.now()
    found = facts.groups(at=at)
    context = {"groups": found, "red": facts.red_lines(found), "at": at}
    part = request.GET.get("fragment")
    name = "trading/operations_box.html" if part else "trading/operations.html"
    return render(request, name, context)
