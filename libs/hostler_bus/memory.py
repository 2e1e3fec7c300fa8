"""The bus in one process: same meaning as on NATS, for tests and simulations.

One `MemoryServer` is the server, each `MemoryBus` a connection to it; the conformance suite holds both adapters to the port.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from hostler_bus.errors import BusClosed, HandlerFailed, MessageTooLarge, NoResponder, RequestTimeout
from hostler_bus.kv import StoredBucket
from hostler_bus.matching import matches
from hostler_bus.memory_deliveries import MemoryDeliveries
from hostler_bus.memory_follow import MemoryFollower
from hostler_bus.memory_server import MemoryServed, MemoryServer
from hostler_bus.port import APPEND_DEADLINE_SECONDS, Appended, ConsumerSpec, Expect, Handler, Message, Start
from hostler_bus.reading import stored_now

PAYLOAD_BYTES_MAX = 1024 * 1024


class MemoryBus:
    """Fits `hostler_bus.port.Bus`."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._closed = False
        self._followers: set[MemoryFollower] = set()
        self._deliveries: set[MemoryDeliveries] = set()
        self._served: set[MemoryServed] = set()
        self._appending: set[asyncio.Task[Appended]] = set()

    @property
    def connected(self) -> bool:
        """Whether it was not drained."""
        return not self._closed

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> Appended:
        """Store a message once."""
        return await self.store(
            subject,
            data,
            msg_id=msg_id,
            expect=expect,
            deadline_seconds=deadline_seconds,
            headers={},
            ttl_seconds=None,
        )

    def append_soon(self, subject: str, data: bytes, *, msg_id: str) -> asyncio.Future[Appended]:
        """Begin to store a message."""
        task = asyncio.create_task(self.append(subject, data, msg_id=msg_id))
        self._appending.add(task)
        task.add_done_callback(self._appending.discard)
        return task

    async def store(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None,
        deadline_seconds: float,  # noqa: ARG002  # nothing here takes time; the protocol has it
        headers: Mapping[str, str],
        ttl_seconds: int | None,
    ) -> Appended:
        """Store a message once, with headers and a time to live; buckets are written through this."""
        stream = self._server.stream(self._server.topology.stream_of(subject).name)
        await self._turn()
        _check_size(data)
        appended = stream.append(
            subject,
            data,
            self._server.moment(),
            msg_id=msg_id,
            expect=expect,
            headers=headers,
            ttl_seconds=ttl_seconds,
        )
        if ttl_seconds is not None:
            self._server.expire_later(stream, ttl_seconds)
        return appended

    async def publish(self, subject: str, data: bytes) -> None:
        """Send without waiting: a stream that takes the subject stores it, whoever serves it gets it."""
        await self._turn()
        _check_size(data)
        for stream in self._server.streams.values():
            if any(matches(pattern, subject) for pattern in stream.spec.subjects):
                stream.receive(subject, data, self._server.moment())
        for served in self._server.responders(subject):
            served.begin(data)

    async def last(self, stream: str, subjects: str) -> Message | None:
        """The last message under `subjects`, None where there is none."""
        await self._turn()
        return self._server.stream(stream).last(subjects)

    def history(self, stream: str, subjects: str, *, after_seq: int = 0) -> AsyncIterator[Message]:
        """What is stored now, oldest first."""
        return stored_now(self, stream, subjects, after_seq)

    def follow(self, stream: str, subjects: str, *, start: Start) -> MemoryFollower:
        """Messages for ever."""
        follower = MemoryFollower(self._server, stream, subjects, start, self._followers)
        if self._closed:
            follower.end()
        return follower

    def follow_once(self, stream: str, subjects: str, *, start: Start) -> MemoryFollower:
        """Messages for ever, because nothing interrupts this bus; buckets are watched through this."""
        return self.follow(stream, subjects, start=start)

    def deliveries(self, consumer: ConsumerSpec) -> MemoryDeliveries:
        """Messages to be answered."""
        found = MemoryDeliveries(
            lambda: self._server.consumer(consumer), self._server.clock, self._deliveries
        )
        if self._closed:
            found.end()
        return found

    def bucket(self, name: str) -> StoredBucket:
        """The bucket of that name."""
        return StoredBucket(self, self._server.topology.check_bucket(name))

    async def request(self, subject: str, data: bytes, *, timeout_seconds: float) -> bytes:
        """Ask whoever serves the subject; the first answer counts."""
        await self._turn()
        tasks = [served.begin(data) for served in self._server.responders(subject)]
        if not tasks:
            raise NoResponder(f"nobody serves {subject}")
        done, _ = await asyncio.wait(tasks, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise RequestTimeout(f"no answer from {subject} within {timeout_seconds:g} s")
        answer = next(iter(done)).result()
        if isinstance(answer, str):
            raise HandlerFailed(f"{subject} answered: {answer}")
        return answer

    async def serve(self, subject: str, handler: Handler, *, queue: str = "") -> MemoryServed:
        """Answer requests at a subject."""
        await self._turn()
        served = MemoryServed(self._server, subject, handler, queue)
        self._server.serving.append(served)
        self._served.add(served)
        return served

    async def drain(self) -> None:
        """Finish the requests at hand, end every subscription."""
        if self._appending:
            await asyncio.wait(self._appending)
        self._closed = True
        for follower in tuple(self._followers):
            follower.end()
        for deliveries in tuple(self._deliveries):
            deliveries.end()
        for served in self._served:
            await served.close()

    async def _turn(self) -> None:
        """Let others run, as a network would."""
        if self._closed:
            raise BusClosed("the bus was drained")
        await asyncio.sleep(0)


def _check_size(data: bytes) -> None:
    if len(data) > PAYLOAD_BYTES_MAX:
        raise MessageTooLarge(f"{len(data)} bytes are more than the server takes")
