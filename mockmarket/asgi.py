"""The ASGI application: Django over HTTP, the market stream over WebSocket."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

# Django must be set up before anything that touches models is imported.
http_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from marketdata.stream import lifespan  # noqa: E402
from marketdata.stream.routing import websocket_application  # noqa: E402
from mockmarket.core.threads import WarmThreads  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": WarmThreads(http_application),
        "websocket": websocket_application,
        "lifespan": lifespan.application,
    }
)
