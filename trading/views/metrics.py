"""The endpoint that Prometheus scrapes."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from mockmarket.core import clock
from trading.exposition import exposition


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For staff, and for whoever sends METRICS_TOKEN as a bearer token; for others it is not
    there."""
    if not (request.user.is_staff or _has_token(request)):
        return HttpResponse(status=404)
    return HttpResponse(exposition(at=clock.now()), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    wanted = settings.METRICS_TOKEN
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(wanted) and constant_time_compare(sent, wanted)
