"""Durable consumers of the memory twin: what JetStream remembers of one, and reading through it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hostler_bus.memory_stream import MemoryStream, Moment
from hostler_bus.port import ConsumerSpec, Message
from hostler_kit.clock import Clock

ADVISORY_PREFIX = "$JS.EVENT.ADVISORY.CONSUMER"
_DELAY_MIN_SECONDS = 0.001


@dataclass(slots=True)
class _Outstanding:
    """A message that was delivered and not settled; comes again when it is due."""

    message: Message
    attempts: int
    due: float


class MemoryConsumer:
    """What the server knows of one consumer."""

    def __init__(
        self, spec: ConsumerSpec, stream: MemoryStream, advise: Callable[[str, dict[str, object]], None]
    ) -> None:
        """Make a consumer that has delivered nothing yet; `advise` takes the subject and the body of an advisory."""
        self.spec = spec
        self.stream = stream
        self.changed: dict[Callable[[], None], None] = {}
        """Called, in this order, when something may be due earlier than before."""
        self._advise = advise
        self._seen = 0
        self._outstanding: dict[int, _Outstanding] = {}

    def next(self, moment: Moment) -> tuple[Message, int] | None:
        """A message and the number of its delivery, if one is due: those that come again before new ones."""
        for seq, each in sorted(self._outstanding.items()):
            if each.due > moment.monotonic:
                continue
            if each.attempts >= self.spec.deliveries_max:
                self.settle(seq)
                self._tell("MAX_DELIVERIES", seq, each.attempts)
                continue
            each.attempts += 1
            each.due = moment.monotonic + self.spec.ack_wait_seconds
            return each.message, each.attempts
        message = self.stream.first_after(self._seen, self.spec.subjects)
        if message is None:
            return None
        self._seen = message.seq
        self._outstanding[message.seq] = _Outstanding(
            message, 1, moment.monotonic + self.spec.ack_wait_seconds
        )
        return message, 1

    def soonest(self) -> float | None:
        """When the next one comes again, if nobody answers."""
        return min((each.due for each in self._outstanding.values()), default=None)

    def settle(self, seq: int) -> None:
        """It is done with."""
        self._outstanding.pop(seq, None)

    def put_off(self, seq: int, due: float) -> None:
        """Let it come again at that time."""
        if seq in self._outstanding:
            self._outstanding[seq].due = due
        for tell in tuple(self.changed):
            tell()

    def give_up(self, seq: int, reason: str) -> None:
        """It was called hopeless."""
        each = self._outstanding.get(seq)
        self.settle(seq)
        if each is not None:
            self._tell("MSG_TERMINATED", seq, each.attempts, reason)

    def _tell(self, kind: str, seq: int, deliveries: int, reason: str | None = None) -> None:
        body: dict[str, object] = {
            "type": "io.nats.jetstream.advisory.v1."
            + ("max_deliver" if kind == "MAX_DELIVERIES" else "terminated"),
            "stream": self.spec.stream,
            "consumer": self.spec.name,
            "stream_seq": seq,
            "deliveries": deliveries,
        }
        if reason is not None:
            body["reason"] = reason
        self._advise(f"{ADVISORY_PREFIX}.{kind}.{self.spec.stream}.{self.spec.name}", body)


class MemoryDeliveries:
    """Fits `Subscription[Delivery]`."""

    def __init__(
        self, consumer: Callable[[], MemoryConsumer], clock: Clock, register: "set[MemoryDeliveries]"
    ) -> None:
        self._find = consumer
        self._clock = clock
        self._register = register
        self._consumer: MemoryConsumer | None = None
        self._woken = asyncio.Event()
        self._ended = False
        register.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "MemoryDelivery":
        """The next delivery."""
        await asyncio.sleep(0)
        while not self._ended:
            self._woken.clear()
            consumer = self._consumer or self._open()
            found = consumer.next(Moment(self._clock.now(), self._clock.monotonic()))
            if found is not None:
                return MemoryDelivery(consumer, self._clock, *found)
            await self._wait(consumer.soonest())
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; the consumer stays."""
        self.end()

    def end(self) -> None:
        """End it at once."""
        self._ended = True
        self._woken.set()
        self._register.discard(self)
        if self._consumer is not None:
            self._consumer.stream.on_append.pop(self._woken.set, None)
            self._consumer.changed.pop(self._woken.set, None)

    def _open(self) -> MemoryConsumer:
        self._consumer = self._find()
        self._consumer.stream.on_append[self._woken.set] = None
        self._consumer.changed[self._woken.set] = None
        return self._consumer

    async def _wait(self, until: float | None) -> None:
        waits: list[asyncio.Task[object]] = [asyncio.create_task(_any(self._woken.wait()))]
        if until is not None:
            seconds = max(until - self._clock.monotonic(), _DELAY_MIN_SECONDS)
            waits.append(asyncio.create_task(_any(self._clock.sleep(seconds))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class MemoryDelivery:
    """Fits `Delivery`."""

    def __init__(self, consumer: MemoryConsumer, clock: Clock, message: Message, attempt: int) -> None:
        self._consumer = consumer
        self._clock = clock
        self.message = message
        self.attempt = attempt

    async def ack(self) -> None:
        """Done."""
        await asyncio.sleep(0)
        self._consumer.settle(self.message.seq)

    async def nak(self, delay_seconds: float) -> None:
        """Not now."""
        await asyncio.sleep(0)
        self._consumer.put_off(self.message.seq, self._clock.monotonic() + delay_seconds)

    async def in_progress(self) -> None:
        """Still at work."""
        await self.nak(self._consumer.spec.ack_wait_seconds)

    async def term(self, reason: str) -> None:
        """Never."""
        await asyncio.sleep(0)
        self._consumer.give_up(self.message.seq, reason)


async def _any(wait: Awaitable[object]) -> object:
    return await wait


def encoded(body: dict[str, object]) -> bytes:
    """An advisory as it is stored."""
    return json.dumps(body).encode()
