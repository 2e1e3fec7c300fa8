"""Buckets, written once for every adapter.

A bucket is a stream whose last message under `$KV.<bucket>.<key>` is the key's value: JetStream's own layout, so any NATS
client can read it. An adapter gives a `Store`; what a value, a deletion and an expiry look like in it is said here.
"""

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self
from uuid import uuid4

from hostler_bus.errors import BadKey, BusUnavailable, RevisionConflict, SequenceConflict
from hostler_bus.port import (
    APPEND_DEADLINE_SECONDS,
    Appended,
    CaughtUp,
    Deleted,
    Entry,
    Expect,
    LastPerSubject,
    Message,
    Start,
    Subscription,
)
from hostler_bus.topology import bucket_prefix, bucket_stream

OPERATION_HEADER = "KV-Operation"
"""On a message that takes a key's value away on purpose."""

MARKER_HEADER = "Nats-Marker-Reason"
"""On a message that the server left where one expired."""

_KEY = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")
_KEY_PATTERN = re.compile(r">|([-/_=a-zA-Z0-9]+|\*)(\.([-/_=a-zA-Z0-9]+|\*))*(\.>)?")
_CREATE_TRIES = 3
_KEYS_TIMEOUT_SECONDS = 5.0


class InterruptedFollow(BusUnavailable):
    """A follow that does not go on by itself has lost its server."""


class Store(Protocol):
    """What a bucket needs of an adapter."""

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
        """`Bus.append` with headers and a time to live."""
        ...

    async def last(self, stream: str, subjects: str) -> Message | None:
        """`Bus.last`."""
        ...

    def follow_once(self, stream: str, subjects: str, *, start: Start) -> Subscription[Message | CaughtUp]:
        """`Bus.follow`, but after an interruption it raises `InterruptedFollow` and is of no more use."""
        ...


class StoredBucket:
    """Fits `hostler_bus.port.Bucket` on any store."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._stream = bucket_stream(name)
        self._prefix = bucket_prefix(name)

    async def get(self, key: str) -> Entry | None:
        """The key's value, None where it has none."""
        message = await self._store.last(self._stream, self._subject(key))
        return None if message is None else _entry(message, self._prefix)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value whatever it was; gives the new revision."""
        return await self._write(key, value, None, ttl_seconds, deadline_seconds)

    async def create(
        self,
        key: str,
        value: bytes,
        *,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value of a key that has none."""
        expected = 0
        for _ in range(_CREATE_TRIES):
            try:
                return await self._write(key, value, expected, ttl_seconds, deadline_seconds)
            except RevisionConflict:
                # What is there may be the trace of an earlier value, and the trace may vanish between two looks.
                message = await self._store.last(self._stream, self._subject(key))
                if message is not None and _entry(message, self._prefix) is not None:
                    raise
                expected = 0 if message is None else message.seq
        raise RevisionConflict(f"{key} is being created by others")

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        """Set the value of a key whose value is of this revision."""
        return await self._write(key, value, revision, ttl_seconds, deadline_seconds)

    async def delete(
        self,
        key: str,
        *,
        revision: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> None:
        """Take the value away."""
        await self._write(key, b"", revision, None, deadline_seconds, {OPERATION_HEADER: "DEL"})

    async def keys(self) -> tuple[str, ...]:
        """Every key that has a value, sorted."""
        found: set[str] = set()
        try:
            async with asyncio.timeout(_KEYS_TIMEOUT_SECONDS), self.watch() as watch:
                async for item in watch:
                    match item:
                        case CaughtUp():
                            break
                        case Entry(key=key):
                            found.add(key)
                        case Deleted(key=key):
                            found.discard(key)
        except TimeoutError as error:
            raise BusUnavailable("the keys could not be listed in time") from error
        return tuple(sorted(found))

    def watch(self, keys: str = ">") -> "Watch":
        """The present values, `CaughtUp`, then every change."""
        if not _KEY_PATTERN.fullmatch(keys):
            raise BadKey(f"{keys!r} is no pattern of keys")
        return Watch(self._store, self._stream, self._prefix, keys)

    async def _write(
        self,
        key: str,
        value: bytes,
        revision: int | None,
        ttl_seconds: int | None,
        deadline_seconds: float,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        subject = self._subject(key)
        try:
            appended = await self._store.store(
                subject,
                value,
                msg_id=uuid4().hex,
                expect=None if revision is None else Expect(revision, subject),
                deadline_seconds=deadline_seconds,
                headers=headers or {},
                ttl_seconds=ttl_seconds,
            )
        except SequenceConflict as conflict:
            raise RevisionConflict(f"{key} is not at revision {revision}") from conflict
        return appended.seq

    def _subject(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise BadKey(f"{key!r} can't be a key: letters, digits and -_=/ in parts between single dots")
        return f"{self._prefix}{key}"


class Watch:
    """Fits `Subscription[Entry | Deleted | CaughtUp]`.

    It knows what it has delivered. After an interruption it reads all present values again and delivers the difference, so it
    does not depend on traces of deletions, which expire too.
    """

    def __init__(self, store: Store, stream: str, prefix: str, keys: str) -> None:
        self._store = store
        self._stream = stream
        self._prefix = prefix
        self._keys = keys
        self._inner: Subscription[Message | CaughtUp] | None = None
        self._known: dict[str, Entry] = {}
        self._seen: set[str] | None = set()
        self._told_caught_up = False
        self._ready: deque[Entry | Deleted | CaughtUp] = deque()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry | Deleted | CaughtUp:
        """The next item."""
        while not self._ready:
            if self._closed:
                raise StopAsyncIteration
            if self._inner is None:
                self._seen = set()
                self._inner = self._store.follow_once(
                    self._stream, f"{self._prefix}{self._keys}", start=LastPerSubject()
                )
            try:
                item = await anext(self._inner)
            except InterruptedFollow:
                await self._inner.close()
                self._inner = None
                continue
            self._fold(item)
        return self._ready.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        self._closed = True
        if self._inner is not None:
            await self._inner.close()

    def _fold(self, item: Message | CaughtUp) -> None:
        if isinstance(item, CaughtUp):
            for key in sorted(self._known.keys() - (self._seen or set())):
                del self._known[key]
                self._ready.append(Deleted(key, 0))
            self._seen = None
            if not self._told_caught_up:
                self._told_caught_up = True
                self._ready.append(CaughtUp())
            return
        key = item.subject.removeprefix(self._prefix)
        entry = _entry(item, self._prefix)
        if entry is None:
            if self._known.pop(key, None) is not None:
                self._ready.append(Deleted(key, item.seq))
            return
        if self._seen is not None:
            self._seen.add(key)
        if self._known.get(key) != entry:
            self._known[key] = entry
            self._ready.append(entry)


def _entry(message: Message, prefix: str) -> Entry | None:
    """The value that a message of a bucket's stream holds; None for the trace of one that is gone."""
    if OPERATION_HEADER in message.headers or MARKER_HEADER in message.headers:
        return None
    return Entry(message.subject.removeprefix(prefix), message.data, message.seq, message.time)
