"""Runs an autoscaler: `python -m hostler_autoscaler`.

Reads the settings, builds the adapters, and leaves the rest to the chassis. Of several, one acts at a time.
"""

from hostler_autoscaler.recorder import DecisionRecorder
from hostler_autoscaler.service import Autoscaler
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_autoscaler.what_if.answers import SimulationAnswers
from hostler_bus.connection import campaign, open_bus, resync
from hostler_bus.job_log import JobLog
from hostler_bus.projection import JobProjection
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), AutoscalerSettings()

    async def start(chassis: Chassis) -> None:
        bus = await open_bus(chassis, platform)
        jobs = JobProjection(chassis.logger)
        lease = await campaign(chassis, bus, "autoscaler", ttl_seconds=settings.lease_seconds)
        source = f"/hostler/autoscaler/{chassis.name}"
        recorder = DecisionRecorder(bus, source=source, logger=chassis.logger, registry=chassis.registry)
        autoscaler = Autoscaler(
            bus,
            jobs,
            JobLog(bus, source=source, clock=chassis.clock),
            lease,
            settings,
            recorder=recorder,
            clock=chassis.clock,
            logger=chassis.logger,
            registry=chassis.registry,
        )
        chassis.readiness.add("projections", autoscaler.ready)
        chassis.spawn("jobs", jobs.run(bus))
        resync(chassis, bus, platform, jobs=jobs)
        chassis.spawn("windows", autoscaler.follow_windows())
        chassis.spawn("lease", autoscaler.watch_lease())
        chassis.spawn("decisions", recorder.run())
        chassis.spawn("decide", autoscaler.loop.run())
        answers = SimulationAnswers(bus, jobs, chassis.clock, chassis.logger)
        chassis.spawn("simulations", answers.run())

    run_service("autoscaler", platform, settings, start)


if __name__ == "__main__":
    main()
