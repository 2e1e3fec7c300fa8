"""Runs a scheduler: `python -m hostler_scheduler`.

Reads the settings, builds the adapters, and leaves the rest to the chassis. Of several, one acts at a time.
"""

from hostler_bus.connection import campaign, open_bus, resync
from hostler_bus.job_log import JobLog
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import catalogue, subjects
from hostler_kit.ids import new_id
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_scheduler.service import Projections, Scheduler
from hostler_scheduler.settings import SchedulerSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), SchedulerSettings()

    async def start(chassis: Chassis) -> None:
        bus = await open_bus(chassis, platform)
        known = Projections(
            jobs=JobProjection(chassis.logger),
            nodes=CatalogueProjection(subjects.BUCKET_NODES, catalogue.NODES, chassis.logger),
            profiles=CatalogueProjection(
                subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES, chassis.logger
            ),
            projects=CatalogueProjection(subjects.BUCKET_PROJECTS, catalogue.PROJECTS, chassis.logger),
        )
        lease = await campaign(chassis, bus, "scheduler", ttl_seconds=settings.lease_seconds)
        scheduler = Scheduler(
            known,
            JobLog(bus, source=f"/hostler/scheduler/{chassis.name}", clock=chassis.clock),
            lease,
            settings,
            clock=chassis.clock,
            new_ids=new_id,
            logger=chassis.logger,
            registry=chassis.registry,
        )
        chassis.readiness.add("projections", scheduler.ready)
        chassis.spawn("jobs", known.jobs.run(bus))
        chassis.spawn("nodes", known.nodes.run(bus))
        chassis.spawn("profiles", known.profiles.run(bus))
        chassis.spawn("projects", known.projects.run(bus))
        resync(
            chassis,
            bus,
            platform,
            jobs=known.jobs,
            nodes=known.nodes,
            profiles=known.profiles,
            projects=known.projects,
        )
        chassis.spawn("lease", scheduler.watch_lease())
        chassis.spawn("schedule", scheduler.loop.run())

    run_service("scheduler", platform, settings, start)


if __name__ == "__main__":
    main()
