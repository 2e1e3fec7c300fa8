"""Runs a router: `python -m hostler_router`.

Reads the settings, builds the adapters, and leaves the rest to the chassis. Several of these share one port; with more than one
worker this process only looks after them (`workers`).
"""

import random
import sys
from typing import TYPE_CHECKING

from hostler_kit.settings import PlatformSettings
from hostler_router.settings import RouterSettings
from hostler_router.spare_modules import go_without, spare_modules

if TYPE_CHECKING:
    from hostler_kit.service import Chassis


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), RouterSettings()
    go_without(
        spare_modules(
            nats_url=platform.nats_url,
            traces=platform.traces_sample is not None,
            terminal=sys.stdout.isatty(),
        )
    )
    # Late, for what they import in turn.
    from hostler_router.workers import run_workers, worker_count

    workers = worker_count(settings.workers)
    if workers > 1:
        run_workers(workers, platform, settings)
    else:
        _run_router(platform, settings)


def _run_router(platform: PlatformSettings, settings: RouterSettings) -> None:
    # Late, because a parent starts its workers sooner without it, and has no use for it.
    from hostler_bus.connection import open_bus, resync
    from hostler_kit.logs import json_stream
    from hostler_kit.secret_key import require_secret_key
    from hostler_kit.service import run_service
    from hostler_kit.valkey import open_valkey, valkey_url
    from hostler_router.limits_store import ROUND_TRIP_SECONDS_MAX
    from hostler_router.memory import settle_memory
    from hostler_router.service import Router, Surroundings
    from hostler_router.tracing import open_tracer
    from hostler_router.worker_link import Report, upward

    async def start(chassis: "Chassis") -> None:
        parent = upward(chassis.stopping.set)
        if parent is not None:
            parent.tell(Report(chassis.ops_port, serves=False))
        secret_key = require_secret_key(platform.secret_key_file)
        bus = await open_bus(chassis, platform)
        url = valkey_url(platform)
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
                valkey=None if url is None else open_valkey(url, timeout_seconds=ROUND_TRIP_SECONDS_MAX),
                log_stream=json_stream(platform.log_format),
                tracer=open_tracer(platform.traces_sample, chassis.name, random.Random()),  # noqa: S311  # as above
            ),
            settings,
        )
        chassis.on_stop("router", router.stop)
        await router.start(chassis.spawn)
        resync(chassis, bus, platform, jobs=router.jobs, keys=router.keys)
        settle_memory()
        if parent is not None:
            parent.tell(Report(chassis.ops_port, serves=True))

    run_service("router", platform, settings, start)


if __name__ == "__main__":
    main()
