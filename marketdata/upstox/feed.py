"""Client of the V3 feed: one thread, one connection, subscriptions by declaration.

Callers say what they want; the thread makes the connection agree, now and after every
reconnect. Unlike Upstox's own SDK it verifies TLS, never gives up while `should_retry` says so,
and never repeats a request that the exchange refused as unauthorised.
"""

import logging
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

import websocket

from marketdata.upstox import wire
from marketdata.upstox.wire import Frame, Mode
from mockmarket.core import clock

logger = logging.getLogger(__name__)

State = Literal["connecting", "connected", "disconnected", "unauthorised"]

HANDSHAKE_SECONDS: Final = 10.0
SEND_SECONDS: Final = 5.0
RETRY_SECONDS_MIN: Final = 1.0
RETRY_SECONDS_MAX: Final = 30.0
# While nothing listens at the address, a bare connect looks again this often.
KNOCK_SECONDS: Final = 2.0
REDIRECTS_MAX: Final = 3
# A connection that lasted this long was a good one: its loss is retried at once.
SETTLED_SECONDS: Final = 5.0
# Keys in one request: about 5 kB of JSON.
KEYS_PER_REQUEST: Final = 200
# A connection that carries no subscription is kept honest by our own pings.
PING_SECONDS: Final = 15.0


class FeedError(Exception):
    """A connection attempt or a connection failed; the text says why."""


class Unauthorised(FeedError):
    """The exchange does not accept the token. Trying again cannot help."""


