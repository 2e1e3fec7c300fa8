"""What holds of every rollout, step by step, whatever starts slowly, fails or is scaled on the way."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hostler_domain.changes import (
    JobRestartRequested,
    JobScaled,
    ReplicaReady,
    ReplicaTerminated,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.phases import JobPhase
from hostler_domain.replica_states import START_STATES, ReplicaState
from tests.support.builders import at, running_job
from tests.unit.scheduler.cluster import carried_out, failed, node, plan_of

STEP = timedelta(seconds=400)
"""Longer than any backoff."""


def something_happens(data: st.DataObject, job: Job, seconds: float, *, may_fail: bool) -> Job:
    """One replica gets on: it becomes ready, its start fails, or what drains has ended."""
    moving = [
        replica
        for replica in job.replicas
        if replica.state in START_STATES or replica.state is ReplicaState.DRAINING
    ]
    if not moving:
        return job
    replica = data.draw(st.sampled_from(moving))
    if replica.state is ReplicaState.DRAINING:
        return evolve(job, ReplicaTerminated(at(seconds), replica.replica_id))
    if may_fail and job.ready_replicas and data.draw(st.integers(0, 4)) == 0:
        return evolve(job, failed(replica.replica_id, seconds))
    return evolve(job, ReplicaReady(at(seconds), replica.replica_id, "http://127.0.0.1:1"))


@settings(deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_with_room_a_rollout_never_takes_what_is_wanted_from_service_and_comes_to_its_end(
    data: st.DataObject, replicas: int, room: int, rescale: bool
) -> None:
    minimum = data.draw(st.integers(1, replicas))
    job = evolve(running_job(replicas, minimum=minimum, maximum=6), JobRestartRequested(at(10), 2, "key-1"))
    if rescale:
        wanted = data.draw(st.integers(minimum, replicas))
        job = evolve(job, JobScaled(at(11), replicas, wanted, ()))
    seconds = 20.0
    for step in range(100):
        nodes = [node("node-a", cpu_cores=replicas + room, reported_at=at(seconds))]
        ready_before = len(job.ready_replicas)
        actions = plan_of([job], nodes, now=at(seconds), prefix=f"s{step:03}").actions
        (job,) = carried_out([job], actions, now=at(seconds))
        assert len(job.active_replicas) <= job.wanted_replicas + 1
        if len(job.ready_replicas) < ready_before and room > 0:
            assert len(job.ready_replicas) >= job.wanted_replicas
        if len(job.ready_replicas) < ready_before and room == 0:
            assert len(job.ready_replicas) >= job.wanted_replicas - 1
        again = plan_of([job], nodes, now=at(seconds), prefix=f"t{step:03}").actions
        assert again == ()
        settled = job.status.phase is JobPhase.RUNNING and not job.outdated_replicas and not actions
        if settled and len(job.ready_replicas) == job.wanted_replicas:
            return
        seconds += STEP.total_seconds()
        job = something_happens(data, job, seconds - 1, may_fail=step < 20)
    raise AssertionError(f"after 100 steps it is {job.status}")
