"""Login of the simulated exchange: the OAuth dialog and the token request, as Upstox's."""

import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.requests import Request

CODES_MAX = 1_000


class Accounts:
    """Codes that were handed out and not used yet. Tokens given out are of one made-up user."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, str]] = {}

    async def dialog(self, request: Request) -> Answer:
        """No login page: the redirect follows at once, with a single-use code."""
        query = request.query
        client, redirect = query.get("client_id", ""), query.get("redirect_uri", "")
        if not client or urlsplit(redirect).scheme not in {"http", "https"}:
            raise Refusal(401, "UDAPI100068", "Check your 'client_id' and 'redirect_uri'")
        code = secrets.token_urlsafe(16)
        if len(self._codes) >= CODES_MAX:
            self._codes.pop(next(iter(self._codes)))
        self._codes[code] = client, redirect
        answer = {"code": code} | ({"state": query["state"]} if "state" in query else {})
        joint = "&" if urlsplit(redirect).query else "?"
        return Answer(302, b"", {"location": f"{redirect}{joint}{urlencode(answer)}"})

    async def token(self, request: Request) -> Answer:
        """A code for a token; the code is spent whatever the outcome. The answer is flat."""
        if request.method != "POST":
            raise envelope.NO_SUCH_URL
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        client, redirect = self._codes.pop(form.get("code", ""), ("", ""))
        if not client:
            raise Refusal(401, "UDAPI100057", "Invalid Auth code")
        if form.get("client_id") != client or not form.get("client_secret"):
            raise Refusal(401, "UDAPI100069", "Check your 'client_id' and 'client_secret'")
        if form.get("redirect_uri") != redirect:
            raise Refusal(401, "UDAPI100070", "Check your 'redirect_uri'")
        return envelope.plain(
            {
                "email": "trader@campus.example",
                "exchanges": ["NSE", "NFO", "BSE", "BFO"],
                "products": ["D", "I", "CO", "MTF"],
                "broker": "UPSTOX",
                "user_id": "SIM001",
                "user_name": "Simulated Trader",
                "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
                "user_type": "individual",
                "poa": False,
                "ddpi": False,
                "is_active": True,
                "access_token": secrets.token_urlsafe(48),
                "extended_token": secrets.token_urlsafe(48),
            }
        )
