"""Runs a provisioner with the `local` backend: `python -m hostler_provisioner`."""

from hostler_bus.connection import campaign, open_bus
from hostler_bus.job_log import JobLog
from hostler_bus.projection import JobProjection
from hostler_kit.ops import caught_up
from hostler_kit.secret_key import require_secret_key
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_provisioner.effects import Effects
from hostler_provisioner.local.backend import LocalBackend
from hostler_provisioner.local.replica import LocalSettings
from hostler_provisioner.service import Provisioner
from hostler_provisioner.settings import ProvisionerSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), ProvisionerSettings()

    async def start(chassis: Chassis) -> None:
        secret_key = require_secret_key(platform.secret_key_file)
        backend = LocalBackend(
            LocalSettings(
                settings.data_dir,
                cluster=settings.cluster,
                instance=settings.instance,
                model_paths=settings.model_paths,
            ),
            clock=chassis.clock,
            logger=chassis.logger,
        )
        chassis.on_stop("backend", backend.close)
        bus = await open_bus(chassis, platform)
        jobs = JobProjection(chassis.logger)
        lease = await campaign(
            chassis, bus, f"provisioner.{settings.cluster}", ttl_seconds=settings.lease_seconds
        )
        provisioner = Provisioner(
            bus, jobs, backend, lease, settings, chassis.clock, chassis.logger, chassis.registry
        )
        effects = Effects(
            bus,
            JobLog(bus, source=f"/hostler/provisioner/{chassis.name}", clock=chassis.clock),
            jobs,
            backend,
            secret_key,
            chassis.clock,
            chassis.logger,
            stop_grace_seconds=settings.stop_grace_seconds,
            done=provisioner.loop.note,
        )
        provisioner.use(effects)
        if settings.stop_replicas_on_exit:
            chassis.on_stop("replicas", provisioner.stop_replicas)
        chassis.on_stop("effects", effects.close)
        chassis.readiness.add("jobs", lambda: caught_up(jobs.caught_up, "the job log"))
        chassis.spawn("jobs", jobs.run(bus))
        chassis.spawn("node", provisioner.report_node())
        chassis.spawn("backend", provisioner.watch_backend())
        chassis.spawn("lease", provisioner.watch_lease())
        chassis.spawn("reconcile", provisioner.loop.run())

    run_service("provisioner", platform, settings, start)


if __name__ == "__main__":
    main()
