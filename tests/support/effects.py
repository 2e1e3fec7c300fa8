"""Effects that must happen once per event, in a file that outlives who makes them; and a process that makes them and dies."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import structlog

from hostler_bus.consume import consume
from hostler_bus.nats_bus import connect
from hostler_bus.port import ConsumerSpec, Message
from hostler_contracts import subjects

BILLING = ConsumerSpec(
    "billing", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=1.0, deliveries_max=50
)
PASSWORD_VARIABLE = "EFFECTS_PASSWORD"


class EffectStore:
    """Rows keyed by the event's id: to apply an event again changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as store, store:
            store.execute("create table if not exists effects (event_id text primary key)")
            store.execute("create table if not exists tries (event_id text)")

    def apply(self, event_id: str) -> None:
        with closing(self._open()) as store, store:
            store.execute("insert into tries values (?)", (event_id,))
            store.execute("insert or ignore into effects values (?)", (event_id,))

    def effects(self) -> list[str]:
        return self._column("effects")

    def tries(self) -> list[str]:
        return self._column("tries")

    def _column(self, table: str) -> list[str]:
        with closing(self._open()) as store:
            return [
                row[0] for row in store.execute(f"select event_id from {table} order by rowid")
            ]  # two names of ours

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)


async def work(url: str, user: str, store: EffectStore, deadly: str) -> None:
    """Make effects until killed; after that of the event `deadly`, if it is the first try of it, die before the answer."""
    bus = await connect(url, user=user, password=os.environ[PASSWORD_VARIABLE], name="billing", declare=False)

    async def handle(message: Message) -> None:
        event_id = message.data.decode()
        store.apply(event_id)
        if event_id == deadly and store.tries().count(event_id) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    await consume(bus, BILLING, handle, structlog.get_logger())


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], EffectStore(Path(sys.argv[3])), sys.argv[4]))
