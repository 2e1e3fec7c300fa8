"""Following a stream of NATS: a short-lived pull consumer, made anew whenever it is lost.

Pulling bounds what is on its way, so a slow reader holds up the server and loses nothing. Heartbeats tell a quiet stream from a
dead consumer, the consumer's own count of deliveries tells when something was left out. `follow_cursor` decides from where to
go on; this module only moves messages. `NatsBus` makes the followers.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from hostler_bus.errors import BusClosed, BusUnavailable
from hostler_bus.follow_cursor import Cursor, StreamView, delivered, opened, opening
from hostler_bus.kv import InterruptedFollow
from hostler_bus.nats_calls import heed
from hostler_bus.nats_errors import FOREIGN, translate
from hostler_bus.nats_link import Link
from hostler_bus.port import CaughtUp, FromSequence, LastPerSubject, Message, SinceTime, Start

_BATCH = 500
_REFILL_BELOW = 250
_PULL_SECONDS = 30.0
_HEARTBEAT_SECONDS = 2.0
_SILENCE_SECONDS_MAX = 2.5 * _HEARTBEAT_SECONDS
_IDLE_SECONDS_MAX = 60.0
_RETRY_SECONDS = 0.2
_CALL_SECONDS = 2.0
_NANOSECONDS = 1_000_000_000


class _Lost(Exception):
    """The consumer is of no more use."""


class NatsFollower:
    """Fits `Subscription[Message | CaughtUp]`."""

    def __init__(self, link: Link, stream: str, subjects: str, start: Start, *, resume: bool) -> None:
        """Make a follower that asks nothing of the server yet.

        Args:
            link: The connection.
            stream: Name of the stream.
            subjects: Pattern of what is wanted.
            start: Where to begin.
            resume: Whether it goes on by itself after an interruption, or raises `InterruptedFollow`.
        """
        self._link = link
        self._stream = stream
        self._subjects = subjects
        self._resume = resume
        self._cursor = Cursor(start)
        self._session: _Session | None = None
        self._ready: deque[Message | CaughtUp] = deque()
        self._closed = asyncio.Event()
        link.on_lost.add(self._lost)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | CaughtUp:
        """The next item."""
        while not self._ready:
            if self._closed.is_set():
                raise StopAsyncIteration
            try:
                if self._session is None:
                    await self._open()
                else:
                    self._take(await self._session.next())
            except _Lost:
                await self._drop_session()
                if not self._resume and not self._closed.is_set():
                    raise InterruptedFollow(f"the follow of {self._stream} was interrupted") from None
            except BusClosed:
                await self.close()
            except BusUnavailable:
                await self._drop_session()
                await self._pause()
        return self._ready.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        self._closed.set()
        self._link.on_lost.discard(self._lost)
        self._ready.clear()
        await self._drop_session()

    async def _open(self) -> None:
        client = await self._link.client(_PULL_SECONDS)
        doing = f"following {self._stream}"
        try:
            info = await self._link.call(client.jetstream().stream_info(self._stream), _CALL_SECONDS)
            if info.created is None:
                raise BusUnavailable(f"{doing}: the server does not tell when the stream was made")
            view = StreamView(info.created, info.state.last_seq)
            session = _Session(client, self._stream)
            try:
                opened_session = session.open(self._subjects, opening(self._cursor, view))
                pending = await self._link.call(opened_session, _CALL_SECONDS)
            except BaseException:
                await session.close()
                raise
        except FOREIGN as error:
            raise translate(error, doing) from error
        if self._closed.is_set() or client.is_closed:
            await session.close()
            return
        self._session = session
        self._cursor, caught_up = opened(self._cursor, view, pending)
        if caught_up:
            self._ready.append(CaughtUp())

    def _take(self, msg: Msg) -> None:
        meta = msg.metadata
        self._cursor, caught_up = delivered(self._cursor, meta.sequence.stream, meta.num_pending)
        self._ready.append(
            Message(msg.subject, meta.sequence.stream, msg.data, msg.headers or {}, meta.timestamp)
        )
        if caught_up:
            self._ready.append(CaughtUp())

    def _lost(self) -> None:
        if self._session is not None:
            self._session.abandon()

    async def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._closed.wait()


class _Session:
    """One consumer and what it has sent."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._name = f"follow-{uuid4().hex}"
        self._inbox = client.new_inbox()
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: NatsSubscription | None = None
        self._outstanding = 0
        self._deliveries = 0
        self._over = False

    async def open(self, subjects: str, begin: FromSequence | LastPerSubject | SinceTime) -> int:
        """Make the consumer and ask for its first messages; gives how many it has to deliver."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._arrived.put)
        config = ConsumerConfig(
            name=self._name,
            ack_policy=AckPolicy.NONE,
            filter_subject=subjects,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_IDLE_SECONDS_MAX,
        )
        match begin:
            case FromSequence(seq):
                config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
                config.opt_start_seq = max(seq, 1)
            case LastPerSubject():
                config.deliver_policy = DeliverPolicy.LAST_PER_SUBJECT
            case SinceTime(time):
                config.deliver_policy = DeliverPolicy.BY_START_TIME
                config.opt_start_time = time
        info = await self._client.jetstream().add_consumer(self._stream, config)
        await self._pull(_BATCH)
        return info.num_pending or 0

    async def next(self) -> Msg:
        """The next message.

        Raises:
            _Lost: no more come.
        """
        while not self._over:
            await self._refill()
            # From here on nothing waits: a reader that is cancelled (by a timeout of its own) must not lose a message.
            msg = await self._next_arrival()
            if msg is None:
                break
            if msg.reply:  # only messages of the stream have one here
                self._deliveries += 1
                self._outstanding = max(self._outstanding - 1, 0)
                if msg.metadata.sequence.consumer == self._deliveries:
                    return msg
                break
            headers = msg.headers or {}
            status = headers.get(Header.STATUS)
            if status in {
                "404",
                "408",
            }:  # a pull request ended before it was used up; the server says by how much
                left = headers.get("Nats-Pending-Messages", "")
                self._outstanding = max(self._outstanding - int(left), 0) if left.isdigit() else 0
            elif status != "100":  # anything but a heartbeat means that the consumer is gone or moved
                break
        self._over = True
        raise _Lost

    def abandon(self) -> None:
        """The connection is gone, or the reader has had enough: let `next` end at once."""
        self._over = True
        self._arrived.put_nowait(None)

    async def close(self) -> None:
        """Clean up on the server as well as can be; what can't be cleaned up, it forgets after a while by itself."""
        self.abandon()
        if self._client.is_connected:
            with suppress(*FOREIGN):
                if self._subscription is not None:
                    await self._subscription.unsubscribe()
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")

    async def _next_arrival(self) -> Msg | None:
        try:
            return self._arrived.get_nowait()
        except asyncio.QueueEmpty:
            pass
        try:
            async with asyncio.timeout(_SILENCE_SECONDS_MAX):
                return await self._arrived.get()
        except TimeoutError:
            return None

    async def _refill(self) -> None:
        if self._outstanding < _REFILL_BELOW:
            try:
                await heed(self._pull(_BATCH - self._outstanding))
            except FOREIGN as error:
                self._over = True
                raise _Lost from error

    async def _pull(self, count: int) -> None:
        wish = {
            "batch": count,
            "expires": int(_PULL_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
            json.dumps(wish).encode(),
            reply=self._inbox,
        )
        self._outstanding += count
