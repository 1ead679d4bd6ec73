"""The ASGI application: Django over HTTP, the market stream over WebSocket."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

# Django must be set up before anything that touches models is imported.
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402

from marketdata.stream import lifespan  # noqa: E402
from marketdata.stream.routing import websocket_application  # noqa: E402
from mockmarket.core.threads import WarmHandler  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": WarmHandler(),
        "websocket": websocket_application,
        "lifespan": lifespan.application,
    }
)
