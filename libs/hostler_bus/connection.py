"""From a service's settings to its bus, to the lease of one that leads, and to projections that stay in step."""

import random
from dataclasses import replace

from hostler_bus.leases import Lease, hold
from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus
from hostler_bus.resync import Resyncable, ResyncMetrics, keep_in_step
from hostler_bus.topology import TOPOLOGY
from hostler_kit.ops import Check
from hostler_kit.secret_key import read_private
from hostler_kit.service import Chassis
from hostler_kit.settings import PlatformSettings


async def open_bus(chassis: Chassis, platform: PlatformSettings, *, declare: bool = False) -> Bus:
    """The bus that the settings name: part of the service's readiness from now on, drained when it stops.

    Args:
        chassis: Of the service.
        platform: Its settings.
        declare: Whether this service makes the streams and buckets, or waits until they are there.

    Raises:
        BadSecret: the file with the password can't be used.
        BusRefused: wrong credentials.
        BusUnavailable: no server, or not everything declared there, within the time that the settings give.
    """
    bus = await connect(
        platform.nats_url,
        user=platform.nats_user or None,
        password=nats_password(platform) or None,
        name=chassis.name,
        connect_timeout_seconds=platform.nats_connect_timeout_seconds,
        declare=declare,
        topology=replace(TOPOLOGY, replicas=platform.nats_replicas),
    )
    chassis.on_stop("bus", bus.drain)
    chassis.readiness.add(
        "bus", lambda: Check(bus.connected, "" if bus.connected else "NATS can't be reached")
    )
    return bus


async def campaign(chassis: Chassis, bus: Bus, name: str, *, ttl_seconds: int) -> Lease:
    """The lease `name`, campaigned for from now on and given back when the service stops."""
    held = hold(bus, name, holder=chassis.name, ttl_seconds=ttl_seconds, clock=chassis.clock)
    return await chassis.enter("lease", held)


def resync(chassis: Chassis, bus: Bus, platform: PlatformSettings, **projections: Resyncable) -> None:
    """Hold the projections against what is stored, on a timer, from now on."""
    work = keep_in_step(
        bus,
        projections,
        period_seconds=platform.projection_resync_seconds,
        clock=chassis.clock,
        # Spreads the services over the period and does nothing else.
        rng=random.Random(),  # noqa: S311
        metrics=ResyncMetrics(chassis.registry),
        logger=chassis.logger,
    )
    chassis.spawn("resync", work)


def nats_password(platform: PlatformSettings) -> str:
    """The password from the environment, else the one from the file that the settings name; empty without either.

    Raises:
        BadSecret: the file can't be used.
    """
    password = platform.nats_password.get_secret_value()
    if password or platform.nats_password_file is None:
        return password
    return read_private(platform.nats_password_file, "NATS password")
