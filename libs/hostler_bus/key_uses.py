"""When API keys were last used, written down beside the requests and no more often than once an hour and key.

The api and the routers note each use; nothing waits for the bucket, and what could not be written is tried again with the next
turn. What was noted in the last seconds before a process is killed is lost.
"""

from datetime import datetime
from typing import Final

import structlog

from hostler_bus.errors import BusError
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.catalogue import KEY_USES, KeyUse
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger

_FLUSH_SECONDS: Final = 5.0
_WRITE_DEADLINE_SECONDS: Final = 2.0


class KeyUses:
    """Notes uses and writes them."""

    def __init__(self, bus: Bus, clock: Clock, logger: Logger | None = None) -> None:
        self._bucket = bus.bucket(subjects.BUCKET_KEY_USES)
        self._clock = clock
        self._logger: Logger = logger or structlog.get_logger()
        self._written: dict[str, datetime] = {}
        self._pending: dict[str, datetime] = {}
        self._noted: set[str] = set()
        """Looked at since the last flush: every request comes by here, and a look at the clock costs."""

    def note(self, key_id: str) -> None:
        """The key is being used."""
        if key_id in self._noted:
            return
        self._noted.add(key_id)
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        if self._written.get(key_id) != hour:
            self._pending[key_id] = hour

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted."""
        self._noted.clear()
        for key_id, hour in list(self._pending.items()):
            use = KEY_USES.encode(KeyUse(key_id=key_id, used_at=hour))
            try:
                await self._bucket.put(key_id, use, deadline_seconds=_WRITE_DEADLINE_SECONDS)
            except BusError as error:
                self._logger.warning("key_use.not_written", reason=str(error))
                return
            self._written[key_id] = hour
            if self._pending.get(key_id) == hour:
                del self._pending[key_id]
