"""The bus on NATS JetStream. A service's `__main__` calls `connect` and hands the bus on.

Writes are retried under their message id until they are answered or the deadline passes. A server that is asked twice to append
with an expectation answers "wrong last sequence" and not "duplicate" when it was the first try that it stored (seen with
nats-server 2.15), so every such conflict is looked into: the message that stands where ours should be may be ours.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header, RawStreamMsg
from nats.js.errors import NotFoundError

from hostler_bus.errors import BusError, BusUnavailable, SequenceConflict
from hostler_bus.kv import StoredBucket
from hostler_bus.nats_appends import NatsAppends
from hostler_bus.nats_calls import heed
from hostler_bus.nats_deliveries import NatsDeliveries
from hostler_bus.nats_errors import FOREIGN, translate
from hostler_bus.nats_follow import NatsFollower
from hostler_bus.nats_link import Link, LinkOptions
from hostler_bus.nats_serve import NatsServed, ask
from hostler_bus.nats_topology import declare as declare_topology
from hostler_bus.nats_topology import wait_until_declared
from hostler_bus.port import APPEND_DEADLINE_SECONDS, Appended, ConsumerSpec, Expect, Handler, Message, Start
from hostler_bus.reading import stored_now
from hostler_bus.topology import TOPOLOGY, Topology

_TRY_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
_READ_SECONDS = 5.0
_NO_STREAM = 10059
_ADDED_HEADERS = frozenset({"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"})
"""Those that a direct get adds to the message's own."""

T = TypeVar("T")


async def connect(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    name: str,
    connect_timeout_seconds: float = 10.0,
    declare: bool = True,
    topology: Topology = TOPOLOGY,
) -> "NatsBus":
    """Connect to the server; afterwards the connection is kept up for ever.

    Args:
        url: Of the server, or several with commas between them.
        user: Whose permissions count.
        password: Of the user.
        name: Of this process, such as `router-2`.
        connect_timeout_seconds: How long to try for the first connection.
        declare: Whether to make the streams and buckets that are missing, now and after every lost connection; else somebody
            else does, and a connection counts from when they are there.
        topology: Which streams and buckets there are.

    Raises:
        BusRefused: wrong credentials, or the server has a stream that can't be changed into ours.
        BusUnavailable: no server in time, or something is not declared there.
    """
    bus = NatsBus(LinkOptions(url, user, password, name), topology, declare=declare)
    try:
        await bus.link.connect(connect_timeout_seconds)
    except BaseException:
        await bus.drain()
        raise
    return bus


