"""From the service's settings and the jobs to what the backend works by."""

import pytest

from hostler_domain.changes import JobScaled, JobStopRequested
from hostler_domain.errors import PermanentError
from hostler_domain.evolve import evolve
from hostler_provisioner.kubevirt.assemble import cluster_settings, disks_of
from hostler_provisioner.kubevirt.machine import Cache
from hostler_provisioner.settings import KubernetesSettings
from tests.support.builders import JOB_ID, at, running_job

IMAGES = {"vllm": "docker://registry.example/guest:1"}


def test_what_is_made_follows_the_settings() -> None:
    given = KubernetesSettings(
        images=IMAGES, namespace="machines", cache_shared=True, egress_blocks=("10.1.0.0/16",)
    )
    made = cluster_settings("main", given)
    assert (made.cluster, made.namespace, made.storage.cache) == ("main", "machines", Cache.SHARED)
    assert made.network.egress_blocks == ("10.1.0.0/16",)
    assert made.network.login_callers == ()


def test_without_an_image_nothing_can_be_started() -> None:
    with pytest.raises(PermanentError, match="HOSTLER_PROVISIONER_KUBERNETES_IMAGES"):
        cluster_settings("main", KubernetesSettings())


def test_a_job_keeps_a_disk_for_each_replica_it_wants_one_while_it_sleeps_and_none_once_stopped() -> None:
    job = running_job()
    three = evolve(job, JobScaled(at(9), 1, 3, ()))
    asleep = evolve(job, JobScaled(at(9), 1, 0, ()))
    stopped = evolve(job, JobStopRequested(at(9), "key-1"))
    kept = [disks_of({JOB_ID: each})[JOB_ID] for each in (job, three, asleep, stopped)]
    assert kept == [1, 3, 1, 0]
