"""The built documentation under /docs/: where it is, and what its pages may run.

`scripts/docs.sh` builds it; WhiteNoise serves it as it serves static files, without a login. A
page of the generator holds a few scripts of its own inline. The policy allows exactly those, by
their hash, and no other.
"""

import re
from base64 import b64encode
from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path

PREFIX = "/docs/"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_headers(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """WhiteNoise's hook, once for each file that it serves."""
    if url.startswith(PREFIX) and path.endswith(".html"):
        headers["Content-Security-Policy"] = policy(Path(path).read_text())


def policy(page: str) -> str:
    """The Content-Security-Policy of a page of the documentation."""
    hashes = {b64encode(sha256(text.encode()).digest()).decode() for text in _INLINE.findall(page)}
    scripts = " ".join(f"'sha256-{value}'" for value in sorted(hashes))
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
