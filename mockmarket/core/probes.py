"""What a load balancer and a monitor ask."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mockmarket.core import health
from mockmarket.core.errors import RETRY_AFTER_SECONDS


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process lives and answers; nothing else is looked at."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The process can serve; otherwise 503 with the reason of each failed check."""
    reasons = health.failures()
    if reasons:
        response = JsonResponse({"status": "not ready", "reasons": reasons}, status=503)
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    return JsonResponse({"status": "ready"})
