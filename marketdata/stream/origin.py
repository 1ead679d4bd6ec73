"""Which pages may open a socket with the visitor's cookie. Pure.

A browser always names the page's origin and a page cannot forge it. The comparison is exact:
scheme, host and port. `null`, look-alikes, other ports and sub-domains are not the origin.
"""

import re
from collections.abc import Collection
from typing import Final

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)
_HOST = re.compile(
    r"(?P<host>[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)

_Place = tuple[str, str, int]


def allowed(*, origin: str, host: str, secure: bool, origins: Collection[str]) -> bool:
    """Whether `origin` may connect.

    `origins` are the exact allowed origins; when there are none, the request's own `host` header
    under the scheme that `secure` tells is the only one.
    """
    place = _place(origin)
    if place is None:
        return False
    if origins:
        return any(place == _place(allowed) for allowed in origins)
    own = _HOST.fullmatch(host.lower())
    if own is None:
        return False
    scheme = "https" if secure else "http"
    return place == (scheme, own["host"], int(own["port"] or _DEFAULT_PORTS[scheme]))


def _place(origin: str) -> _Place | None:
    # Browsers send origins in lower case; anything else was not made by one.
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return None
    return found["scheme"], found["host"], int(found["port"] or _DEFAULT_PORTS[found["scheme"]])
