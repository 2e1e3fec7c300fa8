"""Runs a provisioner: `python -m hostler_provisioner`.

One process acts for two clusters, each with a lease of its own: its own, with the `local` backend (processes of this machine) or with
`kubevirt` (virtual machines of a Kubernetes cluster), and `external`, whose replicas are servers that run already. Several clusters
have a provisioner each.
"""

import random
from collections.abc import Mapping

from hostler_bus.connection import campaign, open_bus, resync
from hostler_bus.job_log import JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_domain.job import Job
from hostler_kit.ops import Check, caught_up
from hostler_kit.secret_key import require_secret_key
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_provisioner.backend import Backend
from hostler_provisioner.effects import Effects
from hostler_provisioner.external.backend import ExternalBackend
from hostler_provisioner.launches import Launches
from hostler_provisioner.local.backend import LocalBackend
from hostler_provisioner.local.replica import LocalSettings
from hostler_provisioner.metrics import ProvisionerMetrics
from hostler_provisioner.replica_logs import ReplicaLogs
from hostler_provisioner.service import Provisioner
from hostler_provisioner.settings import BackendKind, KubernetesSettings, ProvisionerSettings


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), ProvisionerSettings()

    async def start(chassis: Chassis) -> None:
        secret_key = require_secret_key(platform.secret_key_file)
        jobs = JobProjection(chassis.logger)
        own: Backend
        match settings.backend:
            case BackendKind.LOCAL:
                own = _local(chassis, settings)
            case BackendKind.KUBEVIRT:
                own = _kubevirt(chassis, settings, jobs)
        chassis.on_stop("backend", own.close)
        bus = await open_bus(chassis, platform)
        profiles = bus.bucket(subjects.BUCKET_HARDWARE_PROFILES)
        launches = Launches(bus.bucket(subjects.BUCKET_SECRETS), secret_key, profiles)
        external = ExternalBackend(jobs, launches, clock=chassis.clock, logger=chassis.logger)
        chassis.on_stop("external-backend", external.close)
        metrics = ProvisionerMetrics(chassis.registry)
        for backend in (own, external):
            provisioner = await _act_for(chassis, settings, bus, jobs, launches, metrics, backend)
            if backend is own:
                chassis.spawn("node", provisioner.report_nodes())
        chassis.readiness.add("jobs", lambda: caught_up(jobs.caught_up, "the job log"))
        chassis.spawn("jobs", jobs.run(bus))
        resync(chassis, bus, platform, jobs=jobs)

    run_service("provisioner", platform, settings, start)


def _local(chassis: Chassis, settings: ProvisionerSettings) -> LocalBackend:
    return LocalBackend(
        LocalSettings(
            settings.data_dir,
            cluster=settings.cluster,
            instance=settings.instance,
            model_paths=settings.model_paths,
            bind_address=str(settings.replica_bind_address),
            host=settings.replica_host,
        ),
        clock=chassis.clock,
        logger=chassis.logger,
    )


def _kubevirt(chassis: Chassis, settings: ProvisionerSettings, jobs: JobProjection) -> Backend:
    # The Kubernetes client costs 2 s and 60 MB, which a laptop does without.
    from hostler_provisioner.kubevirt.assemble import assemble

    def known() -> Mapping[str, Job] | None:
        return {job_id: entry.job for job_id, entry in jobs.jobs.items()} if jobs.caught_up else None

    return assemble(
        settings.cluster,
        KubernetesSettings(),
        jobs=known,
        clock=chassis.clock,
        rng=random.Random(),  # noqa: S311  # spreads tries, guards nothing
        logger=chassis.logger,
    )


async def _act_for(
    chassis: Chassis,
    settings: ProvisionerSettings,
    bus: Bus,
    jobs: JobProjection,
    launches: Launches,
    metrics: ProvisionerMetrics,
    backend: Backend,
) -> Provisioner:
    """Reconcile the cluster of one backend from now on."""
    cluster = backend.cluster
    lease = await campaign(chassis, bus, f"provisioner.{cluster}", ttl_seconds=settings.lease_seconds)
    chassis.readiness.add(
        f"lease-{cluster}", lambda: Check(ok=True, detail="leader" if lease.held else "standing by")
    )
    provisioner = Provisioner(bus, jobs, backend, lease, settings, chassis.clock, chassis.logger, metrics)
    effects = Effects(
        bus,
        JobLog(bus, source=f"/hostler/provisioner/{chassis.name}", clock=chassis.clock),
        jobs,
        backend,
        launches,
        chassis.clock,
        chassis.logger,
        stop_grace_seconds=settings.stop_grace_seconds,
        done=provisioner.loop.note,
    )
    provisioner.use(effects)
    backend.fence(lambda: lease.held)
    if settings.stop_replicas_on_exit:
        chassis.on_stop(f"replicas-{cluster}", provisioner.stop_replicas)
    chassis.on_stop(f"effects-{cluster}", effects.close)
    chassis.spawn(f"backend-{cluster}", provisioner.watch_backend())
    chassis.spawn(f"lease-{cluster}", provisioner.watch_lease())
    chassis.spawn(f"reconcile-{cluster}", provisioner.loop.run())
    chassis.spawn(f"logs-{cluster}", ReplicaLogs(bus, backend, lease, chassis.clock).run())
    return provisioner


if __name__ == "__main__":
    main()