class NatsBus:
    """Fits `hostler_bus.port.Bus`; made by `connect`."""

    def __init__(self, options: LinkOptions, topology: Topology, *, declare: bool) -> None:
        self.link = Link(options, self._equip)
        self._topology = topology
        self._declare = declare
        self._appends = NatsAppends(
            self.link, lambda subject: topology.stream_of(subject).name, self._with_hint
        )
        self._served: set[NatsServed] = set()

    @property
    def connected(self) -> bool:
        """Whether the server can be reached at this moment."""
        return self.link.connected

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
        return self._appends.begin(subject, data, msg_id)

    async def store(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None,
        deadline_seconds: float,
        headers: Mapping[str, str],
        ttl_seconds: int | None,
    ) -> Appended:
        """Store a message once, with headers and a time to live; buckets are written through this."""
        stream = self._topology.stream_of(subject).name
        doing = f"append to {stream}"
        wire = {**headers, Header.MSG_ID.value: msg_id, Header.EXPECTED_STREAM.value: stream}
        if ttl_seconds is not None:
            wire[Header.MSG_TTL.value] = f"{ttl_seconds}s"
        if expect is not None:
            wire[Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value] = str(expect.seq)
            wire["Nats-Expected-Last-Subject-Sequence-Subject"] = expect.subjects

        async def one_try(js: JetStreamContext) -> Appended:
            ack = await js.publish(subject, data, timeout=_TRY_SECONDS, headers=dict(wire))
            return Appended(ack.seq, bool(ack.duplicate))

        try:
            return await self._until_answered(doing, deadline_seconds, one_try)
        except SequenceConflict:
            ours = None if expect is None else await self._find_ours(stream, expect, msg_id)
            if ours is None:
                raise
            return ours

    async def _find_ours(self, stream: str, expect: Expect, msg_id: str) -> Appended | None:
        """Our message, if it is the one because of which the expectation does not hold any more.

        Had it been stored, nothing could have come between what was expected and it. So it is the first one after.
        """
        following = await self._read(
            f"append to {stream}",
            lambda js: js.get_msg(stream, seq=expect.seq + 1, subject=expect.subjects, next=True),
            _READ_SECONDS,
        )
        if following is None or (following.headers or {}).get(Header.MSG_ID.value) != msg_id:
            return None
        return Appended(following.seq or 0, duplicate=True)

    async def publish(self, subject: str, data: bytes) -> None:
        """Send without waiting for anything."""
        client = await self.link.client(0)
        try:
            await heed(client.publish(subject, data))
        except FOREIGN as error:
            raise translate(error, f"publish to {subject}") from error

    async def last(self, stream: str, subjects: str) -> Message | None:
        """The last message under `subjects`, None where there is none."""
        direct = self._topology.reads_anywhere(stream)
        raw = await self._read(
            f"read of {stream}", lambda js: js.get_msg(stream, subject=subjects, direct=direct), _READ_SECONDS
        )
        return None if raw is None else _message(raw)

    def history(self, stream: str, subjects: str, *, after_seq: int = 0) -> AsyncIterator[Message]:
        """What is stored now, oldest first."""
        return stored_now(self, stream, subjects, after_seq)

    def follow(self, stream: str, subjects: str, *, start: Start) -> NatsFollower:
        """Messages for ever, through every interruption."""
        return NatsFollower(self.link, stream, subjects, start, resume=True)

    def follow_once(self, stream: str, subjects: str, *, start: Start) -> NatsFollower:
        """Messages until the first interruption; buckets are watched through this."""
        return NatsFollower(self.link, stream, subjects, start, resume=False)

    def deliveries(self, consumer: ConsumerSpec) -> NatsDeliveries:
        """Messages to be answered."""
        return NatsDeliveries(self.link, consumer)

    def bucket(self, name: str) -> StoredBucket:
        """The bucket of that name."""
        return StoredBucket(self, self._topology.check_bucket(name))

    async def request(self, subject: str, data: bytes, *, timeout_seconds: float) -> bytes:
        """Ask whoever serves the subject."""
        return await ask(await self.link.client(0), subject, data, timeout_seconds)

    async def serve(self, subject: str, handler: Handler, *, queue: str = "") -> "NatsServed":
        """Answer requests at a subject."""
        served = NatsServed(subject, queue, handler, self._served.discard)
        client = await self.link.client(_READ_SECONDS)
        try:
            await heed(served.attach(client))
        except FOREIGN as error:
            raise translate(error, f"serving {subject}") from error
        self._served.add(served)
        return served

    async def drain(self) -> None:
        """Finish what was begun, end every subscription, disconnect."""
        await asyncio.gather(*(served.close() for served in tuple(self._served)))
        await self.link.close()

    async def _equip(self, client: Client) -> None:
        """Give a new connection what the one before it had."""
        doing = "declaring the streams" if self._declare else "waiting for the streams"
        try:
            if self._declare:
                await declare_topology(client.jetstream(timeout=_TRY_SECONDS), self._topology)
            else:
                await wait_until_declared(client, self._topology, _READ_SECONDS)
        except FOREIGN as error:
            raise translate(error, doing) from error
        for served in tuple(self._served):
            await served.attach(client)

    async def _until_answered(
        self, doing: str, deadline_seconds: float, one_try: Callable[[JetStreamContext], Awaitable[T]]
    ) -> T:
        """What the first answered try gives; `BusUnavailable` when none was until the deadline."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_seconds
        while True:
            left = until - loop.time()
            client = await self.link.client(left)
            try:
                timeout_seconds = max(min(_TRY_SECONDS, left), _PAUSE_SECONDS)
                return await self.link.call(one_try(client.jetstream()), timeout_seconds)
            except NotFoundError:
                raise
            except FOREIGN as foreign:
                error = translate(foreign, doing)
                if not isinstance(error, BusUnavailable) or loop.time() + _PAUSE_SECONDS > until:
                    raise self._with_hint(error) from foreign
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(
        self,
        doing: str,
        one_try: Callable[[JetStreamContext], Awaitable[RawStreamMsg]],
        deadline_seconds: float,
    ) -> RawStreamMsg | None:
        """A message of a stream, or None where there is none."""
        try:
            return await self._until_answered(doing, deadline_seconds, one_try)
        except NotFoundError as error:
            if error.err_code == _NO_STREAM:
                raise translate(error, doing) from error
            return None

    def _with_hint(self, error: BusError) -> BusError:
        """A denied permission looks like silence; what the server said about it came another way."""
        if isinstance(error, BusUnavailable) and "permissions violation" in self.link.last_error.lower():
            return BusUnavailable(f"{error} (the server has said: {self.link.last_error})")
        return error


def _message(raw: RawStreamMsg) -> Message | None:
    if raw.seq is None or raw.subject is None or raw.time is None:
        return None
    headers = {name: value for name, value in (raw.headers or {}).items() if name not in _ADDED_HEADERS}
    return Message(raw.subject, raw.seq, raw.data or b"", headers, raw.time)
