"""Who gives way to whom, what is kept for those that wait, and what a project's quota and limit allow."""

from collections.abc import Iterable

import pytest

from hostler_domain.capacity import Node, Resources
from hostler_domain.changes import JobScaled, ReplicaTerminated
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Placement
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import Action, DrainReplica, HoldJob, ScheduleReplica
from hostler_scheduler.capacity import uses
from hostler_scheduler.score import score
from tests.support.builders import at, created, draining, fold, ready, scheduled
from tests.unit.scheduler.cluster import GIB, carried_out, node, plan_of, project, view_of

LOW, HIGH = 40, 150


def gpu_node(name: str = "a", gpus: int = 4, **fields: object) -> Node:
    return node(name, cpu_cores=256, memory_gib=2048, gpus=gpus, gpu_model="A100", **fields)  # type: ignore[arg-type]  # as a test says


def gpu_job(name: str, replicas: dict[str, str] | None = None, *, gpus: int = 1, **fields: object) -> Job:
    """A job with ready replicas, each at a node, made in their order; by default it wants one and keeps one."""
    placed = replicas or {}
    values: dict[str, object] = {
        "job_id": name,
        "hardware_profile": "gpu.a100",
        "gpu_count": gpus,
        "minimum": 1,
        "maximum": 9,
        "initial": max(len(placed), 1),
        **fields,
    }
    places = {
        replica: Placement("local", where, Resources(8 * gpus, 64 * GIB * gpus, gpus))
        for replica, where in placed.items()
    }
    return fold(
        created(**values),  # type: ignore[arg-type]  # as a test says
        *(scheduled(replica, 1 + number, place) for number, (replica, place) in enumerate(places.items())),
        *(ready(replica, 20) for replica in places),
    )


def acts(jobs: Iterable[Job], nodes: Iterable[Node], **more: object) -> tuple[Action, ...]:
    return plan_of(jobs, nodes, now=at(25), **more).actions


def drained(actions: Iterable[Action]) -> list[str]:
    return [each.replica_id for each in actions if isinstance(each, DrainReplica)]


def placed(actions: Iterable[Action]) -> list[str]:
    return [each.job_id for each in actions if isinstance(each, ScheduleReplica)]


def test_a_more_urgent_job_has_a_preemptible_one_drain_and_waits_for_its_room():
    low = gpu_job("low", {"v": "a"}, gpus=4, preemptible=True, priority=LOW)
    high = gpu_job("high", gpus=4)
    actions = acts([low, high], [gpu_node()])
    assert actions[0] == DrainReplica("low", "v", ReplicaReason.PREEMPTED, yields_to="high")
    assert placed(actions) == []
    jobs = carried_out([low, high], actions, now=at(25))
    assert acts(jobs, [gpu_node()]) == ()
    ended = [evolve(jobs[0], ReplicaTerminated(at(26), "v")), jobs[1]]
    assert placed(acts(ended, [gpu_node()])) == ["high"]


def test_the_job_that_gave_way_says_so_and_gets_a_place_again_when_there_is_one():
    low = gpu_job("low", {"v": "a"}, gpus=4, preemptible=True, priority=LOW)
    high = gpu_job("high", gpus=4)
    jobs = carried_out([low, high], acts([low, high], [gpu_node()]), now=at(25))
    status = jobs[0].status
    assert (status.phase, status.phase_reason) == (JobPhase.PENDING, PhaseReason.PREEMPTED)
    assert status.phase_detail.startswith("gave way to job high; local/a: needs 4 GPUs, 0 free")
    ended = [evolve(jobs[0], ReplicaTerminated(at(26), "v")), jobs[1]]
    assert placed(acts(ended, [gpu_node(), gpu_node("b")])) == ["high", "low"]


@pytest.mark.parametrize(
    ("priority", "preemptible"),
    [(HIGH, True), (LOW, False)],
    ids=["as-urgent", "guaranteed"],
)
def test_nobody_takes_from_an_equal_or_what_is_guaranteed(priority, preemptible):
    other = gpu_job("other", {"v": "a"}, gpus=4, preemptible=preemptible, priority=priority)
    actions = acts([other, gpu_job("high", gpus=4)], [gpu_node()])
    assert drained(actions) == []
    assert [each.reason for each in actions if isinstance(each, HoldJob)] == [PhaseReason.NO_CAPACITY]


def test_replicas_above_the_minimum_may_always_be_taken_the_youngest_first():
    low = gpu_job("low", {"old": "a", "mid": "a", "young": "a"}, priority=LOW, minimum=1)
    actions = acts([low, gpu_job("high", gpus=2)], [gpu_node(gpus=3)])
    assert sorted(drained(actions)) == ["mid", "young"]
    assert drained(acts([low, gpu_job("high", gpus=3)], [gpu_node(gpus=3)])) == []


