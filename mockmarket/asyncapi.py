"""The AsyncAPI 3 document of `/ws/`, made from the types that parse and build its frames.

The stream knows nothing of orders; what the apps tell a user is described here, where all of them
are in sight. A test holds every real frame and every app's real payload against the document.
"""

from functools import cache
from typing import Any, Final

import msgspec
from django.http import HttpRequest, JsonResponse

from marketdata.stream import protocol


class _Data(msgspec.Struct, kw_only=True):
    pass


class OrderData(_Data):
    """An order as it now is."""

    id: str
    client_order_id: str
    instrument_key: str
    symbol: str
    side: str
    order_type: str
    product: str
    validity: str
    quantity: int
    filled_quantity: int
    price: float | None
    trigger_price: float | None
    average_price: float | None
    status: str
    status_reason: str
    status_reason_code: str
    status_reason_values: dict[str, str]
    portfolio_id: int
    contest: str
    updated_at: str


class TradeData(_Data):
    """One fill of an order."""

    id: str
    order_id: str
    instrument_key: str
    symbol: str
    side: str
    quantity: int
    price: float
    charges: float
    filled_at: str
    portfolio_id: int


class PositionData(_Data):
    """An open position at the snapshot's prices."""

    instrument_key: str
    symbol: str
    product: str
    quantity: int
    average_price: float
    last_price: float
    value: float
    unrealised_pnl: float
    day_pnl: float


class PortfolioData(_Data):
    """A portfolio at one price snapshot, in rupees."""

    portfolio_id: int
    contest: str
    snapshot_id: int
    as_of: str
    cash: float
    reserved: float
    buying_power: float
    invested: float
    equity: float
    day_pnl: float
    realised_pnl: float
    unrealised_pnl: float
    charges: float
    return_percent: float
    rank: int | None
    of: int
    positions: list[PositionData]


class RankRow(_Data):
    """A row of the leaderboard."""

    rank: int | None
    portfolio_id: int
    alias: str
    return_percent: float
    equity: float
    day_pnl: float


class RankData(_Data):
    """A portfolio's place, and the head of the leaderboard at the same prices."""

    portfolio_id: int
    contest: str
    snapshot_id: int
    as_of: str
    rank: int | None
    previous_rank: int | None
    of: int
    return_percent: float
    equity: float
    day_pnl: float
    top: list[RankRow]


class AlertData(_Data):
    """An alert of the user that went off."""

    alert_id: int
    instrument_key: str
    symbol: str
    kind: str
    threshold: float
    price: float
    fired_at: str
    happened: str
    happened_code: str
    happened_values: dict[str, str]
    title: str
    message: str


class CorporateActionData(_Data):
    """What a split, bonus or dividend did to one portfolio, or its reversal undid: `units` held on
    the morning of the ex-date, `cash` that came in, and how many waiting `orders` follow."""

    action_id: int
    instrument_key: str
    symbol: str
    kind: str
    reversed: bool
    title: str
    title_code: str
    title_values: dict[str, str]
    message: str
    parts: list[dict[str, Any]]
    units: int
    cash: float
    orders: int
    portfolio_id: int
    contest: str
    at: str


class AnnouncementData(_Data):
    """A message of staff; `contest` null is for everybody."""

    id: int
    title: str
    body: str
    contest: str | None
    created_at: str


class ContestData(_Data):
    """A contest that was frozen, resumed or ended."""

    contest: str
    name: str
    state: str
    reason: str


class _Durable(msgspec.Struct, tag_field="type", kw_only=True):
    seq: int


class OrderUpdate(_Durable, tag="order_update"):
    """An order changed. Numbered; replayed by `resume`."""

    data: OrderData


class Trade(_Durable, tag="trade"):
    """An order was filled, in whole or in part. Numbered; replayed by `resume`."""

    data: TradeData


class Alert(_Durable, tag="alert"):
    """A price alert went off. Numbered; replayed by `resume`."""

    data: AlertData


class CorporateAction(_Durable, tag="corporate_action"):
    """A split, bonus or dividend was booked, or reversed. Numbered; replayed by `resume`."""

    data: CorporateActionData


class Announcement(_Durable, tag="announcement"):
    """A message of staff. Numbered; replayed by `resume`."""

    data: AnnouncementData


class _Live(msgspec.Struct, tag_field="type", kw_only=True):
    seq: int
    live: bool


class PortfolioUpdate(_Live, tag="portfolio_update"):
    """The newest valuation; `seq` is where the numbered events stand."""

    data: PortfolioData


class RankUpdate(_Live, tag="rank_update"):
    """The newest rank; `seq` is where the numbered events stand."""

    data: RankData


class ContestUpdate(_Live, tag="contest_update"):
    """The state of a contest changed; `seq` is where the numbered events stand."""

    data: ContestData


class ChainUpdate(msgspec.Struct, tag_field="type", tag="chain_update", kw_only=True):
    """What moved in an option chain, for holders of its topic."""

    topic: str
    data: dict[str, Any]


EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (
    OrderUpdate, Trade, Alert, CorporateAction, Announcement, PortfolioUpdate, RankUpdate,
    ContestUpdate, ChainUpdate,
)  # fmt: skip
_REFERENCE: Final = "#/components/schemas/{name}"


@cache
def document() -> dict[str, Any]:
    """The document. One channel: clients send the actions, the server the frames."""
    said, told = tuple(protocol.ACTIONS.values()), (*protocol.SERVER_FRAMES, *EVENTS)
    _, schemas = msgspec.json.schema_components((*said, *told), ref_template=_REFERENCE)
    messages = {struct.__name__: _message(struct, schemas) for struct in (*said, *told)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "MockMarket stream",
            "version": "1",
            "description": (
                "One JSON object a text frame. Prices conflate: the newest value is sent, none is"
                " queued. Numbered events arrive once and in order; after a reconnect `resume`"
                " replays the last 300. Close codes: "
                + "; ".join(f"{code}: {why}" for code, why in protocol.CLOSE_REASONS.items())
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "this": {
                "host": "{host}",
                "protocol": "wss",
                "variables": {"host": {"description": "The campus server, with its port."}},
                "security": [
                    {"$ref": f"#/components/securitySchemes/{name}"}
                    for name in ("bearer", "session")
                ],
            }
        },
        "channels": {
            "stream": {
                "address": "/ws/",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "say": _operation("receive", "What a client may say.", said),
            "hear": _operation("send", "What the server tells.", told),
        },
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": (
                        "An API token or a JWT in the handshake's Authorization header. Where"
                        " headers cannot be set: a one-use ticket of POST /api/v1/ws-ticket/ in"
                        " the first message, `authenticate`. Never in the URL."
                    ),
                },
                "session": {
                    "type": "httpApiKey",
                    "in": "cookie",
                    "name": "session",
                    "description": "The browser's session; the Origin must be the site's own.",
                },
            },
        },
    }


def _message(struct: type[msgspec.Struct], schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(struct.__struct_config__.tag),
        "summary": schemas[struct.__name__].get("description", ""),
        "payload": {"$ref": _REFERENCE.format(name=struct.__name__)},
    }


def _operation(
    action: str, summary: str, structs: tuple[type[msgspec.Struct], ...]
) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/stream"},
        "messages": [
            {"$ref": f"#/channels/stream/messages/{struct.__name__}"} for struct in structs
        ],
    }


def asyncapi_view(request: HttpRequest) -> JsonResponse:
    """GET /api/asyncapi.json, for everybody."""
    return JsonResponse(document())
