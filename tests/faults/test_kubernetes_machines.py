"""Row 7 of the fault matrix: virtual machines that vanish, fail, can't be told about any more, or do not go."""

from collections.abc import Iterator

import pytest

from tests.faults.facts import Wish
from tests.faults.kubernetes_judge import doubles
from tests.faults.kubernetes_site import NAMESPACE, KubernetesSite, kubernetes_site, nodes
from tests.support.kubernetes.config import ClusterConfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

GPUS = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    """Two nodes of two GPUs: what is taken for free too early finds no room at once."""
    folder = tmp_path_factory.mktemp("machines")
    config = ClusterConfig(nodes=nodes(2, GPUS), guests=True)
    with kubernetes_site(folder, config, twins=False, kubernetes_deletion_deadline_seconds="2") as running:
        yield running


def _serving(site: KubernetesSite, name: str, replicas: int = 1) -> str:
    hands = site.hands(name)
    job_id = site.create(hands, name, replicas)
    site.until_ready(job_id, replicas)
    return job_id


def _settle(site: KubernetesSite) -> None:
    hands = site.hands("settler")
    site.delete_all(hands)
    assert site.judgement() == []


@pytest.mark.parametrize("how", ["vanish", "fail", "succeed", "unknown"])
def test_a_machine_is_replaced_that_came_to(site: KubernetesSite, how: str) -> None:
    job_id = _serving(site, f"came-to-{how}")
    (old,) = site.machines(job_id)

    site.cluster.vmi(NAMESPACE, old.name, how)

    if how == "unknown":
        # Whether it still serves nobody knows, and it does; what it says of itself counts until it is silent.
        assert site.until_calm() == []
        site.cluster.vmi(NAMESPACE, old.name, "vanish")
    site.until(lambda: any(each.uid != old.uid for each in site.running_machines(job_id)), "there is another")
    assert site.until_calm() == []
    _settle(site)


def test_a_machine_on_a_lost_node_is_replaced_elsewhere_and_its_gpu_stays_taken(site: KubernetesSite) -> None:
    job_id = _serving(site, "lost")
    (old,) = site.machines(job_id)
    assert old.node is not None

    site.cluster.node(old.node, "lose")
    site.until(
        lambda: any(each.node != old.node for each in site.running_machines(job_id)), "there is another"
    )
    # Nobody can say that it is off, so it is not gone, and its GPU not free.
    assert old.uid in {each.uid for each in site.machines()}

    site.cluster.node(old.node, "return")
    assert site.until_calm() == []
    _settle(site)


def test_a_machine_that_does_not_go_keeps_its_gpu_and_is_told(site: KubernetesSite) -> None:
    jobs = [_serving(site, f"full-{number}", GPUS) for number in range(2)]
    stuck = site.machines(jobs[0])[0]
    site.cluster.vmi(NAMESPACE, stuck.name, "stick")
    hands = site.hands("stuck")

    hands.ask(Wish.DELETE, jobs[0])
    waiting = site.create(hands, "waiting", GPUS)
    provisioner = site.running["provisioner-1"]
    site.until(
        lambda: provisioner.metric("hostler_provisioner_stuck_deletions") == 1, "the stuck one is told"
    )
    site.until_running(waiting, GPUS - 1)
    # Three of four GPUs can be used; the fourth is free when the machine is gone, and not when that was asked for.
    assert stuck.uid in {each.uid for each in site.machines()}

    site.cluster.vmi(NAMESPACE, stuck.name, "unstick")
    site.until_running(waiting, GPUS)
    assert provisioner.metric("hostler_provisioner_stuck_deletions") == 0
    assert doubles(site.cluster.journal()) == []
    _settle(site)
