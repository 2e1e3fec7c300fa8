"""Runs an api: `python -m hostler_api`. Several of these share one port."""

from hostler_api.access import Gate
from hostler_api.app import Parts, create_app
from hostler_api.bootstrap import read_admin_key, write_admin_key, write_shipped_catalogue
from hostler_api.catalogues import Catalogues
from hostler_api.events import EventFeed
from hostler_api.jobs import JobService
from hostler_api.no_history import NoHistory
from hostler_api.sessions import Sessions
from hostler_api.settings import ApiSettings
from hostler_bus.connection import open_bus
from hostler_bus.job_log import JobLog
from hostler_bus.projection import JobProjection
from hostler_kit.http import HttpServer
from hostler_kit.ops import caught_up
from hostler_kit.secret_key import require_secret_key
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), ApiSettings()

    async def start(chassis: Chassis) -> None:
        secret_key = require_secret_key(platform.secret_key_file)
        bus = await open_bus(chassis, platform, declare=True)
        await write_shipped_catalogue(bus, chassis.clock.now())
        if settings.admin_key_file is not None:
            await write_admin_key(bus, read_admin_key(settings.admin_key_file), chassis.clock.now())
        log = JobLog(bus, source=f"/hostler/api/{chassis.name}", clock=chassis.clock)
        jobs = JobProjection(chassis.logger)
        catalogues = Catalogues(chassis.logger)
        chassis.spawn("jobs", jobs.run(bus))
        for name, projection in catalogues.all():
            chassis.spawn(name, projection.run(bus))
        chassis.readiness.add(
            "projections",
            lambda: caught_up(jobs.caught_up and catalogues.caught_up, "what is stored"),
        )
        app = create_app(
            Parts(
                jobs=JobService(bus, log, jobs, catalogues, secret_key, chassis.clock),
                feed=EventFeed(bus, idle_seconds=settings.events_idle_seconds, stopping=chassis.stopping),
                gate=Gate(catalogues.keys.records, chassis.clock, sessions=Sessions(secret_key)),
                catalogues=catalogues,
                history=NoHistory(),
                readiness=chassis.readiness,
            ),
            logger=chassis.logger,
            clock=chassis.clock,
            registry=chassis.registry,
        )
        server = HttpServer(
            app,
            host=settings.host,
            port=settings.port,
            share_port=True,
            drain_timeout_seconds=platform.drain_timeout_seconds,
        )
        chassis.on_stop("http", server.stop)
        await server.start()
        chassis.logger.info("api.listening", port=server.port)

    run_service("api", platform, settings, start)


if __name__ == "__main__":
    main()
