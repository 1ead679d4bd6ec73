"""Codes that a WebSocket is closed with by servers and apps alike; docs/api/stream.md says what a
client does then. marketdata/stream/protocol.py has those of the stream alone."""

from typing import Final

COME_BACK: Final = 1012  # of RFC 6455's registry: the service restarts; connect again
FLOOD: Final = 4429
