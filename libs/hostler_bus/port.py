"""What the bus can do: the values, and the two protocols that every adapter fulfils.

Services are written against this module alone and get their adapter from `__main__`. Streams and buckets are those that
`topology` declares.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

APPEND_DEADLINE_SECONDS: Final = 5.0
"""How long a write is tried before its outcome is reported as unknown."""


@dataclass(frozen=True, slots=True)
class Message:
    """One stored message.

    Attributes:
        subject: Under which it was stored.
        seq: Its place in the stream; grows, with gaps where messages were removed.
        data: Its body.
        headers: Its headers as they were sent.
        time: When the server stored it.
    """

    subject: str
    seq: int
    data: bytes
    headers: Mapping[str, str]
    time: datetime


@dataclass(frozen=True, slots=True)
class Appended:
    """A message is stored.

    Attributes:
        seq: Its sequence.
        duplicate: It had been stored before under the same message id; nothing was added.
    """

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Expect:
    """A condition on an append: the last message under `subjects` (a pattern) has sequence `seq`; 0 means there is none."""

    seq: int
    subjects: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Comes once out of a follow or a watch, when everything that was stored at its start has been delivered."""


@dataclass(frozen=True, slots=True)
class FromSequence:
    """Everything from this sequence on."""

    seq: int


@dataclass(frozen=True, slots=True)
class LastPerSubject:
    """First the last message of every subject, in the order of their sequences, then everything that follows."""


@dataclass(frozen=True, slots=True)
class OnlyNew:
    """What is stored after `CaughtUp`, which comes first."""


@dataclass(frozen=True, slots=True)
class SinceTime:
    """Everything that was stored at this time or later."""

    time: datetime


Start = FromSequence | LastPerSubject | OnlyNew | SinceTime

T_co = TypeVar("T_co", covariant=True)


class Subscription(Protocol[T_co]):
    """An endless series, to be read by one task. It ends when it is closed or the bus is drained.

    Nothing is asked of the server before the first item is. `async with` closes it at the end of the block.
    """

    def __aiter__(self) -> Self:
        """Itself."""
        ...

    async def __anext__(self) -> T_co:
        """The next item; waits for it, also while the server is away."""
        ...

    async def __aenter__(self) -> Self:
        """Itself."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def close(self) -> None:
        """End it; also wakes the task that waits for the next item. Again is harmless."""
        ...


class Served(Protocol):
    """A subject being served."""

    async def close(self) -> None:
        """Take no more requests and finish those at hand. Again is harmless."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value.

    Attributes:
        key: The key.
        value: The value.
        revision: Of this value; larger than of any earlier one in the bucket.
        time: When it was put.
    """

    key: str
    value: bytes
    revision: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Deleted:
    """The key has no value any more: it was deleted, or its time to live ran out.

    Attributes:
        key: The key.
        revision: Of the deletion; 0 where only the absence was seen, after an interruption.
    """

    key: str
    revision: int


class Bucket(Protocol):
    """A catalogue of keys. Keys hold letters, digits and `-_=./`; `BadKey` says so otherwise.

    Writes raise `BusUnavailable` when their outcome could not be learnt within `deadline_seconds`. A time to live is in whole
    seconds, because the server cuts off the rest.
    """

    async def get(self, key: str) -> Entry | None:
        """The key's value, None where it has none."""
        ...

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value whatever it was; gives the new revision."""
        ...

    async def create(
        self,
        key: str,
        value: bytes,
        *,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value of a key that has none.

        Raises:
            RevisionConflict: it has one.
        """
        ...

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value of a key whose value is of this revision.

        Raises:
            RevisionConflict: it is of another, or there is none.
        """
        ...

    async def delete(
        self,
        key: str,
        *,
        revision: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> None:
        """Take the value away; one that is not there is no error unless a revision was given.

        Raises:
            RevisionConflict: a revision was given and the value is of another.
        """
        ...

    async def keys(self) -> tuple[str, ...]:
        """Every key that has a value, sorted."""
        ...

    def watch(self, keys: str = ">") -> Subscription[Entry | Deleted | CaughtUp]:
        """The present values, `CaughtUp`, then every change.

        Values that were overwritten before they could be delivered are skipped. Through interruptions of any length it ends up
        at the bucket's state: what vanished meanwhile comes as `Deleted`.
        """
        ...


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A reader whose place the server remembers, shared by all that read under its name.

    Attributes:
        name: Its name, one token.
        stream: What it reads.
        subjects: Pattern of what it wants.
        ack_wait_seconds: A delivery that is not answered for this long comes again.
        deliveries_max: After so many deliveries a message is a dead letter.
    """

    name: str
    stream: str
    subjects: str
    ack_wait_seconds: float = 30.0
    deliveries_max: int = 5


