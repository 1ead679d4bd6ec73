"""The messages of `/ws/`, as types: what clients may say, what the server answers. Pure.

The same structs parse the client's frames, build the server's, and make the AsyncAPI document, so
the three cannot drift apart.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from mockmarket.core import close_codes

FRAME_BYTES_MAX: Final = 65_536
MESSAGES_PER_SECOND: Final = 20
STRIKES_MAX: Final = 5
AUTHENTICATE_SECONDS: Final = 10
INSTRUMENTS_PER_MESSAGE_MAX: Final = 500
DEPTHS_PER_SOCKET_MAX: Final = 2
TOPICS_PER_SOCKET_MAX: Final = 2

CLOSE_SLOW: Final = 4008
CLOSE_MALFORMED: Final = 4400
CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_FORBIDDEN: Final = 4403
CLOSE_IDLE: Final = 4408
CLOSE_FLOOD: Final = close_codes.FLOOD
CLOSE_RESTART: Final = close_codes.COME_BACK

CLOSE_REASONS: Final = {
    CLOSE_SLOW: "The reader is too slow.",
    CLOSE_MALFORMED: "Five malformed messages.",
    CLOSE_UNAUTHENTICATED: "Not signed in, or not any more.",
    CLOSE_FORBIDDEN: "Not allowed.",
    CLOSE_IDLE: "Nothing was asked for an hour.",
    CLOSE_FLOOD: "Too many messages or connections.",
    CLOSE_RESTART: "The server restarts; come back in a moment.",
}

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["NSE_EQ|INE002A01018"])]
Keys = Annotated[list[Key], msgspec.Meta(max_length=INSTRUMENTS_PER_MESSAGE_MAX)]
Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["RELIANCE"])]
Market = Literal["india_nse", "india_bse"]
Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class BadMessage(Exception):
    """A client's frame that cannot be understood. `code` and `action` go into the error frame."""

    def __init__(self, code: str, message: str, action: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.action = action


# --- Client -> server -------------------------------------------------------------------
class _Action(msgspec.Struct, tag_field="action", kw_only=True):
    pass


class Subscribe(_Action, tag="subscribe"):
    """Add instruments: a list of keys, or one share by symbol and market."""

    instruments: Keys | None = None
    symbol: Symbol | None = None
    market: Market = "india_nse"


class Set(_Action, tag="set"):
    """Replace everything this socket follows by `instruments`."""

    instruments: Keys


class Unsubscribe(_Action, tag="unsubscribe"):
    """Drop instruments: a list of keys, or one share by symbol and market, or everything."""

    instruments: Keys | None = None
    symbol: Symbol | None = None
    market: Market = "india_nse"
    unsubscribe_all: bool = False


class UnsubscribeAll(_Action, tag="unsubscribe_all"):
    """Drop every instrument."""


class Ping(_Action, tag="ping"):
    """Ask for a `pong`; does not count as activity."""

    id: str | int | float | None = None


class Resume(_Action, tag="resume"):
    """Ask for the private events after `seq` of `epoch`."""

    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    seq: Seq


class Options(_Action, tag="options"):
    """Choose how prices come: many in one frame, or one frame an instrument."""

    updates: Literal["batch", "single"] = "batch"


class Authenticate(_Action, tag="authenticate"):
    """Redeem a one-use ticket within ten seconds of connecting."""

    ticket: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Depth(_Action, tag="depth"):
    """Follow the five-level book of an instrument (two a socket); null drops all."""

    instrument: Key | None


class Topics(_Action, tag="topics"):
    """Replace the named topics that this socket follows (two a socket)."""

    topics: Annotated[list[Topic], msgspec.Meta(max_length=TOPICS_PER_SOCKET_MAX)]


Action = (
    Subscribe
    | Set
    | Unsubscribe
    | UnsubscribeAll
    | Ping
    | Resume
    | Options
    | Authenticate
    | Depth
    | Topics
)
ACTIONS: Final[dict[str, type[Any]]] = {
    str(struct.__struct_config__.tag): struct
    for struct in (
        Subscribe, Set, Unsubscribe, UnsubscribeAll, Ping, Resume, Options, Authenticate, Depth,
        Topics,
    )
}  # fmt: skip


def parse(frame: str | bytes) -> Action:
    """The action in a text frame. Raises BadMessage, whatever the bytes are."""
    try:
        said = orjson.loads(frame)
    except ValueError as error:  # JSONDecodeError, and surrogates that UTF-8 cannot hold
        raise BadMessage("malformed_json", f"The frame is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadMessage("not_an_object", "A frame holds one JSON object.")
    name = said.get("action")
    struct = ACTIONS.get(name) if isinstance(name, str) else None
    if struct is None:
        raise BadMessage("unknown_action", f"`action` is one of {', '.join(sorted(ACTIONS))}.")
    try:
        action: Action = msgspec.convert(said, struct)
    except msgspec.ValidationError as error:
        raise BadMessage("invalid_message", str(error), name) from error
    if (
        isinstance(action, Subscribe) and (action.instruments is None) == (action.symbol is None)
    ) or (
        isinstance(action, Unsubscribe)
        and [action.instruments, action.symbol, action.unsubscribe_all or None].count(None) != 2
    ):
        raise BadMessage(
            "invalid_message", "Give either `instruments`, or `symbol` and `market`.", name
        )
    return action


# --- Server -> client -------------------------------------------------------------------
class Limits(msgspec.Struct, frozen=True, kw_only=True):
    instruments: int
    changes_per_minute: int
    sockets: int


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    instrument: str
    code: Literal["subscription_limit", "unknown_instrument"]
    message: str


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest state of one instrument. The day's fields come with the first update and
    again when they change; null is unknown."""

    last_price: float | None
    change: float | None
    change_percent: float | None
    volume: int | None
    bid: float | None
    ask: float | None
    timestamp: str | None
    previous_close: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    average_price: float | None = None
    bid_quantity: int | None = None
    ask_quantity: int | None = None
    open_interest: int | None = None
    source: Literal["stream", "rest", "cache", "database"] | None = None


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Five levels a side, best first: [price, quantity]."""

    bids: list[tuple[float, int]]
    asks: list[tuple[float, int]]


class ServerFrame(msgspec.Struct, tag_field="type", kw_only=True):
    pass


class Welcome(ServerFrame, tag="welcome"):
    """The first frame: where the user's private events stand, and what is allowed."""

    epoch: str
    seq: int
    server_time: str
    limits: Limits


class Status(ServerFrame, tag="status"):
    """How live the prices are, in one word and one sentence."""

    status: Literal["live", "delayed", "closed", "disconnected"]
    message: str
    phase: str
    source: str
    source_label: str | None = None
    as_of: str | None = None
    next_open: str | None = None


class SubscriptionConfirmed(ServerFrame, tag="subscription_confirmed"):
    """What was accepted; `count` of `limit` instruments of the user, over all sockets."""

    instruments: list[str]
    rejected: list[Rejection]
    count: int
    limit: int


class UnsubscriptionConfirmed(ServerFrame, tag="unsubscription_confirmed"):
    """What is no longer followed."""

    instruments: list[str]
    count: int
    limit: int


class SubscriptionDeferred(ServerFrame, tag="subscription_deferred"):
    """Too many changes: the newest wanted set is kept and applied in `retry_after` seconds."""

    retry_after: float


class PricesBatch(ServerFrame, tag="prices_batch"):
    """What changed since this socket's last batch, newest value only."""

    data: dict[str, Price]


class PriceUpdate(ServerFrame, tag="price_update"):
    """One changed instrument, for sockets that chose `single`."""

    instrument_key: str
    data: Price


class IndicesUpdate(ServerFrame, tag="indices_update"):
    """The indices of the strip; every socket gets them."""

    data: dict[str, Price]


class DepthUpdate(ServerFrame, tag="depth_update"):
    """The five-level book of an instrument asked for by `depth`."""

    instrument_key: str
    data: Book


class Pong(ServerFrame, tag="pong"):
    """The answer to `ping`, with its id."""

    id: str | int | float | None
    server_time: str


class OptionsConfirmed(ServerFrame, tag="options_confirmed"):
    """How prices come from now on."""

    updates: Literal["batch", "single"]


class DepthConfirmed(ServerFrame, tag="depth_confirmed"):
    """The instruments whose book this socket follows."""

    instruments: list[str]


class TopicsConfirmed(ServerFrame, tag="topics_confirmed"):
    """The topics this socket follows."""

    topics: list[str]


class Resync(ServerFrame, tag="resync"):
    """Events were missed that cannot be replayed: refetch over REST, then go on from `seq`."""

    epoch: str
    seq: int


class Error(ServerFrame, tag="error"):
    """One bad message; by itself it closes nothing."""

    code: str
    message: str
    action: str | None = None


SERVER_FRAMES: Final[tuple[type[msgspec.Struct], ...]] = (
    Welcome, Status, SubscriptionConfirmed, UnsubscriptionConfirmed, SubscriptionDeferred,
    PricesBatch, PriceUpdate, IndicesUpdate, DepthUpdate, Pong, OptionsConfirmed, DepthConfirmed,
    TopicsConfirmed, Resync, Error,
)  # fmt: skip

_encoder = msgspec.json.Encoder()


def encode(frame: ServerFrame) -> bytes:
    """A server frame as JSON."""
    return _encoder.encode(frame)


def event(*, type: str, seq: int, data: str) -> bytes:
    """A private event; `data` is JSON already."""
    return b'{"type":"%b","seq":%d,"data":%b}' % (type.encode(), seq, data.encode())


def live_event(*, type: str, seq: int, data: str) -> bytes:
    """A live event: newest state, not numbered; `seq` is where the numbered ones stand."""
    return b'{"type":"%b","seq":%d,"live":true,"data":%b}' % (type.encode(), seq, data.encode())


def topic_event(*, type: str, topic: str, data: str) -> bytes:
    """An event of a topic; `data` is JSON already."""
    return b'{"type":"%b","topic":%b,"data":%b}' % (
        type.encode(),
        orjson.dumps(topic),
        data.encode(),
    )
