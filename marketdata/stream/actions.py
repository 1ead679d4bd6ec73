"""What an authenticated client may ask, and the answers."""

import asyncio
from collections.abc import Collection, Sequence

from marketdata.stream import lookup, protocol
from marketdata.stream.hub import Hub
from marketdata.stream.quota import Decision
from marketdata.stream.sockets import Socket
from mockmarket.core import clock


class Actions:
    """Performs the actions of one socket, one after another; keeps a deferred change."""

    def __init__(self, hub: Hub, socket: Socket) -> None:
        self._hub = hub
        self._socket = socket
        # The newest wanted set while the user's bucket of changes is empty.
        self._wanted: list[str] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._accepted: list[str] = []

    def cancel(self) -> None:
        """Drop a deferred change: the socket is gone."""
        if self._timer is not None:
            self._timer.cancel()

    async def perform(self, action: protocol.Action) -> None:
        """Carry out one action and answer it."""
        socket = self._socket
        match action:
            case protocol.Ping():
                time = clock.now().isoformat()
                self._tell(protocol.Pong(id=action.id, server_time=time))
            case protocol.Subscribe():
                await self._subscribe(await self._named(action), replace=False)
            case protocol.Set():
                await self._subscribe(list(dict.fromkeys(action.instruments)), replace=True)
            case protocol.Unsubscribe() if not action.unsubscribe_all:
                await self._unsubscribe(await self._named(action))
            case protocol.Unsubscribe() | protocol.UnsubscribeAll():
                await self._unsubscribe(list(self._goal()))
            case protocol.Resume():
                await self._hub.resume(socket, epoch=action.epoch, seq=action.seq)
            case protocol.Options():
                socket.single = action.updates == "single"
                self._tell(protocol.OptionsConfirmed(updates=action.updates))
            case protocol.Depth():
                await self._depth(action.instrument)
            case protocol.Topics():
                topics = list(dict.fromkeys(action.topics))
                self._tell(protocol.TopicsConfirmed(topics=topics))
                self._hub.follow_topics(socket, topics)
            case protocol.Authenticate():
                self._tell(
                    protocol.Error(
                        code="already_authenticated",
                        message="This connection has a user.",
                        action="authenticate",
                    )
                )

    # --- Instruments --------------------------------------------------------------------
    async def _named(self, action: protocol.Subscribe | protocol.Unsubscribe) -> list[str]:
        """The keys that an action names; an unknown symbol stands for itself and is rejected."""
        if action.symbol is None:
            return list(dict.fromkeys(action.instruments or ()))
        key = await self._hub.in_database(lookup.key_of_symbol, action.symbol, action.market)
        return [action.symbol if key is None else key]

    def _goal(self) -> Collection[str]:
        """What the client wants to follow: the deferred set, else what it follows."""
        return self._socket.keys if self._wanted is None else self._wanted

    async def _subscribe(self, keys: Sequence[str], *, replace: bool) -> None:
        unknown = await self._unknown(keys)
        rejected = [_unknown_instrument(key) for key in keys if key in unknown]
        named = self._hub.fanout.shared([key for key in keys if key not in unknown])
        # What is followed already goes first: the ceiling cuts the newcomers.
        chosen = set(named)
        held = [key for key in self._goal() if not replace or key in chosen]
        wanted = list(dict.fromkeys([*held, *named]))
        decision = await self._change(wanted)
        if decision.retry_after:
            return
        over = set(decision.rejected)
        rejected += [self._over_limit(key) for key in named if key in over]
        self._confirm([key for key in named if key not in over], rejected, decision.count)

    def _confirm(
        self, instruments: list[str], rejected: list[protocol.Rejection], count: int
    ) -> None:
        self._tell(
            protocol.SubscriptionConfirmed(
                instruments=instruments,
                rejected=rejected,
                count=count,
                limit=self._hub.quota.rules.instruments_max,
            )
        )
        self._hub.follow(self._socket, self._accepted)

    async def _unsubscribe(self, keys: Sequence[str]) -> None:
        goal, asked = self._goal(), set(keys)
        dropped = [key for key in goal if key in asked]
        decision = await self._change([key for key in goal if key not in asked])
        if decision.retry_after:
            return
        self._tell(
            protocol.UnsubscriptionConfirmed(
                instruments=dropped,
                count=decision.count,
                limit=self._hub.quota.rules.instruments_max,
            )
        )
        self._hub.follow(self._socket, self._accepted)

    async def _change(self, wanted: list[str]) -> Decision:
        """Ask the quota for `wanted`. When it defers, keep the set and come back by timer."""
        decision = await self._hub.quota.change(
            user_id=self._socket.grant.user_id, socket_id=self._socket.id, wanted=wanted
        )
        if decision.retry_after:
            self._wanted = wanted
            self._tell(protocol.SubscriptionDeferred(retry_after=round(decision.retry_after, 3)))
            if self._timer is None:
                self._timer = asyncio.create_task(self._apply_later(decision.retry_after))
        else:
            self._accepted = decision.accepted
            if self._timer is not None and self._wanted is not None:
                self._timer.cancel()
                self._timer = None
            self._wanted = None
        return decision

    async def _apply_later(self, seconds: float) -> None:
        """Apply the newest wanted set as soon as the bucket allows."""
        while self._wanted is not None:
            await asyncio.sleep(seconds + 0.01)
            wanted = self._wanted
            decision = await self._hub.quota.change(
                user_id=self._socket.grant.user_id, socket_id=self._socket.id, wanted=wanted
            )
            seconds = decision.retry_after
            if not seconds and self._wanted is wanted:
                self._wanted = None
                self._accepted = decision.accepted
                rejected = [self._over_limit(key) for key in decision.rejected]
                self._confirm(decision.accepted, rejected, decision.count)
        self._timer = None

    async def _unknown(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that name no instrument; asked of the database once a process."""
        new = [key for key in keys if not self._hub.fanout.known(key)]
        if not new:
            return set()
        known = await self._hub.in_database(lookup.known_keys, new)
        return set(new) - known

    def _over_limit(self, key: str) -> protocol.Rejection:
        limit = self._hub.quota.rules.instruments_max
        return protocol.Rejection(
            instrument=key,
            code="subscription_limit",
            message=f"A user follows at most {limit} instruments over all connections.",
        )

    async def _depth(self, key: str | None) -> None:
        socket = self._socket
        if key is None:
            keys: list[str] = []
        elif await self._unknown([key]):
            self._tell(
                protocol.Error(
                    code="unknown_instrument", message=f"No instrument {key}.", action="depth"
                )
            )
            return
        else:
            others = [held for held in socket.depths if held != key]
            keys = [*others, key][-protocol.DEPTHS_PER_SOCKET_MAX :]
        self._tell(protocol.DepthConfirmed(instruments=keys))
        self._hub.follow_depths(socket, keys)

    def _tell(self, frame: protocol.ServerFrame) -> None:
        self._socket.send(protocol.encode(frame))


def _unknown_instrument(key: str) -> protocol.Rejection:
    return protocol.Rejection(
        instrument=key, code="unknown_instrument", message="No such instrument."
    )