class Delivery(Protocol):
    """A message that was handed out, to be answered once. An answer that gets lost means that it comes again.

    Each method raises `BusUnavailable` when there is no connection.
    """

    @property
    def message(self) -> Message:
        """What was delivered."""
        ...

    @property
    def attempt(self) -> int:
        """Which delivery of it this is; the first is 1."""
        ...

    async def ack(self) -> None:
        """Done; comes back when the server knows."""
        ...

    async def nak(self, delay_seconds: float) -> None:
        """Not now; deliver it again after so long, unless it was the last delivery."""
        ...

    async def in_progress(self) -> None:
        """Still at work; the time to answer begins anew."""
        ...

    async def term(self, reason: str) -> None:
        """Never; it is a dead letter."""
        ...


Handler = Callable[[bytes], Awaitable[bytes]]


class Bus(Protocol):
    """One connection to the bus."""

    @property
    def connected(self) -> bool:
        """Whether the server can be reached at this moment."""
        ...

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> Appended:
        """Store a message in the stream that takes the subject.

        A try that is not answered is repeated under the same message id until the deadline; whichever try was stored, it is
        stored once. A message that had been stored before under this id (within two minutes, or as the very message that
        `expect` collides with) is a success.

        Raises:
            SequenceConflict: `expect` does not hold.
            StreamFull: there is no room.
            MessageTooLarge: the server takes none of this size.
            BadSubject: no stream takes it.
            BusUnavailable: the outcome is unknown.
        """
        ...

    def append_soon(self, subject: str, data: bytes, *, msg_id: str) -> "asyncio.Future[Appended]":
        """Begin to store a message in the stream that takes the subject; for callers who store much and wait for many at once.

        It is tried once. The future comes to what `append` gives, or to the errors that it raises, `BusUnavailable` at once where
        there is no connection, when it is lost, or when no answer came within `APPEND_DEADLINE_SECONDS`; the outcome is unknown
        then, and the same message may be appended again under its id. What was begun first is sent first.
        """
        ...

    async def publish(self, subject: str, data: bytes) -> None:
        """Send without waiting for anything; it may be lost.

        Raises:
            BusUnavailable: there is no connection.
        """
        ...

    async def last(self, stream: str, subjects: str) -> Message | None:
        """The last message under `subjects` (a pattern), None where there is none.

        Raises:
            BusUnavailable: no answer in time.
        """
        ...

    def history(self, stream: str, subjects: str, *, after_seq: int = 0) -> AsyncIterator[Message]:
        """What is stored now, oldest first; then it ends.

        Raises:
            BusUnavailable: while reading, nothing came for some seconds.
        """
        ...

    def follow(self, stream: str, subjects: str, *, start: Start) -> Subscription[Message | CaughtUp]:
        """Messages in the order of their sequences, without gaps or repeats, for ever.

        It goes on by itself after lost connections and restarts of the server. A stream that was made anew (one in memory,
        whose server restarted) is read from its beginning.
        """
        ...

    def deliveries(self, consumer: ConsumerSpec) -> Subscription[Delivery]:
        """Messages to be answered, each to one of those that read under the consumer's name; for ever.

        It begins with what is stored and goes on where the answers stopped, also after restarts of either side.
        """
        ...

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name.

        Raises:
            UnknownBucket: the topology declares none.
        """
        ...

    async def request(self, subject: str, data: bytes, *, timeout_seconds: float) -> bytes:
        """Ask whoever serves the subject.

        Raises:
            NoResponder: nobody does.
            RequestTimeout: no answer in time.
            HandlerFailed: whoever does could not.
            BusUnavailable: there is no connection.
        """
        ...

    async def serve(self, subject: str, handler: Handler, *, queue: str = "") -> Served:
        """Answer requests at a subject with `handler`, several at a time.

        Of those that serve a subject under the same `queue` name, one gets each request. It goes on after lost connections.
        """
        ...

    async def drain(self) -> None:
        """Finish what was begun, end every subscription, disconnect. Again is harmless."""
        ...
