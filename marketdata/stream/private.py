"""Private events on their way to a user's sockets: durable ones in order, live ones newest-only."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from marketdata.stream import protocol
from marketdata.stream.sequence import Sequence
from marketdata.stream.sockets import Socket
from mockmarket.core.bus import EVERYBODY, Event

# Events of users without a socket, kept for those whose handshake is reading the database now.
_RECENT_MAX: Final = 10_000


class _Subject(msgspec.Struct):
    """What a live event is about: events about different things do not replace each other."""

    portfolio_id: int | None = None
    contest: str | None = None


_subject = msgspec.json.Decoder(_Subject)


@dataclass(slots=True)
class _User:
    epoch: str
    sequence: Sequence[tuple[str, str]] = field(default_factory=Sequence)
    sockets: set[Socket] = field(default_factory=set)
    live: dict[object, tuple[str, str]] = field(default_factory=dict)


class PrivateEvents:
    """The users of this process and where each stands. Not thread-safe: the hub's loop owns it."""

    def __init__(self) -> None:
        self._users: dict[int, _User] = {}
        self._recent: deque[tuple[int, int, str, str]] = deque(maxlen=_RECENT_MAX)

    @property
    def user_ids(self) -> list[int]:
        """Users with a socket here."""
        return list(self._users)

    def sockets_of(self, user_id: int) -> list[Socket]:
        """The user's sockets here."""
        user = self._users.get(user_id)
        return list(user.sockets) if user else []

    def join(self, socket: Socket, *, epoch: str, seq: int) -> tuple[str, int]:
        """Add a socket; `epoch` and `seq` are what its handshake read. Returns where to begin."""
        user_id = socket.grant.user_id
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(epoch)
            user.sequence.start(seq)
            missed = [entry for entry in self._recent if entry[0] == user_id]
            for _, number, type_, data in missed:
                user.sequence.offer(number, (type_, data))
        user.sockets.add(socket)
        socket.seq = user.sequence.last or 0
        return user.epoch, socket.seq

    def leave(self, socket: Socket) -> None:
        """Forget a socket, and its user with the last one."""
        user = self._users.get(socket.grant.user_id)
        if user is not None:
            user.sockets.discard(socket)
            if not user.sockets:
                del self._users[socket.grant.user_id]

    def position(self, user_id: int) -> tuple[str, int] | None:
        """The epoch and the newest number given out to the user; None when they left."""
        user = self._users.get(user_id)
        return None if user is None else (user.epoch, user.sequence.last or 0)

    # --- Durable ------------------------------------------------------------------------
    def offer(self, items: Iterable[Iterable[Any]]) -> set[int]:
        """Take `bus.events`; returns the users with a hole before what came."""
        holes = set()
        for user_id, seq, type_, data in items:
            user = self._users.get(user_id)
            if user is None:
                self._recent.append((user_id, seq, type_, data))
                continue
            self._deliver(user, user.sequence.offer(seq, (type_, data)))
            if user.sequence.gap:
                holes.add(user_id)
        return holes

    def fill(self, user_id: int, events: Iterable[Event]) -> None:
        """Give out what the database had of a hole."""
        user = self._users.get(user_id)
        if user is not None:
            for event in events:
                self._deliver(user, user.sequence.offer(event.seq, (event.type, event.payload)))

    def resync(self, user_id: int, *, epoch: str, seq: int) -> None:
        """Tell the user's sockets to refetch: events were lost that cannot be replayed."""
        user = self._users.get(user_id)
        if user is None:
            return
        if epoch != user.epoch:
            user.epoch = epoch
            user.sequence = Sequence()
        ready = user.sequence.start(seq)
        for socket in user.sockets:
            socket.seq = seq
            if socket.welcomed:
                socket.send(protocol.encode(protocol.Resync(epoch=epoch, seq=seq)))
        self._deliver(user, ready)

    def behind(self, positions: Mapping[int, tuple[str, int]]) -> Iterator[tuple[int, str, int]]:
        """Users whose database position is not what they were given: (id, epoch, seq)."""
        for user_id, (epoch, seq) in positions.items():
            user = self._users.get(user_id)
            if user is not None and (epoch != user.epoch or seq > (user.sequence.last or 0)):
                yield user_id, epoch, seq

    def _deliver(self, user: _User, ready: list[tuple[int, tuple[str, str]]]) -> None:
        for seq, (type_, data) in ready:
            frame = protocol.event(type=type_, seq=seq, data=data)
            for socket in list(user.sockets):
                if socket.held is not None:
                    socket.held.append((seq, frame))
                elif socket.welcomed and seq > socket.seq:
                    socket.seq = seq
                    socket.send(frame)

    def replay(self, socket: Socket, events: Iterable[Event] | None) -> None:
        """Answer a `resume`: the events of the outbox (None: resync), then what was held."""
        held, socket.held = socket.held or [], None
        if events is None:
            user = self._users.get(socket.grant.user_id)
            if user is None:
                return
            socket.seq = user.sequence.last or 0
            socket.send(protocol.encode(protocol.Resync(epoch=user.epoch, seq=socket.seq)))
            return
        for event in events:
            socket.seq = event.seq
            socket.send(protocol.event(type=event.type, seq=event.seq, data=event.payload))
        for seq, frame in held:
            if seq > socket.seq:
                socket.seq = seq
                socket.send(frame)

    # --- Live ---------------------------------------------------------------------------
    def live(self, items: Iterable[Iterable[Any]]) -> None:
        """Take `bus.live`: the newest of each (type, subject) replaces the one that waits."""
        for user_id, type_, data in items:
            if user_id == EVERYBODY:
                users = list(self._users.values())
            else:
                users = [self._users[user_id]] if user_id in self._users else []
            for user in users:
                self._offer_live(user, type_, data)

    def _offer_live(self, user: _User, type_: str, data: str) -> None:
        subject = _subject.decode(data)
        name = (type_, subject.portfolio_id, subject.contest)
        user.live[name] = (type_, data)
        frame = protocol.live_event(type=type_, seq=user.sequence.last or 0, data=data)
        for socket in user.sockets:
            socket.offer(name, frame)

    def greet(self, socket: Socket) -> None:
        """Send a new socket the live events that its user has heard last."""
        user = self._users[socket.grant.user_id]
        for name, (type_, data) in user.live.items():
            socket.offer(name, protocol.live_event(type=type_, seq=socket.seq, data=data))
