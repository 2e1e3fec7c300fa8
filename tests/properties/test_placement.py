"""What holds of every plan, whatever the cluster looks like."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from hostler_domain.capacity import Allocation, Node, Resources, free
from hostler_domain.changes import (
    Change,
    JobDeleteRequested,
    JobFailed,
    JobScaled,
    JobStopRequested,
    ReplicaTerminated,
    ReplicaTerminating,
    ReplicaUnhealthy,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Placement
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import DrainReplica, Plan, ScheduleReplica
from tests.support.builders import NOW, at, created, draining, fold, ready, scheduled
from tests.unit.scheduler.cluster import GIB, carried_out, failed, node, plan_of

LATER = at(100)

endings = st.sampled_from(
    ["starting", "ready", "unhealthy", "draining", "terminating", "terminated", "failed"]
)
reasons = st.sampled_from(
    [
        ReplicaReason.START_FAILED,
        ReplicaReason.CANNOT_START,
        ReplicaReason.INITIALIZATION_TIMEOUT,
        ReplicaReason.LOST,
        ReplicaReason.CRASHED,
    ]
)


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    return [
        node(
            f"n{number}",
            cpu_cores=draw(st.integers(0, 6)),
            memory_gib=draw(st.sampled_from([0.5, 2, 8, 512])),
            gpus=(gpus := draw(st.integers(0, 4))),
            gpu_model=draw(st.sampled_from(["A100", "H100"])) if gpus else None,
            runtimes=draw(st.sampled_from([("llamacpp",), ("llamacpp",), ("vllm",)])),
            reported_at=LATER - timedelta(seconds=draw(st.sampled_from([0, 10, 30, 31]))),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


def history_of_replica(draw: st.DrawFn, name: str) -> list[Change]:
    """A replica somewhere on its way, on a node that may be full or gone."""
    seconds = draw(st.integers(1, 40))
    where = Placement("local", f"n{draw(st.integers(0, 4))}", Resources(1, GIB, 0))
    changes: list[Change] = [scheduled(name, seconds, where)]
    ending = draw(endings)
    if ending in ("ready", "unhealthy") or draw(st.booleans()):
        changes.append(ready(name, seconds + 5))
    match ending:
        case "unhealthy":
            changes.append(ReplicaUnhealthy(at(seconds + 6), name, "slow"))
        case "draining":
            changes.append(draining(name, seconds + 6))
        case "terminating":
            changes.append(ReplicaTerminating(at(seconds + 6), name))
        case "terminated":
            changes += [draining(name, seconds + 6), ReplicaTerminated(at(seconds + 7), name)]
        case "failed":
            changes.append(failed(name, seconds + 50, draw(reasons)))
    return changes


@st.composite
def jobs(draw: st.DrawFn) -> list[Job]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        minimum = draw(st.integers(0, 3))
        job = fold(
            created(
                job_id=f"job-{number}",
                seconds=draw(st.integers(0, 1)),
                minimum=minimum,
                maximum=5,
                priority=draw(st.sampled_from([25, 150])),
                hardware_profile=draw(st.sampled_from(["cpu.small", "cpu.small", "gpu.a100", "gone"])),
                gpu_count=draw(st.integers(0, 2)),
            )
        )
        for replica in range(draw(st.integers(0, 5))):
            for change in history_of_replica(draw, f"job-{number}-r{replica}"):
                job = evolve(job, change)
        if draw(st.booleans()):
            job = evolve(
                job, JobScaled(at(95), job.status.desired_replicas, draw(st.integers(minimum, 5)), ())
            )
        wish = draw(st.sampled_from(["run", "run", "run", "stop", "delete", "fail"]))
        if wish == "delete":
            job = evolve(job, JobDeleteRequested(at(96), "key-1"))
        elif wish == "stop":
            job = evolve(job, JobStopRequested(at(96), "key-1"))
        elif wish == "fail":
            job = evolve(job, JobFailed(at(96), PhaseReason.REPEATED_CRASH, "no use"))
        found.append(job)
    return found


def made(jobs_: list[Job], nodes_: list[Node], prefix: str = "new") -> Plan:
    return plan_of(jobs_, nodes_, now=LATER, prefix=prefix)


def allocations(jobs_: list[Job]) -> list[Allocation]:
    return [
        Allocation(replica.placement.node_key, replica.placement.taken)
        for job in jobs_
        for replica in job.replicas
        if not replica.ended
    ]


@given(jobs(), nodes())
def test_no_node_that_takes_a_replica_holds_more_than_it_has(jobs_, nodes_):
    plan = made(jobs_, nodes_)
    taken = allocations(carried_out(jobs_, plan.actions, now=LATER))
    used = {each.placement.node_key for each in plan.actions if isinstance(each, ScheduleReplica)}
    for each in nodes_:
        if each.key in used:
            assert free(each, taken).shortages(Resources()) == ()


@given(jobs(), nodes())
def test_after_a_plan_no_job_has_more_replicas_than_it_wants(jobs_, nodes_):
    for job in carried_out(jobs_, made(jobs_, nodes_).actions, now=LATER):
        assert len(job.active_replicas) <= job.wanted_replicas


@given(jobs(), nodes())
def test_a_plan_never_places_and_drains_for_the_same_job(jobs_, nodes_):
    actions = made(jobs_, nodes_).actions
    placing = {each.job_id for each in actions if isinstance(each, ScheduleReplica)}
    draining_ = {each.job_id for each in actions if isinstance(each, DrainReplica)}
    assert placing & draining_ == set()


@given(jobs(), nodes())
def test_planning_again_after_a_plan_gives_nothing_more(jobs_, nodes_):
    plan = made(jobs_, nodes_)
    after = carried_out(jobs_, plan.actions, now=LATER)
    again = made(after, nodes_, prefix="again")
    assert again == Plan((), plan.look_again_at)


@given(jobs(), nodes(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_looked_at_makes_no_difference(jobs_, nodes_, rng: random.Random):
    other_jobs, other_nodes = list(jobs_), list(nodes_)
    rng.shuffle(other_jobs)
    rng.shuffle(other_nodes)
    assert made(other_jobs, other_nodes) == made(jobs_, nodes_)


@given(jobs(), nodes())
def test_a_wait_ends_in_the_future(jobs_, nodes_):
    plan = made(jobs_, nodes_)
    assert plan.look_again_at is None or NOW < LATER < plan.look_again_at
