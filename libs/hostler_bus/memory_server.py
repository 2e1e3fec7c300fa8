"""The server of the memory twin: the streams, and who serves what. `MemoryBus` is a connection to it.

Time is the given clock's, so a test decides when a time to live runs out. What is stored is lost with the process.
"""

import asyncio

import structlog

from hostler_bus.errors import BusUnavailable
from hostler_bus.matching import matches
from hostler_bus.memory_deliveries import MemoryConsumer, encoded
from hostler_bus.memory_stream import MemoryStream, Moment
from hostler_bus.port import ConsumerSpec, Handler
from hostler_bus.topology import TOPOLOGY, Topology
from hostler_kit.clock import Clock, SystemClock

log = structlog.get_logger("hostler.bus")


class MemoryServer:
    """The streams, and who serves what."""

    def __init__(self, clock: Clock | None = None, topology: Topology = TOPOLOGY) -> None:
        self.clock: Clock = clock or SystemClock()
        self.topology = topology
        self.streams = {spec.name: MemoryStream(spec) for spec in topology.all_streams}
        self.serving: list[MemoryServed] = []
        self._consumers: dict[tuple[str, str], MemoryConsumer] = {}
        self._turn = 0
        self._timers: set[asyncio.Task[None]] = set()

    def moment(self) -> Moment:
        """The time."""
        return Moment(self.clock.now(), self.clock.monotonic())

    def stream(self, name: str) -> MemoryStream:
        """The stream of that name, without what has expired.

        Raises:
            BusUnavailable: there is none.
        """
        stream = self.streams.get(name)
        if stream is None:
            raise BusUnavailable(f"there is no stream {name}")
        stream.expire(self.moment())
        return stream

    def consumer(self, spec: ConsumerSpec) -> MemoryConsumer:
        """The consumer of that name on the stream, made at the first call."""
        key = (spec.stream, spec.name)
        if key not in self._consumers:
            self._consumers[key] = MemoryConsumer(spec, self.stream(spec.stream), self._advise)
        return self._consumers[key]

    def expire_later(self, stream: MemoryStream, seconds: float) -> None:
        """Look at the stream again when a time to live has run out, for those who watch it."""
        timer = asyncio.create_task(self._expire(stream, seconds))
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    def responders(self, subject: str) -> tuple["MemoryServed", ...]:
        """Who gets a request: everyone without a queue, and one of each queue, in turn."""
        chosen: list[MemoryServed] = []
        queues: dict[str, list[MemoryServed]] = {}
        for served in self.serving:
            if matches(served.subject, subject):
                queues.setdefault(served.queue, []).append(served) if served.queue else chosen.append(served)
        self._turn += 1
        return (*chosen, *(members[self._turn % len(members)] for members in queues.values()))

    def _advise(self, subject: str, body: dict[str, object]) -> None:
        for stream in self.streams.values():
            if any(matches(pattern, subject) for pattern in stream.spec.subjects):
                stream.receive(subject, encoded(body), self.moment())

    async def _expire(self, stream: MemoryStream, seconds: float) -> None:
        await self.clock.sleep(seconds)
        stream.expire(self.moment())


class MemoryServed:
    """Fits `hostler_bus.port.Served`."""

    def __init__(self, server: MemoryServer, subject: str, handler: Handler, queue: str) -> None:
        self._server = server
        self.subject = subject
        self.queue = queue
        self._handler = handler
        self._at_hand: set[asyncio.Task[bytes | str]] = set()

    def begin(self, data: bytes) -> "asyncio.Task[bytes | str]":
        """Handle one request; the task gives the answer, or as a string what went wrong."""
        task = asyncio.create_task(self._answer(data))
        self._at_hand.add(task)
        task.add_done_callback(self._at_hand.discard)
        return task

    async def close(self) -> None:
        """Take no more requests and finish those at hand."""
        if self in self._server.serving:
            self._server.serving.remove(self)
        if self._at_hand:
            await asyncio.wait(self._at_hand)

    async def _answer(self, data: bytes) -> bytes | str:
        try:
            return await self._handler(data)
        except Exception as error:  # the outermost loop of a request: whoever asked must learn that it failed
            log.exception("bus.handler_failed", subject=self.subject)
            return type(error).__name__
