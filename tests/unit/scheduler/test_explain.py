"""What a scheduler says about a job without a place, and how the api puts it."""

from hostler_api.explain import explanation
from hostler_domain.phases import PhaseReason
from hostler_scheduler.explain import explained
from tests.support.builders import at
from tests.unit.scheduler.cluster import carried_out, node, plan_of, project, view_of
from tests.unit.scheduler.test_preemption import LOW, gpu_job, gpu_node


def told(jobs, nodes, job_id="high", **more):  # type: ignore[no-untyped-def]  # as view_of
    return explained(view_of(jobs, nodes, **more), job_id, now=at(25), node_stale_seconds=30)


def test_every_node_and_every_predicate_that_says_no_is_told():
    nodes = [gpu_node("full", 1), node("cpu"), *(gpu_node(f"n{number:02}", 1) for number in range(30))]
    job = gpu_job("high", gpus=2)
    answer = told([job], nodes)
    assert len(answer.nodes) == 32
    by_node = {each.node: dict(each.refusals) for each in answer.nodes}
    assert set(by_node["local/cpu"]) == {"gpu_model_matches", "large_enough"}
    assert by_node["local/full"] == {"large_enough": "needs 2 GPUs, 1 even when empty"}


def test_the_sums_of_the_project_are_told():
    jobs = [gpu_job("other", {"o": "a"}, gpus=3), gpu_job("high", gpus=2)]
    answer = told(jobs, [gpu_node(gpus=8)], projects=[project(quota=4, limit=6)])
    share = answer.share
    assert share is not None
    assert (share.held, share.guaranteed, share.quota, share.limit, share.needed) == (3, 3, 4, 6, 2)
    said = explanation(jobs[1], None, answer).placement
    assert said is not None
    assert said.share == (
        "quota for replicas that can't be preempted: 3 of 4 GPUs held, and 2 more are over it",
        "limit: 3 of 6 GPUs held, and 2 more are within it",
    )


def test_whoever_is_to_give_way_is_told_before_and_while_it_drains():
    jobs = [
        gpu_job("low", {"v": "a"}, gpus=4, preemptible=True, priority=LOW, project="red"),
        gpu_job("high", gpus=4),
    ]
    nodes = [gpu_node()]
    before = told(jobs, nodes)
    assert [(each.replica_id, each.draining) for each in before.victims] == [("v", False)]
    after = carried_out(jobs, plan_of(jobs, nodes, now=at(25)).actions, now=at(25))
    assert [(each.replica_id, each.draining) for each in told(after, nodes).victims] == [("v", True)]


def test_another_projects_victim_is_not_named_to_the_owner_of_the_job():
    jobs = [
        gpu_job("low", {"v": "a"}, gpus=4, preemptible=True, priority=LOW, project="red"),
        gpu_job("high", gpus=4),
    ]
    said = explanation(jobs[1], None, told(jobs, [gpu_node()])).placement
    assert said is not None
    assert said.gives_way == ("a replica of another project (priority 40) on local/a is to drain",)


def test_a_job_that_nobody_knows_is_not_found():
    assert not told([], [], "gone").found


def test_a_job_over_its_limit_is_told_what_helps():
    job = gpu_job("high", gpus=2)
    (held,) = carried_out(
        [job], plan_of([job], [gpu_node()], projects=[project(limit=1)]).actions, now=at(25)
    )
    assert held.status.phase_reason is PhaseReason.OVER_LIMIT
    assert explanation(held, None).next == (
        "a replica is placed when others of the project have ended, or an admin raises its limit",
    )
