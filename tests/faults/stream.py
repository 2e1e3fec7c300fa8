"""Reads the log straight from NATS, with the library alone and as the user `operator`: nothing of Hostler's stands between."""

import asyncio
from pathlib import Path

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.faults.facts import Event, event_of

_STREAM = "JOBS"


class StreamReader:
    """Everything that is stored, each message fetched once."""

    def __init__(self, url: str, password_file: Path) -> None:
        self._url = url
        self._password_file = password_file
        self.events: list[Event] = []

    def catch_up(self) -> list[Event]:
        """Fetch what is new; give all."""
        asyncio.run(self._fetch())
        return self.events

    async def _fetch(self) -> None:
        password = self._password_file.read_text().strip()
        client = await nats.connect(
            self._url, user="operator", password=password, max_reconnect_attempts=20, reconnect_time_wait=0.5
        )
        try:
            js = client.jetstream(timeout=10)
            last = (await js.stream_info(_STREAM)).state.last_seq
            first = self.events[-1].seq + 1 if self.events else 1
            if first > last:
                return
            config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first)
            subscription = await js.subscribe(
                "hostler.jobs.>", stream=_STREAM, ordered_consumer=True, config=config
            )
            while not self.events or self.events[-1].seq < last:
                message = await subscription.next_msg(timeout=20)
                self.events.append(event_of(message.metadata.sequence.stream, message.data))
            await subscription.unsubscribe()
        finally:
            await client.close()
