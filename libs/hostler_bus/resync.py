"""Projections kept in step on a timer, whatever the messages that they follow may have left out.

Each service runs this beside its projections. A period is lengthened or shortened by up to a fifth, so that services that were started
together don't all list the log at once.
"""

import random
from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter

from hostler_bus.port import Bus
from hostler_bus.projection import Grace
from hostler_domain.errors import TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger

JITTER = 0.2
GRACE_SECONDS = 5.0
"""What was stored while the list was read has this long to come by itself, far longer than it ever takes."""


class Resyncable(Protocol):
    """What can be held against what is stored."""

    @property
    def caught_up(self) -> bool:
        """Whether it has read what there was at its start."""
        ...

    async def resync(self, bus: Bus, grace: Grace) -> int:
        """Mend what is not as it is stored; gives how many things were not."""
        ...


class ResyncMetrics:
    """What was looked at and what was mended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.resyncs = Counter(
            "hostler_projection_resyncs_total",
            "Times that a projection was held against what is stored.",
            ("projection",),
            registry=registry,
        )
        self.repaired = Counter(
            "hostler_projection_repaired_total",
            "Jobs or records that a projection had missed; anything but 0 is a bug somewhere.",
            ("projection",),
            registry=registry,
        )


def pause_seconds(period_seconds: float, rng: random.Random) -> float:
    """How long to wait until the next resync."""
    return period_seconds * rng.uniform(1 - JITTER, 1 + JITTER)


async def keep_in_step(
    bus: Bus,
    projections: Mapping[str, Resyncable],
    *,
    period_seconds: float,
    clock: Clock,
    rng: random.Random,
    metrics: ResyncMetrics,
    logger: Logger,
) -> None:
    """Resync every projection, again and again, until cancelled. One that can't be now has its turn next time."""

    async def grace() -> None:
        await clock.sleep(GRACE_SECONDS)

    for name in projections:
        metrics.resyncs.labels(name)
        metrics.repaired.labels(name)
    while True:
        await clock.sleep(pause_seconds(period_seconds, rng))
        for name, projection in projections.items():
            if not projection.caught_up:
                continue
            try:
                repaired = await projection.resync(bus, grace)
            except TemporaryError as error:
                logger.warning("projection.resync_failed", projection=name, reason=str(error))
                continue
            metrics.resyncs.labels(name).inc()
            metrics.repaired.labels(name).inc(repaired)