class Feed:
    """The feed, from `start()` to `stop()`.

    `token` may be a callable, asked at each connection attempt, so that a renewed token is
    picked up. Callbacks run in the feed's thread: `on_frame(frame)` for every decoded frame,
    `on_state(state, reason)` on every change, `on_bad(reason)` for a frame that does not parse,
    `on_raw(data, received_ms)` before decoding (the recorder). `should_retry` ends the thread
    when it returns False after a loss. `silence_seconds` without a byte while keys are
    subscribed and frames are expected means a dead connection.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str | Callable[[], str],
        on_frame: Callable[[Frame], None],
        on_state: Callable[[str, str], None],
        on_bad: Callable[[str], None] | None = None,
        on_raw: Callable[[bytes, int], None] | None = None,
        should_retry: Callable[[], bool] | None = None,
        silence_seconds: float = 10.0,
        ca_file: str | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._on_frame = on_frame
        self._on_state = on_state
        self._on_bad = on_bad or (lambda reason: None)
        self._on_raw = on_raw
        self._should_retry = should_retry or (lambda: True)
        self._silence_seconds = silence_seconds
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._lock = threading.Lock()
        self._wanted: dict[str, Mode] = {}
        self._sent: dict[str, Mode] = {}
        self._expecting = True
        self._stopping = threading.Event()
        self._bell_read, self._bell_write = socket.socketpair()
        self._bell_write.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="upstox-feed", daemon=True)
        self.state: State = "disconnected"

    # --- for any thread ----------------------------------------------------------------------
    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout: float = 5.0) -> None:
        """Close the connection and end the thread."""
        self._stopping.set()
        self._ring()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def subscribe(self, keys: Collection[str], mode: Mode) -> None:
        """Want `keys` in `mode`. Remembered while disconnected and after every reconnect."""
        with self._lock:
            self._wanted.update(dict.fromkeys(keys, mode))
        self._ring()

    def change_mode(self, keys: Collection[str], mode: Mode) -> None:
        """The same as `subscribe`: the thread knows which request the exchange needs."""
        self.subscribe(keys, mode)

    def unsubscribe(self, keys: Collection[str]) -> None:
        """Want `keys` no longer; unknown ones are ignored."""
        with self._lock:
            for key in keys:
                self._wanted.pop(key, None)
        self._ring()

    def expect_frames(self, expecting: bool) -> None:
        """Whether silence is a fault: outside continuous trading it is not."""
        self._expecting = expecting

    @property
    def wanted(self) -> Mapping[str, Mode]:
        with self._lock:
            return dict(self._wanted)

    def _ring(self) -> None:
        try:
            self._bell_write.send(b"!")
        except OSError:
            # The bell's buffer is full (it will ring) or the thread is gone.
            return

    # --- the feed's thread -------------------------------------------------------------------
    def _run(self) -> None:
        attempt = 0
        try:
            while not self._stopping.is_set():
                served_from = None
                try:
                    self._become("connecting", "")
                    connection = self._connect()
                    served_from = time.monotonic()
                    self._serve(connection)
                    reason = "stopped"
                except Unauthorised as error:
                    logger.error("the feed refused the token: %s", error)
                    self._become("unauthorised", str(error))
                    return
                except (FeedError, OSError, websocket.WebSocketException) as error:
                    reason = f"{error}" or type(error).__name__
                # A server that accepts and drops at once must not be asked without a pause.
                settled = served_from is not None and (
                    time.monotonic() - served_from > SETTLED_SECONDS
                )
                attempt = 0 if settled else attempt + 1
                if self._stopping.is_set():
                    break
                self._become("disconnected", reason)
                if not self._should_retry():
                    return
                logger.warning("feed lost (%s), attempt %d next", reason, attempt + 1)
                # The first retry after a loss is immediate: most losses are short.
                if attempt > 1 or (attempt == 1 and served_from is None):
                    self._wait(attempt)
            self._become("disconnected", "stopped")
        except Exception as error:
            # A fault of ours or of a callback: say so rather than die as a silent thread.
            logger.exception("the feed's thread ended")
            self._become("disconnected", f"internal error: {error}")
            raise

    def _become(self, state: State, reason: str) -> None:
        if state != self.state or reason:
            self.state = state
            self._on_state(state, reason)

    def _wait(self, attempt: int) -> None:
        """Full jitter from 1 s to 30 s, cut short when a closed port opens again."""
        longest = min(RETRY_SECONDS_MAX, 2.0 ** min(attempt, 5))
        delay = random.uniform(RETRY_SECONDS_MIN, max(longest, RETRY_SECONDS_MIN))  # noqa: S311
        deadline = time.monotonic() + delay
        was_closed = not self._port_open()
        while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            self._stopping.wait(min(left, KNOCK_SECONDS))
            if was_closed and self._port_open():
                self._stopping.wait(random.uniform(0, 0.5))  # noqa: S311
                return

    def _port_open(self) -> bool:
        parts = urlsplit(self._url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            with socket.create_connection((parts.hostname or "", port), timeout=1.0):
                return True
        except OSError:
            return False

    def _connect(self) -> websocket.WebSocket:
        """Follow the redirect to the feed. The token goes to the first address only: the second
        one carries a single-use code, and may be another host."""
        token = self._token() if callable(self._token) else self._token
        header = [f"Authorization: Bearer {token}", "Accept: */*"]
        url = self._url
        for _ in range(REDIRECTS_MAX + 1):
            connection = websocket.WebSocket(sslopt={"context": self._tls})
            try:
                connection.connect(  # type: ignore[no-untyped-call]
                    url, header=header, timeout=HANDSHAKE_SECONDS, redirect_limit=0
                )
            except websocket.WebSocketBadStatusException as error:
                if error.status_code == 401:
                    raise Unauthorised("401 Unauthorized") from error
                raise FeedError(f"handshake answered {error.status_code}") from error
            except websocket.WebSocketException:
                # The library calls a redirect that it may not follow an error.
                if connection.handshake_response is None:
                    raise
            answer = connection.handshake_response
            if answer is None or answer.status == 101:
                connection.settimeout(SEND_SECONDS)
                return connection
            connection.shutdown()  # type: ignore[no-untyped-call]
            url = _redirect(url, (answer.headers or {}).get("location"))
            header = ["Accept: */*"]
        raise FeedError("too many redirects")

    def _serve(self, connection: websocket.WebSocket) -> None:
        """Read frames and keep subscriptions until the connection ends. Raises on loss."""
        self._sent = {}
        self._become("connected", "")
        heard = pinged = time.monotonic()
        try:
            while not self._stopping.is_set():
                self._agree(connection)
                ready, rung = self._poll(connection)
                if rung:
                    self._bell_read.recv(4096)
                now = time.monotonic()
                if ready:
                    heard = now
                    self._read(connection)
                silent = now - heard
                if self._sent and self._expecting:
                    if silent > self._silence_seconds:
                        raise FeedError(f"silent for {silent:.0f} s")
                elif silent > 2 * PING_SECONDS:
                    raise FeedError("no answer to pings")
                elif now - max(heard, pinged) > PING_SECONDS:
                    connection.ping()
                    pinged = now
        finally:
            # Not close(): it waits for the peer, who may be gone.
            connection.shutdown()  # type: ignore[no-untyped-call]

    def _poll(self, connection: websocket.WebSocket) -> tuple[bool, bool]:
        sock = connection.sock
        if sock is None:
            raise FeedError("connection closed")
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True, False
        readable, _, _ = select.select([sock, self._bell_read], [], [], 0.5)
        return sock in readable, self._bell_read in readable

    def _read(self, connection: websocket.WebSocket) -> None:
        opcode, data = connection.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else None
            raise FeedError(f"closed by the exchange (code {code})")
        if opcode == websocket.ABNF.OPCODE_TEXT:
            self._on_bad("text_frame")
        elif opcode == websocket.ABNF.OPCODE_BINARY:
            received_ms = clock.now_ms()
            if self._on_raw is not None:
                self._on_raw(data, received_ms)
            try:
                frame = wire.decode(data, received_ms=received_ms)
            except wire.BadFrame:
                self._on_bad("bad_frame")
                return
            self._on_frame(frame)

    def _agree(self, connection: websocket.WebSocket) -> None:
        """Send the requests that turn what the exchange has into what is wanted."""
        with self._lock:
            if self._wanted == self._sent:
                return
            wanted = dict(self._wanted)
        gone = [key for key in self._sent if key not in wanted]
        self._request(connection, "unsub", gone, None)
        by_mode: dict[tuple[wire.Method, Mode], list[str]] = {}
        for key, mode in wanted.items():
            held = self._sent.get(key)
            if held != mode:
                method: wire.Method = "sub" if held is None else "change_mode"
                by_mode.setdefault((method, mode), []).append(key)
        for (method, mode), keys in by_mode.items():
            self._request(connection, method, keys, mode)
        self._sent = wanted

    def _request(
        self,
        connection: websocket.WebSocket,
        method: wire.Method,
        keys: list[str],
        mode: Mode | None,
    ) -> None:
        for start in range(0, len(keys), KEYS_PER_REQUEST):
            chunk = keys[start : start + KEYS_PER_REQUEST]
            connection.send_binary(wire.request(method=method, keys=chunk, mode=mode))


def _redirect(url: str, location: str | None) -> str:
    """Where to go next. Raises FeedError for a missing address and for a step down from TLS."""
    if not location or urlsplit(location).scheme not in {"ws", "wss"}:
        raise FeedError(f"redirected to {location!r}")
    if urlsplit(url).scheme == "wss" and urlsplit(location).scheme != "wss":
        raise FeedError("redirected from TLS to plain text")
    return location
