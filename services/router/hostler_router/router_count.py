"""How many routers are alive, from the entries of the bucket `routers` that `presence` keeps.

`limits` divides a limit by it while Valkey can't be asked. Without the bus it stays at what was last known: routers go on
serving then, and a share that is too large for a while is better than one that grows with every entry that can't be renewed.
"""

from hostler_bus.errors import BusError
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger


class RouterCount:
    """The number; at least this router itself."""

    def __init__(self, bus: Bus, *, period_seconds: float, clock: Clock, logger: Logger) -> None:
        self._bucket = bus.bucket(subjects.BUCKET_ROUTERS)
        self._period_seconds = period_seconds
        self._clock = clock
        self._logger = logger
        self._names: frozenset[str] = frozenset()

    def alive(self) -> int:
        """How many there were at the last look."""
        return max(len(self._names), 1)

    def names(self) -> frozenset[str]:
        """What they are called; none before the first look."""
        return self._names

    async def look(self) -> None:
        """Count them.

        Raises:
            BusError: that did not work.
        """
        self._names = frozenset(await self._bucket.keys())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except BusError as error:
                self._logger.warning("router_count.not_read", reason=str(error))
            await self._clock.sleep(self._period_seconds)
