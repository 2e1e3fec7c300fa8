"""Row 6 of the fault matrix: a Kubernetes API that refuses, forgets, stalls, and breaks off after it has done what it was asked.

Under each fault a job with two machines is made, changed and deleted. The fake cluster's log tells what that came to.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.facts import Wish
from tests.faults.kubernetes_judge import busiest
from tests.faults.kubernetes_site import NAMESPACE, KubernetesSite, kubernetes_site, nodes
from tests.support.kubernetes.config import ClusterConfig
from tests.support.kubernetes.journal import Asked

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

REQUESTS_MAX = 4
HELD_BACK_SECONDS = 6.0
RETRY_AFTER_SECONDS = 2

FAULTS: dict[str, list[dict[str, Any]]] = {
    "conflicts": [{"kind": "status", "status": 409, "verbs": ["writes"], "probability": 0.4}],
    "already there": [
        {"kind": "status", "status": 409, "reason": "AlreadyExists", "verbs": ["create"], "probability": 0.5}
    ],
    "gone inside a stream": [{"kind": "gone", "after_events": 2, "probability": 0.7}],
    "gone as a status": [{"kind": "status", "status": 410, "verbs": ["watch"], "probability": 0.7}],
    "an expired list": [{"kind": "status", "status": 410, "verbs": ["list"], "probability": 0.4}],
    "too many requests": [
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.3},
    ],
    "internal errors": [{"kind": "status", "status": 500, "probability": 0.4}],
    "unavailable": [{"kind": "status", "status": 503, "probability": 0.4}],
    "hanging": [{"kind": "hang", "probability": 0.15, "count": 6}],
    "reset before": [{"kind": "reset", "probability": 0.4}],
    "reset after the write": [{"kind": "reset_after", "verbs": ["writes"], "probability": 0.6}],
    "dropped watches": [{"kind": "drop", "after_events": 1, "probability": 0.8}],
    "silent watches": [{"kind": "silent", "count": 4}],
    "all weather": [
        {"kind": "reset_after", "verbs": ["writes"], "probability": 0.2},
        {"kind": "status", "status": 500, "verbs": ["writes"], "probability": 0.1},
        {"kind": "status", "status": 409, "verbs": ["writes"], "probability": 0.1},
        {"kind": "gone", "after_events": 3, "probability": 0.3},
        {"kind": "drop", "after_events": 3, "probability": 0.3},
        {"kind": "delay", "seconds": 0.2, "probability": 0.2},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.05},
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    folder = tmp_path_factory.mktemp("api-faults")
    config = ClusterConfig(nodes=nodes(3), guests=True)
    with kubernetes_site(folder, config, twins=False, kubernetes_requests_max=str(REQUESTS_MAX)) as running:
        yield running


@pytest.mark.parametrize("name", FAULTS)
def test_a_job_comes_and_goes_whole_under(site: KubernetesSite, name: str) -> None:
    hands = site.hands(name.replace(" ", "-"))
    numbers = [site.cluster.fault(**wish) for wish in FAULTS[name]]
    job_id = site.create(hands, "whole", replicas=2)
    site.until_running(job_id, 2)
    hands.ask(Wish.RESTART, job_id)
    calm = site.until_calm()
    hits = [site.cluster.hits()[number] for number in numbers]
    hands.ask(Wish.DELETE, job_id)
    site.until(lambda: not site.machines(), "no machine is left, though the fault is still there")
    site.cluster.heal()
    site.delete_all(hands)
    hands.close()

    assert [*calm, *site.judgement()] == []
    assert sum(hits) > 0, "the fault met somebody"


def test_a_history_that_is_gone_is_listed_anew(site: KubernetesSite) -> None:
    for how in ("event", "status"):
        hands = site.hands(f"gone-{how}")
        job_id = site.create(hands, "whole")
        site.until_running(job_id)
        site.cluster.gone_as(how)
        # The watches break off, and what happens before the next is compacted away.
        site.cluster.fault("drop", verbs=["watch"], count=8)
        site.cluster.fault("status", status=503, verbs=["watch", "list"], count=6)
        site.cluster.vmi(NAMESPACE, site.machines(job_id)[0].name, "vanish")
        site.cluster.forget()

        site.until_running(job_id)
        site.cluster.heal()
        site.delete_all(hands)
        hands.close()
    assert site.judgement() == []


def test_whoever_is_asked_to_wait_waits(site: KubernetesSite) -> None:
    hands = site.hands("held-back")
    job_id = site.create(hands, "held-back", replicas=2)
    site.until_running(job_id, 2)
    site.cluster.fault("status", status=429, retry_after=RETRY_AFTER_SECONDS)
    began = time.monotonic()
    time.sleep(HELD_BACK_SECONDS)
    ended = time.monotonic()
    site.cluster.heal()
    log = site.cluster.journal()
    site.delete_all(hands)
    hands.close()

    asked = [each for each in log if isinstance(each, Asked) and began <= each.at <= ended]
    rate = busiest(log, began, ended, RETRY_AFTER_SECONDS * 0.9)
    print(f"{len(asked)} requests in {HELD_BACK_SECONDS:g} s, at most {rate} in the time to wait")
    # One round of those who were on their way already, then one round each time that the wait is over.
    assert 0 < rate <= 2 * REQUESTS_MAX
    assert site.judgement() == []


def test_a_cluster_that_does_not_answer_loses_no_machine(site: KubernetesSite) -> None:
    hands = site.hands("silent")
    job_id = site.create(hands, "silent", replicas=2)
    site.until_ready(job_id, 2)
    uids = {each.uid for each in site.machines(job_id)}
    site.cluster.fault("reset")
    site.cluster.fault("drop", verbs=["watch"])
    time.sleep(HELD_BACK_SECONDS)
    site.cluster.heal()

    assert site.until_calm() == []
    assert {each.uid for each in site.machines(job_id)} == uids
    site.delete_all(hands)
    hands.close()
    assert site.judgement() == []
