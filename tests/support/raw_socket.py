"""WebSockets by bare bytes, for what no well-behaved client would send."""

import contextlib
import socket

from tests.support.stream import WebServer


def handshake(web: WebServer, **headers: str) -> bytes:
    """The bytes of an opening handshake."""
    lines = [
        "GET /ws/ HTTP/1.1",
        f"Host: 127.0.0.1:{web.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def opened(raw: socket.socket) -> bytes:
    """Wait until the socket is open; what came after the head of the answer."""
    raw.settimeout(10)
    data = b""
    while b"\r\n\r\n" not in data:
        more = raw.recv(65_536)
        assert more, data
        data += more
    assert data.startswith(b"HTTP/1.1 101"), data[:200]
    return data.split(b"\r\n\r\n", 1)[1]


def close_code(raw: socket.socket, data: bytes) -> int:
    """The code of the close frame that comes within ten seconds, or 0 when the connection is reset:
    a server that closes with bytes unread resets it, and the reset may overtake the frame.

    `data` is what had come before. Raises TimeoutError when the socket stays open.
    """
    raw.settimeout(10)
    with contextlib.suppress(ConnectionError):
        while True:
            while len(data) >= 4:
                size, head = data[1], 2
                if size == 126:
                    size, head = int.from_bytes(data[2:4], "big"), 4
                if len(data) < head + size:
                    break
                if data[0] == 0x88:
                    return int.from_bytes(data[head : head + 2], "big")
                data = data[head + size :]
            more = raw.recv(65_536)
            if not more:
                break
            data += more
    return 0


def dropped(raw: socket.socket) -> bool:
    """Whether the server has ended the connection: writing to it fails."""
    try:
        raw.sendall(b"\x8a\x80\0\0\0\0")  # an unasked pong, which a living server ignores
    except OSError:
        return True
    return False
