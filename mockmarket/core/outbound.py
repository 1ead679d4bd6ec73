"""POST to an address that a user chose, without letting it reach into our own network.

The name is resolved once, every address of it must be public, and the connection goes to that
very address, so a name that changes between check and use gains nothing. Redirects are not
followed, and of the answer only the status is read.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from mockmarket.core.errors import DomainError

TIMEOUT_SECONDS = 5.0


class ForbiddenAddress(DomainError):
    """The address is not one that this server may call."""

    code = "forbidden_address"


def check(url: str) -> SplitResult:
    """The parts of an https address without credentials. Raises ForbiddenAddress."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ForbiddenAddress("This is no web address.", fields={"url": "Not valid."}) from error
    trusted = parts.hostname in settings.WEBHOOK_TRUSTED_HOSTS
    if parts.scheme != "https" and not (trusted and parts.scheme == "http"):
        raise ForbiddenAddress("Only https addresses.", fields={"url": "Only https."})
    if not parts.hostname or parts.username is not None or parts.password is not None:
        message = "A host, and no credentials."
        raise ForbiddenAddress("This address is not allowed.", fields={"url": message})
    if not trusted and port not in {None, 443, 8443}:
        raise ForbiddenAddress("Only ports 443 and 8443.", fields={"url": "Another port."})
    return parts


def post(*, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The answer's status. Raises ForbiddenAddress, OSError, http.client.HTTPException."""
    parts = check(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = _Pinned(host, port, address=_public(host, port), secure=secure)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def _public(host: str, port: int) -> str:
    """One address of `host`; raises ForbiddenAddress when any of them is not public."""
    found = {str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if host not in settings.WEBHOOK_TRUSTED_HOSTS:
        for text in found:
            address = ipaddress.ip_address(text)
            mapped = getattr(address, "ipv4_mapped", None)
            if not (mapped or address).is_global or address.is_multicast:
                raise ForbiddenAddress("This address leads into a private network.")
    return sorted(found)[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name resolves to later; TLS is verified."""

    def __init__(self, host: str, port: int, *, address: str, secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)
        self._address, self._secure = address, secure

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), TIMEOUT_SECONDS)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
