"""Reading what is stored, the same for every adapter."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from hostler_bus.errors import BusUnavailable
from hostler_bus.port import (
    Bucket,
    CaughtUp,
    Deleted,
    Entry,
    FromSequence,
    LastPerSubject,
    Message,
    Start,
    Subscription,
)

_STALL_SECONDS_MAX = 5.0

T = TypeVar("T")


class Followable(Protocol):
    """What can be followed."""

    def follow(self, stream: str, subjects: str, *, start: Start) -> Subscription[Message | CaughtUp]:
        """`Bus.follow`."""
        ...


async def stored_now(bus: Followable, stream: str, subjects: str, after_seq: int) -> AsyncIterator[Message]:
    """A follow that ends where it has caught up.

    Raises:
        BusUnavailable: nothing came for some seconds. A follow may wait for ever, somebody who asks for a history may not.
    """
    async for message in _until_caught_up(bus, stream, subjects, FromSequence(after_seq + 1)):
        yield message


async def listed(bus: Followable, stream: str, subjects: str) -> AsyncIterator[Message]:
    """The last message of every subject as of now, in the order of their sequences.

    Raises:
        BusUnavailable: nothing came for some seconds.
    """
    async for message in _until_caught_up(bus, stream, subjects, LastPerSubject()):
        yield message


async def entries_now(bucket: Bucket) -> dict[str, Entry]:
    """What a bucket holds now, by key.

    Raises:
        BusUnavailable: nothing came for some seconds.
    """
    found: dict[str, Entry] = {}
    async with bucket.watch() as items:
        while not isinstance(item := await _next(items, "a bucket"), CaughtUp):
            match item:
                case Entry():
                    found[item.key] = item
                case Deleted():
                    found.pop(item.key, None)
                case None:
                    raise BusUnavailable("reading a bucket was ended")
    return found


async def message_at(bus: Followable, stream: str, seq: int) -> Message | None:
    """The message with this sequence; None where the stream does not have it, or not any more.

    Raises:
        BusUnavailable: nothing came for some seconds.
    """
    async with bus.follow(stream, ">", start=FromSequence(seq)) as items:
        item = await _next(items, stream)
    return item if isinstance(item, Message) and item.seq == seq else None


async def _until_caught_up(
    bus: Followable, stream: str, subjects: str, start: Start
) -> AsyncIterator[Message]:
    async with bus.follow(stream, subjects, start=start) as items:
        while isinstance(item := await _next(items, stream), Message):
            yield item


async def _next(items: Subscription[T], what: str) -> T | None:
    """The next item; None when there is no more."""
    try:
        async with asyncio.timeout(_STALL_SECONDS_MAX):
            return await anext(items)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise BusUnavailable(f"reading {what} came to a halt") from error
