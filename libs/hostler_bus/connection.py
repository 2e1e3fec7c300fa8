"""From a service's settings to its bus."""

from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus
from hostler_kit.ops import Check
from hostler_kit.service import Chassis
from hostler_kit.settings import PlatformSettings


async def open_bus(chassis: Chassis, platform: PlatformSettings) -> Bus:
    """The bus that the settings name: part of the service's readiness from now on, drained when it stops.

    Raises:
        BusRefused: wrong credentials.
        BusUnavailable: no server within the time that the settings give.
    """
    bus = await connect(
        platform.nats_url,
        user=platform.nats_user or None,
        password=platform.nats_password.get_secret_value() or None,
        name=chassis.name,
        connect_timeout_seconds=platform.nats_connect_timeout_seconds,
    )
    chassis.on_stop("bus", bus.drain)
    chassis.readiness.add(
        "bus", lambda: Check(bus.connected, "" if bus.connected else "NATS can't be reached")
    )
    return bus
