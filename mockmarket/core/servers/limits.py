"""What both web servers hold to, and the listening socket with which they begin."""

import socket
from collections.abc import Sequence
from typing import Final

# Where the ASGI scope of a WebSocket holds the writer of its frames.
EXTENSION: Final = "mockmarket.sink"
FRAME_BYTES_MAX: Final = 65_536
PING_SECONDS: Final = 20
PONG_SECONDS: Final = 20
SHUTDOWN_SECONDS: Final = 6  # the supervisor kills after 7
HEAD_SECONDS: Final = 8  # for the whole head of a request, handshakes included
HEAD_BYTES_MAX: Final = 65_536
PINGS_PER_SECOND: Final = 20
FRAGMENTS_MAX: Final = 1_024  # of one message; empty ones count for nothing in its size
# With Twisted's 50, a storm of 1,000 connects took 18 s; with this, 0.02 s.
ACCEPT_BACKLOG: Final = 4_096
CONNECTIONS_MAX: Final = 12_000
# The kernel would otherwise keep megabytes for a reader that stopped: minutes of old prices.
SEND_BUFFER_BYTES: Final = 131_072

_TEXT: Final = 0x81  # FIN, opcode text


def listen(*, host: str, port: int) -> socket.socket:
    """A listening TCP socket; connections inherit its send buffer. Raises OSError when taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.bind((host, port))
    listener.listen(ACCEPT_BACKLOG)
    listener.setblocking(False)
    return listener


def text_frames(payloads: Sequence[bytes]) -> bytes:
    """A server's text frame for each payload (RFC 6455: whole, unmasked, uncompressed).

    One piece of bytes: most are of one small frame, and a transport spends more on gathering a
    header and a payload than copying them costs.
    """
    if len(payloads) == 1:
        payload = payloads[0]
        return _head(len(payload)) + payload
    return b"".join([_head(len(payload)) + payload for payload in payloads])


def _head(size: int) -> bytes:
    return _HEADS[size] if size < len(_HEADS) else _make_head(size)


def _make_head(size: int) -> bytes:
    if size < 126:
        return b"%c%c" % (_TEXT, size)
    if size < 65_536:
        return b"%c\x7e%b" % (_TEXT, size.to_bytes(2, "big"))
    return b"%c\x7f%b" % (_TEXT, size.to_bytes(8, "big"))


# Those of small frames, of which there are tens of thousands a second.
_HEADS: Final = [_make_head(size) for size in range(4_096)]


class PingLimit:
    """Says when a peer's pings come faster than `PINGS_PER_SECOND`: each makes us write a pong."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left, self._at = float(PINGS_PER_SECOND), now

    def over(self, now: float) -> bool:
        """Count one ping; whether it is one too many."""
        refilled = self._left + (now - self._at) * PINGS_PER_SECOND
        self._left, self._at = min(refilled, PINGS_PER_SECOND) - 1, now
        return self._left < 0


def close_reason(reason: str) -> str:
    """A close frame holds at most 123 bytes of reason."""
    return reason.encode()[:123].decode(errors="ignore")
