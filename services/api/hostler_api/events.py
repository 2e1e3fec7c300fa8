"""The history of a job as its users read it: CloudEvents as JSON, and the same as server-sent events.

The id of a server-sent event is its sequence in the log, so a client that lost its connection goes on where it was, at any
api, without a gap or a repeat.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel, ConfigDict, JsonValue

from hostler_bus.job_log import JobEntry
from hostler_bus.port import Bus, CaughtUp, FromSequence, Message, Subscription
from hostler_contracts import codec, subjects
from hostler_contracts.envelope import CloudEvent
from hostler_contracts.job_events import JobEvent


class EventDocument(BaseModel):
    """A CloudEvent with its place in the log; `data` holds the change and the whole job after it, as the event's schema says."""

    model_config = ConfigDict(extra="allow")

    sequence: int
    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: Mapping[str, JsonValue]


class EventPage(BaseModel):
    """One page of events, oldest first; `next` goes into `after` for the page behind it."""

    data: tuple[EventDocument, ...]
    has_more: bool
    next: int | None


def event_json(seq: int, event: CloudEvent) -> dict[str, object]:
    """An event as a plain value, with its sequence."""
    return {"sequence": seq, **event.model_dump(mode="json")}


class EventFeed:
    """Live histories."""

    def __init__(self, bus: Bus, *, idle_seconds: float, stopping: asyncio.Event) -> None:
        """Make the feed of an api; every stream ends when `stopping` is set, for its client to go on elsewhere."""
        self._bus = bus
        self._idle_seconds = idle_seconds
        self._stopping = stopping

    async def stream(self, entry: JobEntry, *, after_seq: int, follow: bool) -> AsyncGenerator[bytes, None]:
        """Events of a job with a sequence above `after_seq`, as they come.

        It ends after the tombstone or, without `follow`, at the present end.
        """
        filtered = subjects.job_events(entry.job.spec.project, entry.job.job_id)
        start = FromSequence(after_seq + 1)
        async with self._bus.follow(subjects.JOBS, filtered, start=start) as messages:
            upcoming = asyncio.ensure_future(_next(messages))
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                while True:
                    done, _ = await asyncio.wait(
                        {upcoming, stopping}, timeout=self._idle_seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                    if stopping in done:
                        return
                    if not done:
                        yield KEEPALIVE_COMMENT
                        continue
                    message = upcoming.result()
                    if message is None or (isinstance(message, CaughtUp) and not follow):
                        return
                    if isinstance(message, Message):
                        event = codec.decode(message.data)
                        yield _frame(message.seq, event)
                        if event.data.job.deleted:
                            return
                    elif entry.job.deleted:
                        return
                    upcoming = asyncio.ensure_future(_next(messages))
            finally:
                upcoming.cancel()
                stopping.cancel()


async def _next(messages: Subscription[Message | CaughtUp]) -> Message | CaughtUp | None:
    return await anext(messages, None)


def _frame(seq: int, event: JobEvent) -> bytes:
    data = json.dumps(event_json(seq, event), ensure_ascii=False, separators=(",", ":"))
    return format_sse_event(data_str=data, event=codec.name_of(event), id=str(seq))