def test_the_fewest_give_way_then_the_least_urgent_then_the_youngest():
    two = gpu_job("two", {"two": "b"}, gpus=2, preemptible=True, priority=25)
    ones = gpu_job("ones", {"a1": "a", "a2": "a"}, preemptible=True, priority=25, minimum=2)
    wants_two = gpu_job("high", gpus=2)
    nodes = [gpu_node("a", 2), gpu_node("b", 2)]
    assert drained(acts([two, ones, wants_two], nodes)) == ["two"]
    lower = gpu_job("lower", {"l": "a"}, preemptible=True, priority=40)
    higher = gpu_job("higher", {"h": "b"}, preemptible=True, priority=65)
    assert drained(acts([lower, higher, gpu_job("high")], [gpu_node("a", 1), gpu_node("b", 1)])) == ["l"]
    aged = gpu_job("aged", {"old": "a", "young": "b"}, preemptible=True, priority=40, minimum=2)
    assert drained(acts([aged, gpu_job("high")], [gpu_node("a", 1), gpu_node("b", 1)])) == ["young"]


def test_nobody_is_preempted_where_that_would_not_make_enough_room():
    low = gpu_job("low", {"v": "a"}, preemptible=True, priority=LOW)
    fixed = gpu_job("fixed", {"f": "a"}, priority=LOW)
    assert drained(acts([low, fixed, gpu_job("high", gpus=2)], [gpu_node(gpus=2)])) == []


def test_what_drains_for_one_job_is_not_given_to_a_less_urgent_one_that_would_fit_sooner():
    low = gpu_job("low", {"v": "a"}, gpus=2, preemptible=True, priority=LOW)
    high = gpu_job("high", gpus=4)
    small = gpu_job("small", gpus=1, priority=90)
    actions = acts([low, high, small], [gpu_node(gpus=4)])
    assert drained(actions) == ["v"]
    assert placed(actions) == []


def test_what_drains_anyway_is_waited_for_before_anybody_is_preempted():
    shrinking = evolve(gpu_job("shrinking", {"s1": "a", "s2": "b"}, minimum=1), JobScaled(at(21), 2, 1, ()))
    low = gpu_job("low", {"v": "c"}, preemptible=True, priority=LOW)
    nodes = [gpu_node("a", 1), gpu_node("b", 1), gpu_node("c", 1)]
    actions = acts([shrinking, low, gpu_job("high")], nodes)
    assert [(each.replica_id, each.reason) for each in actions if isinstance(each, DrainReplica)] == [
        ("s2", ReplicaReason.SCALED_DOWN)
    ]


def test_who_has_another_give_way_takes_what_is_free_where_the_one_before_can_wait_for_that_room():
    shrinking = evolve(gpu_job("shrinking", {"s1": "b", "s2": "a"}, minimum=1), JobScaled(at(21), 2, 1, ()))
    low = gpu_job("low", {"v": "a"}, preemptible=True, priority=LOW)
    large = gpu_job("large", gpus=2)
    small = gpu_job("small", gpus=1, priority=90)
    nodes = [gpu_node("a", 3), gpu_node("b", 1)]
    actions = acts([shrinking, low, large, small], nodes)
    assert sorted(drained(actions)) == ["s2", "v"]
    assert placed(actions) == ["small"]
    assert acts(carried_out([shrinking, low, large, small], actions, now=at(25)), nodes) == ()


def test_guaranteed_replicas_keep_within_the_quota_and_say_why_they_wait():
    job = gpu_job("job", gpus=2, minimum=3, initial=3)
    actions = acts([job], [gpu_node(gpus=8)], projects=[project(quota=4)])
    assert len(placed(actions)) == 2
    hold = actions[-1]
    assert isinstance(hold, HoldJob)
    assert (hold.reason, hold.detail) == (
        PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA,
        "project default has a quota of 4 GPUs for replicas that can't be preempted and holds 4; one more takes 2",
    )


def test_preemptible_replicas_may_borrow_beyond_the_quota_up_to_the_limit():
    job = gpu_job("job", gpus=2, minimum=3, initial=3, preemptible=True)
    actions = acts([job], [gpu_node(gpus=8)], projects=[project(quota=0, limit=4)])
    assert len(placed(actions)) == 2
    hold = actions[-1]
    assert isinstance(hold, HoldJob)
    assert hold.reason is PhaseReason.OVER_LIMIT
    assert "limit of 4 GPUs and holds 4; one more replica takes 2" in hold.detail


def test_replicas_without_gpus_need_no_quota():
    job = fold(created(job_id="cpu"))
    assert placed(acts([job], [node()], projects=[project(quota=0, limit=0)])) == ["cpu"]


