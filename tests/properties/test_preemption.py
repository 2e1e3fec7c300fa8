"""What holds of quotas, limits, priorities and preemption, whatever the cluster looks like."""

import random
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from hostler_domain.capacity import Node, Resources
from hostler_domain.catalogue import Project
from hostler_domain.changes import ReplicaTerminated
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Placement, Replica
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import DrainReplica, Plan, ScheduleReplica
from hostler_scheduler.victims import Victim, fewest, regrets
from tests.support.builders import at, created, draining, fold, ready, scheduled
from tests.unit.scheduler.cluster import GIB, carried_out, node, plan_of, project

LATER = at(100)
PRIORITIES = st.sampled_from([25, 40, 90, 150])
PROJECTS = ("blue", "red")


@st.composite
def clusters(draw: st.DrawFn) -> list[Node]:
    return [
        node(
            f"n{number}",
            cpu_cores=512,
            memory_gib=4096,
            gpus=draw(st.integers(1, 4)),
            gpu_model="A100",
            location=draw(st.sampled_from(["dallas", "frankfurt"])),
            reported_at=LATER,
        )
        for number in range(draw(st.integers(1, 4)))
    ]


some_gpus = st.one_of(st.none(), st.integers(0, 8))


@st.composite
def quotas(draw: st.DrawFn) -> list[Project]:
    return [project(name, quota=draw(some_gpus)) for name in PROJECTS]


@st.composite
def bounds(draw: st.DrawFn) -> list[Project]:
    return [project(name, quota=draw(some_gpus), limit=draw(some_gpus)) for name in PROJECTS]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Job], list[Node]]:
    """Jobs whose replicas lie within the nodes."""
    nodes = draw(clusters())
    free = {each.name: each.capacity.gpus for each in nodes}
    jobs = []
    for number in range(draw(st.integers(1, 6))):
        gpus = draw(st.integers(1, 3))
        minimum = draw(st.integers(0, 2))
        job = fold(
            created(
                job_id=f"job-{number}",
                seconds=number % 2,
                project=draw(st.sampled_from(PROJECTS)),
                priority=draw(PRIORITIES),
                preemptible=draw(st.booleans()),
                hardware_profile="gpu.a100",
                gpu_count=gpus,
                minimum=minimum,
                maximum=5,
                initial=draw(st.integers(max(minimum, 1), 4)),
                locations=draw(st.sampled_from([(), ("dallas",), ("frankfurt", "dallas")])),
            )
        )
        for replica in range(draw(st.integers(0, 3))):
            room = [name for name, left in free.items() if left >= gpus]
            if not room:
                break
            where = draw(st.sampled_from(room))
            free[where] -= gpus
            name = f"job-{number}-r{replica}"
            place = Placement("local", where, Resources(8 * gpus, 64 * GIB * gpus, gpus))
            job = evolve(job, scheduled(name, draw(st.integers(2, 9)), place))
            if draw(st.booleans()):
                job = evolve(job, ready(name, 20))
            if draw(st.integers(0, 4)) == 0:
                job = evolve(job, draining(name, 30))
        jobs.append(job)
    return jobs, nodes


def made(jobs: list[Job], nodes: list[Node], projects: list[Project], prefix: str = "new") -> Plan:
    return plan_of(jobs, nodes, now=LATER, prefix=prefix, projects=projects)


def holding(jobs: list[Job], project_: str) -> tuple[int, int]:
    """GPUs that a project's replicas hold, and those of the ones nobody may take away."""
    own = [job for job in jobs if job.spec.project == project_]
    held = sum(each.placement.taken.gpus for job in own for each in job.replicas if not each.ended)
    guaranteed = sum(
        each.placement.taken.gpus
        for job in own
        for each in job.active_replicas[: job.spec.guaranteed_replicas]
    )
    return held, guaranteed


def victims(plan: Plan) -> list[DrainReplica]:
    return [
        each
        for each in plan.actions
        if isinstance(each, DrainReplica) and each.reason is ReplicaReason.PREEMPTED
    ]


def the_replica(jobs: list[Job], drain: DrainReplica) -> tuple[Job, Replica]:
    (job,) = [job for job in jobs if job.job_id == drain.job_id]
    replica = job.replica(drain.replica_id)
    assert replica is not None
    return job, replica


