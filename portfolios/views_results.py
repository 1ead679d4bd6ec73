"""A contest's end: the certificate, and the page where anybody checks one."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from portfolios import results, selectors
from portfolios.current import user_of


@require_GET
def certificate(request: HttpRequest, code: str) -> HttpResponse:
    """What a certificate with this code says, for whoever has the code; no login."""
    try:
        found = results.certificate(code=code)
    except results.NoResult:
        return _check(request, code=code, missing=True)
    address = request.build_absolute_uri(request.path)
    context = {"certificate": found, "address": address}
    return render(request, "portfolios/certificate.html", context)


@require_GET
def certificate_check(request: HttpRequest) -> HttpResponse:
    """The field for a code that was read from paper."""
    code = request.GET.get("code", "").strip().upper()
    if code.isalnum() and code.isascii() and len(code) <= results.CODE_LENGTH_MAX:
        return redirect("certificate", code=code)
    return _check(request, code=code, missing=bool(code))


def _check(request: HttpRequest, *, code: str, missing: bool) -> HttpResponse:
    error = _("There is no certificate with this code.") if missing else ""
    return render(
        request,
        "portfolios/certificate_check.html",
        {"code": code[: results.CODE_LENGTH_MAX], "error": error},
        status=404 if missing else 200,
    )


@login_required
@require_GET
def own_certificate(request: HttpRequest, slug: str) -> HttpResponse:
    """The way from a contest to one's own certificate."""
    own = selectors.access_portfolio(user=user_of(request), contest=slug)
    return redirect("certificate", code=results.result_of(portfolio=own).code)
