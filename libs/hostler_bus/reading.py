"""Reading what is stored, the same for every adapter."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from hostler_bus.errors import BusUnavailable
from hostler_bus.port import CaughtUp, FromSequence, Message, Start, Subscription

_STALL_SECONDS_MAX = 5.0


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
    async with bus.follow(stream, subjects, start=FromSequence(after_seq + 1)) as items:
        while True:
            try:
                async with asyncio.timeout(_STALL_SECONDS_MAX):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise BusUnavailable(f"reading {stream} came to a halt") from error
            if isinstance(item, CaughtUp):
                return
            yield item


async def message_at(bus: Followable, stream: str, seq: int) -> Message | None:
    """The message with this sequence; None where the stream does not have it, or not any more.

    Raises:
        BusUnavailable: nothing came for some seconds.
    """
    try:
        async with (
            asyncio.timeout(_STALL_SECONDS_MAX),
            bus.follow(stream, ">", start=FromSequence(seq)) as items,
        ):
            item = await anext(items)
    except TimeoutError as error:
        raise BusUnavailable(f"reading {stream} came to a halt") from error
    except StopAsyncIteration:
        raise BusUnavailable(f"reading {stream} was ended") from None
    return item if isinstance(item, Message) and item.seq == seq else None