@settings(deadline=None)
@given(worlds(), bounds())
def test_nothing_is_placed_over_capacity_over_quota_or_over_the_limit(world, projects):
    jobs, nodes = world
    plan = made(jobs, nodes, projects)
    after = carried_out(jobs, plan.actions, now=LATER)
    for each in nodes:
        held = sum(
            replica.placement.taken.gpus
            for job in after
            for replica in job.replicas
            if not replica.ended and replica.placement.node == each.name
        )
        assert held <= each.capacity.gpus
    for bound in projects:
        held, guaranteed = holding(after, bound.name)
        held_before, guaranteed_before = holding(jobs, bound.name)
        assert bound.gpu_limit is None or held <= max(bound.gpu_limit, held_before)
        assert bound.gpu_quota is None or guaranteed <= max(bound.gpu_quota, guaranteed_before)


@settings(deadline=None)
@given(worlds(), bounds())
def test_only_less_urgent_and_expendable_replicas_give_way(world, projects):
    jobs, nodes = world
    plan = made(jobs, nodes, projects)
    for drain in victims(plan):
        job, _ = the_replica(jobs, drain)
        # Where the project's limit is what it gave way to, the room itself is for nobody in particular.
        urgent = [each for each in jobs if each.job_id == drain.yields_to]
        assert job.spec.priority < max(each.spec.priority for each in urgent or jobs)
    for job in jobs:
        taken = {drain.replica_id for drain in victims(plan) if drain.job_id == job.job_id}
        if taken:
            left = [each for each in job.active_replicas if each.replica_id not in taken]
            assert len(left) >= job.spec.guaranteed_replicas


def offers(draw: st.DrawFn) -> list[Victim]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        gpus = draw(st.integers(0, 3))
        place = Placement("local", "n", Resources(draw(st.integers(0, 3)), GIB, gpus))
        job = fold(
            created(job_id=f"job-{number}", priority=draw(PRIORITIES)),
            scheduled(f"r{number}", draw(st.integers(1, 3)), place),
        )
        found.append(Victim(job, job.replicas[0]))
    return found


@settings(deadline=None)
@given(st.composite(offers)(), st.integers(0, 4), st.integers(0, 6))
def test_no_other_set_of_victims_that_suffices_is_smaller_or_less_urgent_or_younger(offered, free, gpus):
    room, needed = Resources(4, 64 * GIB, free), Resources(5, GIB, gpus)

    def suffices(chosen: tuple[Victim, ...]) -> bool:
        return sum((each.taken for each in chosen), room).holds(needed)

    sets = [
        chosen
        for size in range(len(offered) + 1)
        for chosen in combinations(offered, size)
        if suffices(chosen)
    ]
    found = fewest(room, needed, offered)
    assert (found is None) == (not sets)
    if found is not None:
        assert suffices(found)
        assert regrets(found) == min(regrets(chosen) for chosen in sets)


def test_where_there_are_too_many_sets_to_look_at_none_of_the_victims_can_be_spared():
    offered = [
        Victim(job, job.replicas[0])
        for number in range(40)
        for job in [
            fold(
                created(job_id=f"job-{number:02}"),
                scheduled("r", 1, Placement("local", "n", Resources(1 + number % 3, GIB, 0))),
            )
        ]
    ]
    found = fewest(Resources(0, 64 * GIB, 0), Resources(31, GIB, 0), offered)
    assert found is not None
    total = sum(each.taken.cpu_cores for each in found)
    assert total >= 31
    assert all(total - each.taken.cpu_cores < 31 for each in found)
    assert len(found) == 11


@settings(deadline=None)
@given(worlds(), bounds())
def test_no_urgent_replica_waits_that_would_fit_if_what_is_less_urgent_and_expendable_gave_way(
    world, projects
):
    """Priority inversion: after a plan, whoever waits either has room coming or could not have any."""
    jobs, nodes = world
    plan = made(jobs, nodes, projects)
    after = carried_out(jobs, plan.actions, now=LATER)
    # Whatever drains ends, and everybody who was placed is placed.
    after = [all_ended(job) for job in after]
    again = made(after, nodes, projects, "again")
    settled = carried_out(after, again.actions, now=at(102))
    # The most urgent job that could preempt needs to do so only once: what it took is there for it.
    first = max(jobs, key=lambda job: (job.spec.priority, -job.created_at.timestamp(), -int(job.job_id[4:])))
    assert [each for each in victims(again) if each.yields_to == first.job_id] == []
    order = sorted(settled, key=lambda job: (-job.spec.priority, job.created_at, job.job_id))
    newly = {each.replica_id: each for each in again.actions if isinstance(each, ScheduleReplica)}
    for urgent in order:
        if len(urgent.active_replicas) >= urgent.wanted_replicas or projects_bind(urgent, settled, projects):
            continue
        for each in nodes:
            if urgent.spec.sites and each.location not in urgent.spec.sites:
                continue
            staying = sum(
                replica.placement.taken.gpus
                for job in settled
                for replica in job.replicas
                if not replica.ended
                and replica.placement.node == each.name
                and not (replica.replica_id in newly and job.spec.priority < urgent.spec.priority)
            )
            # Nothing less urgent was put where this one would have fitted.
            lower_placed = any(
                action.placement.node == each.name
                and spec_of(settled, action).priority < urgent.spec.priority
                for action in newly.values()
            )
            assert not lower_placed or each.capacity.gpus - staying < urgent.spec.gpu_count


