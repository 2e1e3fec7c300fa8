"""Tells the other routers, workers of the same process included, what this one has on each replica, and hears what they have.

A task beside the requests: it looks at the counts every so often and sends them where they have changed, and once a second in any case, so that
those who hear nothing know that there is nothing to hear. Messages may be lost, and nothing waits for one: without the bus each router
goes by its own requests, as it does while it is alone.
"""

from collections.abc import Callable
from typing import Final

from hostler_bus.errors import BusError
from hostler_bus.port import Bus, Served
from hostler_contracts import subjects
from hostler_contracts.router_load import ReplicaWork, RouterLoad, UndecodableLoad, decode_load, encode_load
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.outstanding import Outstanding
from hostler_router.peer_loads import KEPT_SECONDS, PeerLoads, averaged

_AGAIN_SECONDS: Final = KEPT_SECONDS / 3
_REPLICAS_PER_PERIOD: Final = 500
"""A message about more of them is sent that much more seldom."""


class LoadGossip:
    """What this router tells, and where it puts what it hears."""

    def __init__(
        self,
        bus: Bus,
        outstanding: Outstanding,
        peers: PeerLoads,
        *,
        name: str,
        life: str,
        period_seconds: float,
        routers: Callable[[], int],
        clock: Clock,
        logger: Logger,
    ) -> None:
        """Make it.

        Args:
            bus: Over which.
            outstanding: What this router has.
            peers: Takes what the others have.
            name: Of this router.
            life: Of this process; sorts behind those of earlier ones of the name.
            period_seconds: Between two looks; 0, also later by `close`, tells and hears nothing.
            routers: How many there are; one alone tells nobody.
            clock: The time.
            logger: For what it says.
        """
        self._bus = bus
        self._outstanding = outstanding
        self._peers = peers
        self._name = name
        self._life = life
        self._period_seconds = period_seconds
        self._routers = routers
        self._clock = clock
        self._logger = logger
        self._number = 0
        self._told: dict[str, ReplicaWork] = {}
        self._told_at = float("-inf")
        self._looked_at = clock.monotonic()
        self._served: Served | None = None

    async def run(self) -> None:
        """Tell and hear, until cancelled."""
        while True:
            if not self._period_seconds:
                await self._clock.sleep(_AGAIN_SECONDS)
                continue
            many = max(1.0, len(self._told) / _REPLICAS_PER_PERIOD)
            await self._clock.sleep(min(self._period_seconds * many, _AGAIN_SECONDS))
            try:
                if self._served is None:
                    self._served = await self._bus.serve(subjects.ROUTERS_LOAD, self._hear)
                await self.look()
            except BusError as error:
                # What was told last runs out by itself.
                self._logger.debug("load_gossip.not_sent", reason=str(error))

    async def look(self) -> None:
        """Forget who is silent, and tell what has changed.

        Raises:
            BusError: that did not work.
        """
        now = self._clock.monotonic()
        self._peers.expire(now)
        if self._routers() < 2:
            return
        outstanding, passed_seconds = self._outstanding, now - self._looked_at
        self._looked_at = now
        present = averaged(self._told, outstanding.counts, outstanding.work, passed_seconds)
        if present != self._told or now - self._told_at >= _AGAIN_SECONDS:
            await self._tell(present, now)

    async def close(self) -> None:
        """Say that nothing is left, after the last request, and hear nothing more."""
        served, self._served = self._served, None
        if served is None:
            return
        self._period_seconds = 0.0
        try:
            if self._told:
                await self._tell({}, self._clock.monotonic())
        except BusError as error:
            self._logger.debug("load_gossip.not_sent", reason=str(error))
        await served.close()

    async def _tell(self, present: dict[str, ReplicaWork], now: float) -> None:
        self._number += 1
        load = RouterLoad(router=self._name, life=self._life, number=self._number, replicas=present)
        await self._bus.publish(subjects.ROUTERS_LOAD, encode_load(load))
        self._told, self._told_at = present, now

    async def _hear(self, data: bytes) -> bytes:
        try:
            load = decode_load(data)
        except UndecodableLoad as error:
            self._logger.warning("load_gossip.undecodable", reason=str(error))
            return b""
        if load.router != self._name:
            self._peers.hear(load, self._clock.monotonic())
        return b""
