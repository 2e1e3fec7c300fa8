"""Row 6 of the fault matrix: a Kubernetes API that refuses, forgets, stalls, and breaks off after it has done what it was asked.

Under each fault a job with two machines is made, changed and deleted. The fake cluster's log tells what that came to.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.facts import Wish
from tests.faults.kubernetes_judge import busiest, living
from tests.faults.kubernetes_site import NAMESPACE, KubernetesSite, kubernetes_site, nodes
from tests.support.kubernetes.config import ClusterConfig
from tests.support.kubernetes.journal import Asked

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

REQUESTS_MAX = 4
HELD_BACK_SECONDS = 6.0
RETRY_AFTER_SECONDS = 2
WATCHED = 4
"""Kinds of objects that a provisioner watches."""

CALLS = ["get", "list", "writes"]
# A start is ten writes or so, and begins again when one of them fails: each fault is as frequent as still lets starts come through.
# Watches have faults of their own, a few in a row: who watches waits twice as long after each, up to a minute.
FAULTS: dict[str, list[dict[str, Any]]] = {
    "conflicts": [{"kind": "status", "status": 409, "verbs": ["writes"], "probability": 0.1}],
    "already there": [
        {"kind": "status", "status": 409, "reason": "AlreadyExists", "verbs": ["writes"], "probability": 0.1}
    ],
    "gone inside a stream": [{"kind": "gone", "after_events": 2, "count": 6}],
    "gone as a status": [{"kind": "status", "status": 410, "verbs": ["watch"], "count": 6}],
    "an expired list": [
        {"kind": "status", "status": 410, "verbs": ["list"], "count": 4},
        {"kind": "gone", "count": 8},
    ],
    "too many requests": [
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.1, "verbs": CALLS}
    ],
    "internal errors": [{"kind": "status", "status": 500, "probability": 0.1, "verbs": CALLS}],
    "unavailable": [{"kind": "status", "status": 503, "probability": 0.1, "verbs": CALLS}],
    "hanging": [{"kind": "hang", "probability": 0.1, "count": 5, "verbs": CALLS}],
    "reset before": [{"kind": "reset", "probability": 0.1, "verbs": CALLS}],
    "reset after the write": [{"kind": "reset_after", "verbs": ["writes"], "probability": 0.1}],
    "dropped watches": [{"kind": "drop", "after_events": 1, "count": 8}],
    "silent watches": [{"kind": "silent", "seconds": 4, "count": 3}],
    "all weather": [
        {"kind": "reset_after", "verbs": ["writes"], "probability": 0.04},
        {"kind": "status", "status": 500, "verbs": ["writes"], "probability": 0.02},
        {"kind": "status", "status": 409, "verbs": ["writes"], "probability": 0.02},
        {"kind": "gone", "after_events": 3, "count": 3},
        {"kind": "drop", "after_events": 3, "count": 3},
        {"kind": "delay", "seconds": 0.2, "probability": 0.2},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    folder = tmp_path_factory.mktemp("api-faults")
    config = ClusterConfig(nodes=nodes(3), guests=True)
    with kubernetes_site(folder, config, twins=False, kubernetes_requests_max=str(REQUESTS_MAX)) as running:
        yield running


@pytest.fixture(autouse=True)
def healed(site: KubernetesSite) -> Iterator[None]:
    """Each test begins and leaves without faults, and without jobs."""
    yield
    site.cluster.heal()
    site.cluster.gone_as("event")
    site.delete_all(site.hands("healer"))


@pytest.mark.parametrize("name", FAULTS)
def test_a_job_comes_and_goes_whole_under(site: KubernetesSite, name: str) -> None:
    hands = site.hands(name.replace(" ", "-"))
    numbers = [site.cluster.fault(**wish) for wish in FAULTS[name]]
    site.cluster.end_watches()
    job_id = site.create(hands, f"under-{name.replace(' ', '-')}", replicas=2)
    site.until_running(job_id, 2)
    hands.ask(Wish.RESTART, job_id)
    calm = site.until_calm()
    site.until(lambda: any(site.cluster.hits()[each] for each in numbers), "the fault met somebody")
    hands.ask(Wish.DELETE, job_id)
    site.until(lambda: not living(site.cluster.journal()), "all is gone, though the fault is still there")

    assert [*calm, *site.judgement()] == []


@pytest.mark.parametrize("how", ["event", "status"])
def test_a_history_that_is_gone_is_listed_anew(site: KubernetesSite, how: str) -> None:
    job_id = site.create(site.hands(f"gone-{how}"), f"gone-{how}")
    site.until_ready(job_id)
    (old,) = site.machines(job_id)
    site.cluster.gone_as(how)
    # While nobody can watch, a machine vanishes, and that it did so is compacted away.
    blind = site.cluster.fault("status", status=503, verbs=["watch", "list"])
    site.cluster.end_watches()
    site.until(lambda: site.cluster.hits()[blind] > 0, "nobody can watch")
    site.cluster.vmi(NAMESPACE, old.name, "vanish")
    site.cluster.forget()
    site.cluster.heal()

    site.until(lambda: any(each.uid != old.uid for each in site.running_machines(job_id)), "there is another")
    assert [*site.until_calm(), *site.judgement((job_id,))] == []


def test_whoever_is_asked_to_wait_waits(site: KubernetesSite) -> None:
    job_id = site.create(site.hands("held-back"), "held-back", replicas=2)
    site.until_ready(job_id, 2)
    site.cluster.fault("status", status=429, retry_after=RETRY_AFTER_SECONDS)
    site.cluster.end_watches()
    began = time.monotonic()
    time.sleep(HELD_BACK_SECONDS)
    ended = time.monotonic()
    site.cluster.heal()
    log = site.cluster.journal()

    asked = [each for each in log if isinstance(each, Asked) and began <= each.at <= ended]
    most = busiest(log, began, ended, RETRY_AFTER_SECONDS * 0.9)
    print(f"{len(asked)} requests in {HELD_BACK_SECONDS:g} s, at most {most} in the time to wait")
    assert {each.status for each in asked} <= {0, 200, 429}
    # A round of those that were on their way, then one each time that the wait is over; a watch waits beside the calls.
    assert 0 < most <= 2 * (REQUESTS_MAX + WATCHED)
    assert [*site.until_calm(), *site.judgement((job_id,))] == []


def test_a_cluster_that_does_not_answer_loses_no_machine(site: KubernetesSite) -> None:
    job_id = site.create(site.hands("silent"), "silent", replicas=2)
    site.until_ready(job_id, 2)
    uids = {each.uid for each in site.machines(job_id)}
    site.cluster.fault("reset")
    site.cluster.end_watches()
    time.sleep(HELD_BACK_SECONDS)
    site.cluster.heal()

    assert site.until_calm() == []
    assert {each.uid for each in site.machines(job_id)} == uids
    assert site.judgement((job_id,)) == []