def all_ended(job: Job) -> Job:
    """The job when what drained has gone."""
    for replica in job.replicas:
        if not replica.active and not replica.ended:
            job = evolve(job, ReplicaTerminated(at(101), replica.replica_id))
    return job


def projects_bind(job: Job, jobs: list[Job], projects: list[Project]) -> bool:
    """Whether the quota or the limit keeps the job from one more replica."""
    (bound,) = [each for each in projects if each.name == job.spec.project] or [project(job.spec.project)]
    held, guaranteed = holding(jobs, job.spec.project)
    needs_quota = len(job.active_replicas) < job.spec.guaranteed_replicas
    over_quota = bound.gpu_quota is not None and guaranteed + job.spec.gpu_count > bound.gpu_quota
    return (needs_quota and over_quota) or (
        bound.gpu_limit is not None and held + job.spec.gpu_count > bound.gpu_limit
    )


def spec_of(jobs: list[Job], action: ScheduleReplica):  # type: ignore[no-untyped-def]  # a spec
    return next(job.spec for job in jobs if job.job_id == action.job_id)


@settings(deadline=None)
@given(worlds())
def test_whoever_waits_could_not_be_helped_by_any_set_of_victims(world):
    """By trying them all: no node has a set of less urgent, expendable replicas that would make the room and was left alone."""
    jobs, nodes = world
    plan = made(jobs, nodes, [])
    after = carried_out(jobs, plan.actions, now=LATER)
    promised = {each.yields_to for job in after for each in job.replicas if not each.ended}
    draining_somewhere = any(not each.ended and not each.active for job in after for each in job.replicas)
    for urgent in after:
        waits = len(urgent.active_replicas) < urgent.wanted_replicas
        if not waits or urgent.job_id in promised or draining_somewhere:
            continue
        for each in nodes:
            if urgent.spec.sites and each.location not in urgent.spec.sites:
                continue
            here = [
                (job, replica)
                for job in after
                for replica in job.replicas
                if not replica.ended and replica.placement.node == each.name
            ]
            expendable = [
                replica
                for job, replica in here
                if job.spec.priority < urgent.spec.priority and job.spec.preemptible
            ]
            free = each.capacity.gpus - sum(replica.placement.taken.gpus for _, replica in here)
            for size in range(len(expendable) + 1):
                for chosen in combinations(expendable, size):
                    room = free + sum(replica.placement.taken.gpus for replica in chosen)
                    assert room < urgent.spec.gpu_count


@settings(deadline=None)
@given(worlds(), quotas())
def test_planning_again_after_a_plan_gives_nothing_more(world, projects):
    jobs, nodes = world
    plan = made(jobs, nodes, projects)
    after = carried_out(jobs, plan.actions, now=LATER)
    again = made(after, nodes, projects, "again")
    assert again == Plan((), plan.look_again_at)


@settings(deadline=None)
@given(worlds(), bounds())
def test_whoever_waits_for_what_drains_has_nobody_else_give_way(world, projects):
    jobs, nodes = world
    after = carried_out(jobs, made(jobs, nodes, projects).actions, now=LATER)
    assert victims(made(after, nodes, projects, "again")) == []


@settings(deadline=None)
@given(worlds(), bounds(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_looked_at_makes_no_difference(world, projects, rng: random.Random):
    jobs, nodes = world
    other_jobs, other_nodes, other_projects = list(jobs), list(nodes), list(projects)
    for each in (other_jobs, other_nodes, other_projects):
        rng.shuffle(each)
    assert made(other_jobs, other_nodes, other_projects) == made(jobs, nodes, projects)
