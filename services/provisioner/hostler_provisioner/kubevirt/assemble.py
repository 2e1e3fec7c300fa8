"""A KubeVirt backend from the service's settings. Called by `__main__`, and only where this backend is asked for."""

import random
from collections.abc import Callable, Mapping
from functools import partial

from hostler_domain.errors import PermanentError
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase, JobPhase
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.kubevirt.backend import KubeVirtBackend
from hostler_provisioner.kubevirt.client import Client, connect
from hostler_provisioner.kubevirt.guests.runtimes import guest_of
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings
from hostler_provisioner.kubevirt.machine import ClusterSettings, Network, Peer, Storage
from hostler_provisioner.kubevirt.settings import Access, Patience
from hostler_provisioner.settings import KubernetesSettings

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label with its name that every namespace has."""


def assemble(
    cluster: str,
    settings: KubernetesSettings,
    *,
    jobs: Callable[[], Mapping[str, Job] | None],
    clock: Clock,
    rng: random.Random,
    logger: Logger,
) -> KubeVirtBackend:
    """The backend of one cluster; `jobs` gives all jobs, or None while they are not known."""
    key_file = settings.ngc_api_key_file
    guests = GuestSettings(
        settings.shutdown_timeout_seconds,
        key_file.read_text(encoding="utf-8").strip() if key_file is not None else None,
    )
    access = Access(
        request_timeout_seconds=settings.request_timeout_seconds,
        requests_max=settings.requests_max,
        unreachable_seconds=settings.unreachable_seconds,
    )

    async def open_client() -> Client:
        return await connect(
            kubeconfig=settings.kubeconfig,
            context=settings.context,
            namespace=settings.namespace,
            clock=clock,
            timeout_seconds=access.request_timeout_seconds,
            requests_max=access.requests_max,
        )

    def disks() -> Mapping[str, int] | None:
        known = jobs()
        return None if known is None else disks_of(known)

    return KubeVirtBackend(
        cluster_settings(cluster, settings),
        access,
        Patience(
            probe_period_seconds=settings.probe_period_seconds,
            deletion_deadline_seconds=settings.deletion_deadline_seconds,
            local_storage=settings.local_storage,
        ),
        connect=open_client,
        guest_of=partial(guest_of, settings=guests),
        disks=disks,
        clock=clock,
        rng=rng,
        logger=logger,
    )


def cluster_settings(cluster: str, settings: KubernetesSettings) -> ClusterSettings:
    """What is made in the cluster."""
    if not settings.images:
        raise PermanentError(
            "HOSTLER_PROVISIONER_KUBERNETES_IMAGES must name a machine image for each runtime"
        )
    return ClusterSettings(
        cluster=cluster,
        namespace=settings.namespace,
        images=settings.images,
        storage=Storage(
            volumes=settings.volumes,
            root_storage_class=settings.storage_class,
            cache_storage_class=settings.cache_storage_class,
            cache_shared=settings.cache_shared,
            root_disk_gb=settings.root_disk_gb,
            cache_gb=settings.cache_gb,
            image_namespace=settings.image_namespace,
            import_secret=settings.import_secret,
            pull_secret=settings.pull_secret,
        ),
        network=Network(
            callers=tuple(
                Peer({_NAMESPACE_NAME: settings.callers_namespace}, {"app.kubernetes.io/component": part})
                for part in ("router", "provisioner")
            ),
            login_callers=(
                (Peer({_NAMESPACE_NAME: settings.login_namespace}),) if settings.login_namespace else ()
            ),
            egress_blocks=settings.egress_blocks,
        ),
        # A device's name says the product; nodes that give GPUs to machines often lack the label.
        gpu_product_label=None,
        dedicated_cpus=settings.dedicated_cpus,
    )


def disks_of(jobs: Mapping[str, Job]) -> dict[str, int]:
    """How many slots each living job may have: as many as it wants replicas, and one while it sleeps, so that it wakes fast.

    One that was stopped or has failed keeps none; one that is to go is still living, until `forget` has taken everything.
    """
    return {job_id: _slots(job) for job_id, job in jobs.items() if job.status.phase is not JobPhase.DELETED}


def _slots(job: Job) -> int:
    up = job.status.desired_phase is DesiredPhase.RUNNING and job.status.phase is not JobPhase.FAILED
    return max(job.wanted_replicas, 1) if up else 0
