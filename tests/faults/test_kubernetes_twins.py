"""Row 2 of the fault matrix over a Kubernetes API: a leader stands still, its twin takes over, and it wakes up again.

A lease only saves work. What must keep the late one from making or deleting anything twice are the names, the UIDs, and the
compare-and-set on the job's subject; the fake cluster's log shows whether they did.
"""

import time
from collections.abc import Iterator

import pytest

from tests.faults.kubernetes_judge import VMIS as VMI_KIND
from tests.faults.kubernetes_judge import creations, living, of_hostler
from tests.faults.kubernetes_site import VMIS, KubernetesSite, kubernetes_site, leads, nodes, scaled
from tests.support.kubernetes.config import ClusterConfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FROZEN_SECONDS = scaled("HOSTLER_FROZEN_SECONDS", 6)
"""Longer than the lease in any case; a minute in the long run."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    folder = tmp_path_factory.mktemp("twins")
    with kubernetes_site(folder, ClusterConfig(nodes=nodes(3), guests=True)) as running:
        yield running


@pytest.mark.parametrize("kind", ["provisioner", "scheduler"])
def test_a_leader_that_stood_still_makes_nothing_twice(site: KubernetesSite, kind: str) -> None:
    hands = site.hands(f"twins-of-{kind}")
    before = site.create(hands, f"before-{kind}")
    site.until_ready(before)
    first = site.leader(kind)
    # Its first write is under way while it stands still, and takes effect when somebody else leads already.
    number = site.cluster.fault(
        "delay", verbs=["writes"], resources=[VMIS], seconds=FROZEN_SECONDS / 2, count=1
    )
    during = site.create(hands, f"during-{kind}", replicas=2)
    if kind == "provisioner":
        site.until(lambda: site.cluster.hits()[number] == 1, "a write is under way")
    first.pause()
    stood_from = time.monotonic()
    (second,) = (each for each in site.running.values() if each.kind == kind and each is not first)
    site.until(lambda: leads(second), "the twin leads")
    site.until_running(during, 2)
    time.sleep(max(stood_from + FROZEN_SECONDS - time.monotonic(), 0))
    first.wake()
    site.cluster.heal()

    after = site.create(hands, f"after-{kind}")
    site.until_running(after)
    site.until(lambda: not leads(first), "the first knows that it leads no more")
    problems = site.until_calm()
    log = site.cluster.journal()
    names = {each.name for each in living(log).values() if each.resource == VMI_KIND}
    made = creations(log)
    site.delete_all(hands)

    assert [*problems, *site.judgement()] == []
    assert {made[name] for name in names} == {1}
    assert len(of_hostler(log)) > 0
