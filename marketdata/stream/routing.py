"""Where the WebSocket lives."""

from channels.routing import URLRouter
from django.urls import re_path

from marketdata.stream.consumer import application

websocket_application = URLRouter(
    [re_path(r"^ws/$", application)]  # type: ignore[arg-type]
)
