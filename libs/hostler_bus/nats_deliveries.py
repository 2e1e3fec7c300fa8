"""Reading through a durable consumer of NATS. `NatsBus` makes these.

One message is asked for at a time, so that none waits here while its time to be answered runs. The server remembers the place; what
is lost with a connection is a delivery, not the message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from hostler_bus.errors import BusClosed, BusUnavailable
from hostler_bus.nats_errors import FOREIGN, translate
from hostler_bus.nats_link import Link
from hostler_bus.port import ConsumerSpec, Message

_PULL_SECONDS = 10.0
_CALL_SECONDS = 2.0
_RETRY_SECONDS = 0.2
_REASON_CHARACTERS_MAX = 200


class NatsDeliveries:
    """Fits `Subscription[Delivery]`."""

    def __init__(self, link: Link, consumer: ConsumerSpec) -> None:
        self._link = link
        self._consumer = consumer
        self._opened: tuple[Client, JetStreamContext.PullSubscription] | None = None
        self._closed = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "NatsDelivery":
        """The next delivery."""
        self._link.on_lost.add(self._end_when_drained)
        try:
            return await self._next()
        finally:
            self._link.on_lost.discard(self._end_when_drained)

    async def _next(self) -> "NatsDelivery":
        while not self._closed.is_set():
            pulling = asyncio.create_task(self._pull())
            closing = asyncio.create_task(self._closed.wait())
            try:
                await asyncio.wait((pulling, closing), return_when=asyncio.FIRST_COMPLETED)
                if pulling.done() and (delivery := pulling.result()) is not None:
                    return delivery
            except BusClosed:
                await self.close()
            except BusUnavailable:
                await self._drop()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_SECONDS):
                        await self._closed.wait()
            finally:
                for task in (pulling, closing):
                    task.cancel()
                await asyncio.wait((pulling, closing))
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; the consumer stays at the server."""
        self._closed.set()
        await self._drop()

    def _end_when_drained(self) -> None:
        """To wait for a message is nothing that has to be finished before the bus is drained."""
        if self._link.finishing:
            self._closed.set()

    async def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and opened[0].is_connected:
            with suppress(*FOREIGN):
                await opened[1].unsubscribe()

    async def _pull(self) -> "NatsDelivery | None":
        """One message; None when none came for a while."""
        client = await self._link.client(_PULL_SECONDS)
        doing = f"reading {self._consumer.stream} as {self._consumer.name}"
        try:
            if self._opened is None or self._opened[0] is not client:
                self._opened = (client, await self._link.call(self._open(client), _CALL_SECONDS))
            pull = self._opened[1].fetch(1, timeout=_PULL_SECONDS)
            (msg,) = await self._link.call(pull, _PULL_SECONDS + _CALL_SECONDS)
        except TimeoutError:
            # Quiet, or the consumer is gone: to declare it again is harmless, and brings it back.
            await self._drop()
            return None
        except FOREIGN as error:
            raise translate(error, doing) from error
        return NatsDelivery(self._link, client, msg)

    async def _open(self, client: Client) -> JetStreamContext.PullSubscription:
        spec, js = self._consumer, client.jetstream(timeout=_CALL_SECONDS)
        config = ConsumerConfig(
            name=spec.name,
            durable_name=spec.name,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            filter_subject=spec.subjects,
            ack_wait=spec.ack_wait_seconds,
            max_deliver=spec.deliveries_max,
        )
        await js.add_consumer(spec.stream, config)
        return await js.pull_subscribe_bind(consumer=spec.name, stream=spec.stream)


class NatsDelivery:
    """Fits `Delivery`."""

    def __init__(self, link: Link, client: Client, msg: Msg) -> None:
        self._link = link
        self._client = client
        self._msg = msg
        meta = msg.metadata
        self.attempt = meta.num_delivered
        self.message = Message(msg.subject, meta.sequence.stream, msg.data, msg.headers or {}, meta.timestamp)

    async def ack(self) -> None:
        """Done."""
        await self._answer(lambda: self._msg.ack_sync(_CALL_SECONDS))

    async def nak(self, delay_seconds: float) -> None:
        """Not now."""
        await self._answer(lambda: self._msg.nak(delay_seconds))

    async def in_progress(self) -> None:
        """Still at work."""
        await self._answer(self._msg.in_progress)

    async def term(self, reason: str) -> None:
        """Never. The library can't send the reason."""
        told = " ".join(reason.split())[:_REASON_CHARACTERS_MAX]
        await self._answer(lambda: self._client.publish(self._msg.reply, f"+TERM {told}".encode()))

    async def _answer(self, answer: Callable[[], Awaitable[object]]) -> None:
        try:
            await self._link.call(answer(), _CALL_SECONDS)
        except FOREIGN as error:
            raise translate(error, f"answering message {self.message.seq}") from error
