"""Which replicas are placed, where, and what a job is told that must wait."""

import pytest

from hostler_domain.changes import (
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobScaled,
    ReplicaTerminating,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import DrainReplica, GiveUp, HoldJob, ScheduleReplica, changes_of
from tests.support.builders import (
    MODEL,
    NODE,
    NOW,
    at,
    created,
    draining,
    fold,
    ready,
    running_job,
    scheduled,
    terminated,
)
from tests.unit.scheduler.cluster import A100, GIB, PROFILES, carried_out, failed, node, plan_of


def new_job(number: int = 1, **fields: object) -> Job:
    return fold(created(job_id=f"job-{number}", **fields))


def placed(jobs: list[Job], nodes: list) -> list[tuple[str, str]]:
    """Job and node of everything that the plan schedules, in its order."""
    actions = plan_of(jobs, nodes, now=at(10)).actions
    return [(each.job_id, each.placement.node) for each in actions if isinstance(each, ScheduleReplica)]


def the_hold(job: Job, nodes: list, **more: object) -> HoldJob:
    (action,) = plan_of([job], nodes, **more).actions
    assert isinstance(action, HoldJob)
    return action


def test_a_new_job_gets_a_place_that_holds_what_its_profile_takes():
    (action,) = plan_of([new_job()], [node()]).actions
    assert isinstance(action, ScheduleReplica)
    assert action.replica_id == "new-001"
    assert action.placement.node_key == "local/a"
    assert (action.placement.taken.cpu_cores, action.placement.taken.memory_bytes) == (1, GIB)
    assert action.reasons == ("local/a is the only node",)


def test_the_reasons_of_a_place_say_how_many_nodes_could_have_taken_it():
    (action,) = plan_of([new_job()], [node("a"), node("b"), node("c", runtimes=("vllm",))]).actions
    assert isinstance(action, ScheduleReplica)
    assert action.reasons == ("local/a scored 0.74, the best of 2 of 3 nodes that can take it",)


def test_a_job_for_another_site_waits_for_hardware_there():
    hold = the_hold(new_job(location="dallas"), [node("a")])
    assert (hold.reason, "not at dallas" in hold.detail) == (PhaseReason.NO_MATCHING_HARDWARE, True)
    (placed,) = plan_of([new_job(location="dallas")], [node("a"), node("b", location="dallas")]).actions
    assert isinstance(placed, ScheduleReplica)
    assert placed.placement.node_key == "local/b"


def test_all_missing_replicas_are_placed_at_once():
    assert placed([new_job(initial=3)], [node()]) == [("job-1", "a")] * 3


def test_higher_priority_goes_first_then_the_older_then_the_lower_id():
    jobs = [
        new_job(1, priority=80),
        new_job(2, seconds=5),
        new_job(3, seconds=0),
        new_job(4, seconds=0),
    ]
    assert [job for job, _ in placed(jobs, [node(cpu_cores=3)])] == ["job-3", "job-4", "job-2"]


def test_replicas_of_one_job_go_to_different_nodes_even_when_one_is_fuller():
    other = running_job(job_id="other")
    nodes = [node("node-a", cpu_cores=4), node("b", cpu_cores=4)]
    assert placed([other, new_job(initial=2)], nodes) == [("job-1", "node-a"), ("job-1", "b")]


def test_jobs_are_packed_onto_the_fuller_node():
    other = running_job(job_id="other")
    assert placed([other, new_job()], [node("a", cpu_cores=4), node("node-a", cpu_cores=4)]) == [
        ("job-1", "node-a")
    ]


def test_equal_nodes_are_told_apart_by_their_keys():
    assert placed([new_job()], [node("c"), node("b"), node("d")]) == [("job-1", "b")]


@pytest.mark.parametrize(
    "ending",
    [(draining(),), (draining(), ReplicaTerminating(at(25), "r1"))],
    ids=["draining", "terminating"],
)
def test_a_replica_holds_its_room_until_it_has_ended(ending):
    leaving = fold(
        created(initial=1, maximum=1), scheduled(), ready(), JobDeleteRequested(at(19), "key-1"), *ending
    )
    one_core = [node("node-a", cpu_cores=1)]
    assert placed([leaving, new_job(2)], one_core) == []
    gone = fold(
        created(initial=1),
        scheduled(),
        ready(),
        JobDeleteRequested(at(19), "key-1"),
        *ending,
        terminated(),
    )
    assert placed([gone, new_job(2)], one_core) == [("job-2", "node-a")]


@pytest.mark.parametrize(
    ("there", "reason", "said"),
    [
        ({"runtimes": ("vllm",)}, PhaseReason.NO_MATCHING_HARDWARE, "can't run llamacpp, only vllm"),
        ({"models": ("a/b",)}, PhaseReason.NO_MATCHING_HARDWARE, "does not have the model"),
        (
            {"models_by_runtime": {"llamacpp": ("a/b",), "simulated": None}},
            PhaseReason.NO_MATCHING_HARDWARE,
            "does not have the model",
        ),
        (
            {"cpu_cores": 0.5},
            PhaseReason.NO_MATCHING_HARDWARE,
            "needs 1 CPU cores, 0.5 even when empty",
        ),
        (
            {"reported_at": at(-31)},
            PhaseReason.NO_CAPACITY,
            "has not been heard of since 2026-11-21T11:59:29+00:00",
        ),
    ],
    ids=["runtime", "model", "model-for-the-runtime", "size", "stale"],
)
def test_a_node_that_does_not_fit_says_why(there, reason, said):
    hold = the_hold(new_job(), [node(**there)])
    assert hold.reason is reason
    assert hold.detail.startswith("local/a: ")
    assert said in hold.detail


@pytest.mark.parametrize("models", [None, (MODEL,)], ids=["any", "this-one"])
def test_what_a_node_says_of_a_runtime_goes_before_what_it_says_of_all(models):
    only_here = node("a", models=(), models_by_runtime={"llamacpp": models})
    assert placed([new_job()], [only_here]) == [("job-1", "a")]


@pytest.mark.parametrize(
    ("gpu_model", "said"),
    [(None, "has no GPU, not A100"), ("H100", "has H100 GPUs, not A100")],
    ids=["none", "another"],
)
def test_a_gpu_job_needs_the_gpu_of_its_profile(gpu_model, said):
    job = new_job(hardware_profile="gpu.a100", gpu_count=2)
    big = {"cpu_cores": 64, "memory_gib": 512, "gpus": 8}
    assert said in the_hold(job, [node(gpu_model=gpu_model, **big)]).detail
    (action,) = plan_of([job], [node(gpu_model="A100", **big)]).actions
    assert isinstance(action, ScheduleReplica)
    assert action.placement.taken.gpus == 2
    assert action.placement.taken.cpu_cores == 2 * A100.cpu_cores


def test_a_full_node_is_no_capacity_and_a_small_one_beside_it_does_not_change_that():
    other = running_job(job_id="other")
    nodes = [node("node-a", cpu_cores=1), node("small", cpu_cores=0.5)]
    (hold,) = plan_of([other, new_job()], nodes).actions
    assert hold == HoldJob(
        "job-1",
        PhaseReason.NO_CAPACITY,
        "local/node-a: needs 1 CPU cores, 0 free; local/small: needs 1 CPU cores, 0.5 even when empty",
    )


def test_without_any_node_the_job_waits_for_one():
    assert the_hold(new_job(), []) == HoldJob("job-1", PhaseReason.NO_CAPACITY, "no node has reported yet")


def test_an_unknown_hardware_profile_is_named():
    hold = the_hold(new_job(hardware_profile="gpu.z9"), [node()])
    assert (hold.reason, hold.detail) == (
        PhaseReason.NO_MATCHING_HARDWARE,
        "there is no hardware profile named gpu.z9",
    )


def test_the_detail_lists_twenty_nodes_and_counts_the_rest():
    detail = the_hold(new_job(), [node(f"n{number:03}", runtimes=()) for number in range(500)]).detail
    lines = detail.split("; ")
    assert len(lines) == 21
    assert lines[0] == "local/n000: can't run llamacpp, only nothing"
    assert lines[-1] == "and 480 more nodes"


def test_a_job_is_told_once_why_it_waits_and_again_only_when_that_changes():
    job, nodes = new_job(), [node(runtimes=("vllm",))]
    hold = the_hold(job, nodes)
    (held,) = carried_out([job], [hold])
    assert (held.status.phase, held.status.phase_reason) == (JobPhase.PENDING, hold.reason)
    assert plan_of([held], nodes, now=at(20)).actions == ()
    assert the_hold(held, [node(runtimes=("parakeet",))]).detail != hold.detail


def test_waiting_makes_no_news_of_a_stale_node():
    nodes = [node(reported_at=at(-31))]
    (held,) = carried_out([new_job()], [the_hold(new_job(), nodes)])
    assert plan_of([held], nodes, now=at(3600)).actions == ()


def test_a_job_that_has_its_minimum_is_not_told_that_it_waits_for_more():
    job = fold(created(initial=1), scheduled(), ready(), JobScaled(at(6), 1, 3, ("busy",)))
    assert job.status.phase is JobPhase.RUNNING
    assert plan_of([job], [node("node-a", cpu_cores=1)]).actions == ()


def test_a_job_that_serves_with_fewer_than_its_minimum_is_told_once_why():
    names = ("r1", "r2")
    job = fold(
        created(initial=2, minimum=2),
        *(scheduled(name) for name in names),
        *(ready(name) for name in names),
        failed("r2", reason=ReplicaReason.LOST),
    )
    assert job.status.phase is JobPhase.DEGRADED
    full = [node("node-a", cpu_cores=1)]
    hold = the_hold(job, full, now=at(10))
    assert hold.reason is PhaseReason.NO_CAPACITY
    (change,) = changes_of(job, hold, at=at(10))
    told = evolve(job, change)
    assert told.status.phase is JobPhase.DEGRADED
    assert plan_of([told], full, now=at(11)).actions == ()


def test_what_there_is_room_for_is_placed_and_the_rest_waits():
    actions = plan_of([new_job(initial=3, minimum=3)], [node(cpu_cores=2)]).actions
    assert [type(action) for action in actions] == [ScheduleReplica, ScheduleReplica, HoldJob]


def test_a_small_job_may_pass_a_large_one_that_waits():
    large = new_job(1, hardware_profile="gpu.a100", gpu_count=1)
    assert placed([large, new_job(2)], [node()]) == [("job-2", "a")]


def test_scaled_down_drains_what_does_not_serve_first_then_the_youngest():
    names = ("r1", "r2", "r3", "r4")
    job = fold(
        created(initial=4, maximum=4),
        *(scheduled(name, seconds=number) for number, name in enumerate(names)),
        ready("r1"),
        ready("r2"),
        ready("r4"),
        JobScaled(at(9), 4, 2, ("idle",)),
    )
    assert plan_of([job], [node("node-a")]).actions == (
        DrainReplica(job.job_id, "r3", ReplicaReason.SCALED_DOWN),
        DrainReplica(job.job_id, "r4", ReplicaReason.SCALED_DOWN),
    )


def test_of_those_that_start_the_latest_is_drained_first():
    job = fold(
        created(initial=2),
        scheduled("r1", seconds=2),
        scheduled("r2", seconds=1),
        JobScaled(at(9), 2, 1, ("idle",)),
    )
    (action,) = plan_of([job], [node("node-a")]).actions
    assert action == DrainReplica(job.job_id, "r1", ReplicaReason.SCALED_DOWN)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (JobDeleteRequested(at(9), "key-1"), ReplicaReason.JOB_DELETED),
        (JobFailed(at(9), PhaseReason.REPEATED_CRASH, "no use"), ReplicaReason.JOB_FAILED),
    ],
    ids=["deleted", "failed"],
)
def test_a_job_that_goes_loses_every_replica_that_is_not_leaving_yet(wish, reason):
    job = fold(
        created(initial=3),
        *(scheduled(name) for name in ("r1", "r2", "r3")),
        ready("r1"),
        draining("r3"),
        wish,
    )
    actions = plan_of([job], [node("node-a")]).actions
    assert {(each.replica_id, each.reason) for each in actions} == {("r1", reason), ("r2", reason)}
    (after,) = carried_out([job], actions)
    assert plan_of([after], [node("node-a")]).actions == ()