def test_another_projects_quota_is_its_own():
    other = gpu_job("other", {"o": "a"}, project="theirs")
    bounds = [project("theirs", quota=1, limit=1), project(quota=1, limit=1)]
    assert placed(acts([other, gpu_job("mine")], [gpu_node()], projects=bounds)) == ["mine"]


def test_over_its_limit_a_project_takes_from_its_own_less_urgent_job_and_not_from_others():
    own = gpu_job("own", {"mine": "b"}, preemptible=True, priority=LOW)
    other = gpu_job("other", {"theirs": "a"}, preemptible=True, priority=25, project="theirs")
    nodes = [gpu_node("a", 2), gpu_node("b", 1)]
    assert drained(acts([own, other, gpu_job("high")], nodes, projects=[project(limit=1)])) == ["mine"]


def test_over_its_quota_a_job_preempts_nobody():
    low = gpu_job("low", {"v": "a"}, preemptible=True, priority=LOW)
    assert drained(acts([low, gpu_job("high")], [gpu_node(gpus=1)], projects=[project(quota=0)])) == []


def test_the_preferred_site_goes_before_a_better_node_and_the_next_before_waiting():
    job = gpu_job("job", locations=("dallas", "frankfurt"))
    far, near = gpu_node("far", 1, location="frankfurt"), gpu_node("near", 8, location="dallas")
    (action,) = acts([job], [far, near])
    assert isinstance(action, ScheduleReplica)
    assert action.placement.node == "near"
    full = gpu_job("full", {"f": "near"}, gpus=8)
    (action,) = acts([job, full], [far, near])
    assert isinstance(action, ScheduleReplica)
    assert action.placement.node == "far"


def test_a_node_that_hands_out_another_device_is_refused_and_one_that_does_not_say_is_not():
    (hold,) = acts([gpu_job("job")], [gpu_node(device_name="nvidia.com/H100")])
    assert isinstance(hold, HoldJob)
    assert hold.detail == "local/a: hands out nvidia.com/H100, not nvidia.com/A100"
    assert placed(acts([gpu_job("job")], [gpu_node(device_name="nvidia.com/A100")])) == ["job"]


def test_a_node_that_still_has_a_disk_of_the_job_goes_before_a_fuller_one():
    other = gpu_job("other", {"o": "full"})
    before = evolve(gpu_job("job", {"r": "disk"}), draining("r", 21))
    job = evolve(before, ReplicaTerminated(at(22), "r"))
    (action,) = acts([job, other], [gpu_node("full"), gpu_node("disk")])
    assert isinstance(action, ScheduleReplica)
    assert action.placement.node == "disk"


def test_what_a_node_has_is_used_or_draining_or_free():
    job = evolve(gpu_job("job", {"r1": "a", "r2": "a"}), draining("r2", 21))
    (use,) = uses(view_of([job], [gpu_node(gpus=4)]))
    assert (use.used.gpus, use.draining.gpus, use.free.gpus) == (1, 1, 2)


def test_a_node_that_one_job_avoids_for_its_own_replica_is_there_for_the_next_job():
    first = gpu_job("first", {"r": "a"}, minimum=2, initial=2)
    actions = acts([first, gpu_job("second", seconds=1)], [gpu_node("a"), gpu_node("b")])
    assert [(each.job_id, each.placement.node) for each in actions if isinstance(each, ScheduleReplica)] == [
        ("first", "b"),
        ("second", "a"),
    ]


def test_every_score_lies_between_0_and_1_and_the_preferred_site_has_the_highest():
    worst_near = score(0, same_job_replicas=9, site_rank=0, sites=2)
    best_far = score(1, has_disk=True, site_rank=1, sites=2)
    assert 0 <= best_far < worst_near <= score(1, has_disk=True) == 1


def test_no_node_with_a_replica_of_the_job_scores_as_high_as_one_without():
    assert score(1, same_job_replicas=1, has_disk=True) < score(0)


def test_who_waits_says_at_once_what_the_next_look_will_find_as_well():
    """One replica waits for what drains anyway, the other for a victim; at the next look both would fit where the victim was."""
    old = gpu_job("old", {"o": "b"}, gpus=3, priority=LOW)
    old = evolve(old, draining("o", 22))
    low = gpu_job("low", {"v": "a"}, gpus=3, preemptible=True, priority=LOW)
    high = gpu_job("high", gpus=2, minimum=2, initial=2, priority=HIGH)
    nodes = [gpu_node("a", 4), gpu_node("b", 3)]
    actions = acts([old, low, high], nodes)
    assert drained(actions) == ["v"]
    told = {each.job_id: each.detail for each in actions if isinstance(each, HoldJob)}
    assert "local/a: needs 2 GPUs, 0 free" in told["high"]
    assert acts(carried_out([old, low, high], actions, now=at(25)), nodes) == ()
