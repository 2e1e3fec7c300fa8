"""Runs a router: `python -m hostler_router`.

Reads the settings, builds the adapters, and leaves the rest to the chassis. Several of these share one port.
"""

import random

from hostler_bus.connection import open_bus, resync
from hostler_kit.secret_key import require_secret_key
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_router.service import Router, Surroundings
from hostler_router.settings import RouterSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), RouterSettings()

    async def start(chassis: Chassis) -> None:
        secret_key = require_secret_key(platform.secret_key_file)
        bus = await open_bus(chassis, platform)
        router = Router(
            Surroundings(
                name=chassis.name,
                bus=bus,
                secret_key=secret_key,
                registry=chassis.registry,
                readiness=chassis.readiness,
                clock=chassis.clock,
                # Decides between equal replicas and nothing else, so it needs not be hard to foresee.
                rng=random.Random(),  # noqa: S311
                logger=chassis.logger,
                drain_timeout_seconds=platform.drain_timeout_seconds,
            ),
            settings,
        )
        chassis.on_stop("router", router.stop)
        await router.start(chassis.spawn)
        resync(chassis, bus, platform, jobs=router.jobs, keys=router.keys)

    run_service("router", platform, settings, start)


if __name__ == "__main__":
    main()
