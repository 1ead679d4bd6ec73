"""Fetch a document from an address that an administrator typed, without becoming a proxy into
the campus network.

Only http and https on their usual ports; every address that the name resolves to must be
public; the connection goes to the very address that was checked, so a second answer of the
name server cannot redirect it; redirects are followed by hand and checked again. At most 2 MiB
and 5 s, whatever the server does.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

BYTES_MAX: Final = 2 * 1024 * 1024
SECONDS_MAX: Final = 5.0
REDIRECTS_MAX: Final = 3
PORTS: Final = {"http": 80, "https": 443}
USER_AGENT: Final = "MockMarket/1 (+campus paper trading)"


class FetchError(Exception):
    """The document was not fetched; the text says why."""


class Forbidden(FetchError):
    """The address leads somewhere that this server must not call."""


@dataclass(frozen=True, slots=True)
class Document:
    """`status` is 200 or 304 (not modified: no body)."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def public_address(host: str, port: int) -> str:
    """One public address of `host`. Raises Forbidden when any of its addresses is not public.

    A name that resolves to both kinds is an attack or a mistake: both are refused.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(f"{host} cannot be resolved") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        ip = ipaddress.ip_address(address.split("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if not mapped.is_global or mapped.is_multicast:
            raise Forbidden(f"{host} leads to {address}, which is not public")
    return addresses[0]


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS_MAX,
    bytes_max: int = BYTES_MAX,
) -> Document:
    """GET `url`. Raises Forbidden or FetchError; never returns a partial body."""
    deadline = time.monotonic() + seconds
    for _ in range(REDIRECTS_MAX + 1):
        answer = _get_once(url, headers or {}, deadline, bytes_max)
        if answer.status in (301, 302, 303, 307, 308):
            url = urljoin(url, answer.headers.get("location", ""))
            continue
        if answer.status not in (200, 304):
            raise FetchError(f"the server answered {answer.status}")
        return answer
    raise FetchError("too many redirects")


def _get_once(url: str, headers: Mapping[str, str], deadline: float, bytes_max: int) -> Document:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.username:
        raise Forbidden("only plain http and https addresses are fetched")
    try:
        port = parts.port or PORTS[parts.scheme]
    except ValueError as error:
        raise Forbidden("the port cannot be read") from error
    if port != PORTS[parts.scheme]:
        raise Forbidden(f"port {port} is not fetched from")
    address = public_address(parts.hostname, port)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _Pinned(parts.hostname, address, port, tls=parts.scheme == "https")
    try:
        connection.deadline = deadline
        connection.request(
            "GET",
            path,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
        )
        answer = connection.getresponse()
        body = _read(answer, connection, deadline, bytes_max)
        return Document(
            status=answer.status,
            body=body,
            headers={name.lower(): value for name, value in answer.getheaders()},
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from error
    finally:
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to a checked address that still names the host, in TLS and in the request."""

    deadline = 0.0

    def __init__(self, host: str, address: str, port: int, *, tls: bool) -> None:
        super().__init__(host, port)
        self._address = address
        self._tls = ssl.create_default_context() if tls else None

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), timeout=self.left())
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        self.sock.settimeout(self.left())

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


def _read(
    answer: http.client.HTTPResponse, connection: _Pinned, deadline: float, bytes_max: int
) -> bytes:
    body = bytearray()
    # read1 returns what has come: a server that drips bytes cannot outlast the deadline.
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(connection.left())
        part = answer.read1(65_536)
        if not part:
            return bytes(body)
        body += part
        if len(body) > bytes_max:
            raise FetchError(f"the document is larger than {bytes_max} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("it took too long")
