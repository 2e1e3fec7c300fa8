"""What a caller reads in `meta` about whether a job answers."""

import json
from dataclasses import replace

import pytest

from hostler_domain.changes import JobPending, JobScaled
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.routing import Routing
from hostler_router.models import one_model
from hostler_router.table import RouteTable
from tests.support.builders import at, created, draining, fold, running_job


def stopped() -> Job:
    waiting = fold(created())
    return replace(waiting, status=replace(waiting.status, phase=JobPhase.STOPPED))


ASLEEP = evolve(evolve(running_job(minimum=0), JobScaled(at(60), 1, 0, ())), draining(seconds=61))
PENDING = evolve(fold(created()), JobPending(at(1), PhaseReason.NO_CAPACITY, "no room"))


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (running_job(), ("ready", None, None)),
        (ASLEEP, ("asleep", None, 4)),
        (fold(created()), ("waking", None, 10)),
        (PENDING, ("waking", "NoCapacity", 30)),
        (stopped(), ("unavailable", None, None)),
    ],
    ids=["ready", "asleep", "waking", "waking, with a reason", "stopped"],
)
def test_meta_says_what_a_request_would_meet(job: Job, told: tuple[object, ...]) -> None:
    entry = RouteTable([job]).get(job.job_id)
    assert entry is not None
    meta = json.loads(one_model(entry))["meta"]
    assert (meta["availability"], meta["reason"], meta["eta_seconds"]) == told


def test_meta_lists_the_routes_that_are_allowed_beside_the_standard_ones() -> None:
    job = running_job(runtime="vllm", routing=Routing(extra_routes=("score",)))
    entry = RouteTable([job]).get(job.job_id)
    assert entry is not None
    meta = json.loads(one_model(entry))["meta"]
    assert (meta["runtime"], meta["extra_routes"]) == ("vllm", ["responses", "score"])