def test_a_job_given_up_loses_its_other_replicas_in_the_same_plan():
    job = fold(
        created(initial=2),
        scheduled("r1"),
        scheduled("r2"),
        failed("r1", reason=ReplicaReason.CANNOT_START, detail="no such argument"),
    )
    assert plan_of([job], [node("node-a")]).actions == (
        GiveUp(job.job_id, PhaseReason.CANNOT_START, "no such argument"),
        DrainReplica(job.job_id, "r2", ReplicaReason.JOB_FAILED),
    )


def test_deleted_jobs_are_not_looked_at():
    job = fold(created(), JobDeleteRequested(at(1), "key-1"), JobDeleted(at(2)))
    assert plan_of([job], [node()]).actions == ()


def test_a_replica_on_a_node_that_nobody_reports_still_counts_for_its_job():
    assert NODE.node == "node-a"
    assert plan_of([running_job()], [node("b")]).actions == ()


def test_profiles_are_found_by_name_whatever_their_order():
    assert plan_of([new_job()], [node()], profiles=tuple(reversed(PROFILES))) == plan_of(
        [new_job()], [node()]
    )


def test_a_held_job_is_placed_when_room_comes():
    held = fold(created(), JobPending(NOW, PhaseReason.NO_CAPACITY, "full"))
    assert placed([held], [node()]) == [(held.job_id, "a")]
