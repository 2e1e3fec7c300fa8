"""Following a stream of the memory twin. `MemoryBus` makes the followers."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from hostler_bus.memory_server import MemoryServer
from hostler_bus.memory_stream import MemoryStream
from hostler_bus.port import CaughtUp, FromSequence, LastPerSubject, Message, OnlyNew, SinceTime, Start


class MemoryFollower:
    """Fits `Subscription[Message | CaughtUp]`."""

    def __init__(
        self,
        server: MemoryServer,
        stream: str,
        subjects: str,
        start: Start,
        register: "set[MemoryFollower]",
    ) -> None:
        self._server = server
        self._name = stream
        self._subjects = subjects
        self._start = start
        self._register = register
        self._stream: MemoryStream | None = None
        self._snapshot: deque[int] = deque()
        self._next_seq = 1
        self._end_of_start = 0
        self._told_caught_up = False
        self._woken = asyncio.Event()
        self._ended = False
        register.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | CaughtUp:
        """The next item."""
        await asyncio.sleep(0)
        while not self._ended:
            self._woken.clear()
            stream = self._stream or self._open()
            stream.expire(self._server.moment())
            while self._snapshot:
                message = stream.at(self._snapshot.popleft())
                if message is not None:
                    return message
            message = stream.first_after(self._next_seq - 1, self._subjects)
            if not self._told_caught_up and (message is None or message.seq > self._end_of_start):
                self._told_caught_up = True
                return CaughtUp()
            if message is not None:
                self._next_seq = message.seq + 1
                return message
            await self._woken.wait()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        self.end()

    def end(self) -> None:
        """End it at once."""
        self._ended = True
        self._woken.set()
        self._register.discard(self)
        if self._stream is not None:
            self._stream.on_append.pop(self._woken.set, None)

    def _open(self) -> MemoryStream:
        stream = self._server.stream(self._name)
        self._end_of_start = stream.last_seq
        match self._start:
            case FromSequence(seq):
                self._next_seq = max(seq, 1)
            case LastPerSubject():
                self._snapshot.extend(stream.last_per_subject(self._subjects))
                self._next_seq = stream.last_seq + 1
            case OnlyNew():
                self._next_seq = stream.last_seq + 1
            case SinceTime(time):
                self._next_seq = stream.first_since(time)
        stream.on_append[self._woken.set] = None
        self._stream = stream
        return stream
