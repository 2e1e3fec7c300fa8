"""Runs an api: `python -m hostler_api`. Several of these share one port."""

from hostler_api.access import Gate
from hostler_api.app import create_app
from hostler_api.bootstrap import read_admin_key, write_admin_key, write_shipped_catalogue
from hostler_api.dead_letters import DeadLetters
from hostler_api.events import EventFeed
from hostler_api.jobs import JobService
from hostler_api.settings import ApiSettings
from hostler_bus.connection import open_bus, resync
from hostler_bus.dead_letters import DeadLetterBook, collect
from hostler_bus.job_log import JobLog
from hostler_bus.letter_projection import LetterProjection
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import catalogue, subjects
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
        await write_shipped_catalogue(bus)
        if settings.admin_key_file is not None:
            await write_admin_key(bus, read_admin_key(settings.admin_key_file), chassis.clock.now())
        source = f"/hostler/api/{chassis.name}"
        log = JobLog(bus, source=source, clock=chassis.clock)
        book = DeadLetterBook(bus, source=source, clock=chassis.clock)
        letters = LetterProjection(chassis.clock.now, chassis.logger)
        jobs = JobProjection(chassis.logger)
        masters = CatalogueProjection(subjects.BUCKET_MODEL_MASTERS, catalogue.MODEL_MASTERS, chassis.logger)
        profiles = CatalogueProjection(
            subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES, chassis.logger
        )
        keys = CatalogueProjection(subjects.BUCKET_API_KEYS, catalogue.API_KEYS, chassis.logger)
        chassis.spawn("jobs", jobs.run(bus))
        resync(
            chassis, bus, platform, jobs=jobs, masters=masters, profiles=profiles, keys=keys, letters=letters
        )
        chassis.spawn("letters", letters.run(bus))
        chassis.spawn("collector", collect(bus, book, chassis.logger))
        for name, projection in (("masters", masters), ("profiles", profiles), ("keys", keys)):
            chassis.spawn(name, projection.run(bus))

        def all_caught_up() -> bool:
            return all(each.caught_up for each in (jobs, masters, profiles, keys, letters))

        chassis.readiness.add("projections", lambda: caught_up(all_caught_up(), "what is stored"))
        app = create_app(
            JobService(bus, log, jobs, masters, profiles, secret_key, chassis.clock),
            EventFeed(bus, idle_seconds=settings.events_idle_seconds, stopping=chassis.stopping),
            Gate(keys.records, chassis.clock, caught_up=all_caught_up),
            chassis.readiness,
            DeadLetters(book, letters),
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
