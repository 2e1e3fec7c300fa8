"""Requests and their answers over NATS. `NatsBus` is the only caller.

A handler that fails answers too, with the header that NATS' own service framework uses for it, so that whoever asked does not
have to wait for a timeout to learn it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from hostler_bus.errors import HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.nats_calls import heed, settle
from hostler_bus.nats_errors import FOREIGN, translate
from hostler_bus.port import Handler

_FINISH_SECONDS = 5.0
_CALL_SECONDS = 2.0
_FAILED_HEADER = "Nats-Service-Error"

log = structlog.get_logger("hostler.bus")


async def ask(client: Client, subject: str, data: bytes, timeout_seconds: float) -> bytes:
    """One request; see `Bus.request`."""
    try:
        reply = await heed(client.request(subject, data, timeout=timeout_seconds))
    except nats.errors.NoRespondersError as error:
        raise NoResponder(f"nobody serves {subject}") from error
    except TimeoutError as error:
        raise RequestTimeout(f"no answer from {subject} within {timeout_seconds:g} s") from error
    except FOREIGN as error:
        raise translate(error, f"request to {subject}") from error
    if failure := (reply.headers or {}).get(_FAILED_HEADER):
        raise HandlerFailed(f"{subject} answered: {failure}")
    return reply.data


class NatsServed:
    """Fits `hostler_bus.port.Served`; survives the connection that it was made on."""

    def __init__(
        self, subject: str, queue: str, handler: Handler, forget: Callable[["NatsServed"], None]
    ) -> None:
        """Make one that takes no requests yet.

        Args:
            subject: Where requests come.
            queue: Name of the group that shares them; empty for none.
            handler: What answers them.
            forget: Called when it is closed.
        """
        self._subject = subject
        self._queue = queue
        self._handler = handler
        self._forget = forget
        self._subscription: NatsSubscription | None = None
        self._at_hand: set[asyncio.Task[None]] = set()

    async def attach(self, client: Client) -> None:
        """Take requests from this connection."""

        async def begin(msg: Msg) -> None:
            task = asyncio.create_task(self._answer(client, msg))
            self._at_hand.add(task)
            task.add_done_callback(self._at_hand.discard)

        self._subscription = await client.subscribe(self._subject, queue=self._queue, cb=begin)
        await settle(client)  # so that a request sent after this finds us

    async def close(self) -> None:
        """Take no more requests and finish those at hand."""
        self._forget(self)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    drain: Awaitable[None] = subscription.drain()  # type: ignore[no-untyped-call]  # left without types
                    await heed(drain)
            except FOREIGN as error:
                log.debug("bus.serve_close", subject=self._subject, reason=str(error))
        if self._at_hand:
            await asyncio.wait(self._at_hand, timeout=_FINISH_SECONDS)

    async def _answer(self, client: Client, msg: Msg) -> None:
        headers: dict[str, str] | None = None
        try:
            answer = await self._handler(msg.data)
        except Exception as error:  # the outermost loop of a request: whoever asked must learn that it failed
            log.exception("bus.handler_failed", subject=self._subject)
            answer, headers = b"", {_FAILED_HEADER: type(error).__name__}
        if not msg.reply:
            return
        try:
            await client.publish(msg.reply, answer, headers=headers)
        except FOREIGN as error:
            log.warning("bus.answer_lost", subject=self._subject, reason=str(error))
