"""How long the scheduler plans for a large fleet: everything placed in one pass, and nothing to do. Run: make bench-placement.

Two fleets of the same size, because what they cost differs: few jobs with many replicas, which are spread, and many jobs with one,
which are packed. Then the same cluster full, with more urgent jobs that wait for less urgent ones to give way.
"""

import argparse
import gc
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count

from hostler_domain.capacity import Node, Resources
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.changes import JobCreated
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, JobSpec, Serving
from hostler_domain.scaling import Scaling
from hostler_scheduler.actions import DrainReplica, Plan, ScheduleReplica, changes_of
from hostler_scheduler.place import plan
from hostler_scheduler.view import ClusterView, assemble

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GIB = 2**30
PROFILES = tuple(
    HardwareProfile(f"gpu.{name.lower()}", name, f"nvidia.com/{name}", 8, 64 * GIB, 2.0)
    for name in ("A100", "H100")
)
PROJECTS = tuple(
    Project(f"project-{number}", str(number), NOW, gpu_quota=5000, gpu_limit=6000) for number in range(4)
)


def nodes(number: int, gpus: int) -> list[Node]:
    """Nodes of two kinds at two sites, each with this many GPUs."""
    return [
        Node(
            name=f"node-{index:05}",
            cluster="bench",
            capacity=Resources(8.0 * gpus + 8, (64 * gpus + 64) * GIB, gpus),
            gpu_model=("A100", "H100")[index % 2],
            runtimes=("vllm",),
            models=None,
            reported_at=NOW,
            location=("dallas", "frankfurt")[index // 2 % 2],
        )
        for index in range(number)
    ]


def jobs(
    number: int, replicas: int, *, first: int = 0, priority: int = 80, preemptible: bool = False
) -> list[Job]:
    """Jobs of one GPU per replica, which prefer one site to the other."""
    return [
        evolve(
            None,
            JobCreated(
                NOW,
                f"job-{index:06}",
                JobSpec(
                    name=f"job-{index}",
                    project=PROJECTS[index % len(PROJECTS)].name,
                    model=f"org/model-{index % 50}",
                    runtime="vllm",
                    runtime_image=None,
                    serving=Serving(),
                    hardware_profile=PROFILES[index % 2].name,
                    gpu_count=1,
                    scaling=Scaling(min_replicas=1, max_replicas=replicas, initial_replicas=replicas),
                    priority=priority,
                    preemptible=preemptible,
                    locations=("dallas", "frankfurt") if index % 4 < 2 else ("frankfurt", "dallas"),
                ),
                None,
                "bench",
            ),
        )
        for index in range(first, first + number)
    ]


def carried_out(before: Iterable[Job], made: Plan) -> list[Job]:
    """The jobs after the plan."""
    after = {job.job_id: job for job in before}
    for action in made.actions:
        for change in changes_of(after[action.job_id], action, at=NOW):
            after[action.job_id] = evolve(after[action.job_id], change)
    return list(after.values())


def timed(name: str, view: ClusterView) -> Plan:
    """Plan for the view, three times, and print the shortest."""
    ids: Callable[[], str] = (f"r-{number:08}" for number in count()).__next__
    took, made = [], None
    for _ in range(3):
        gc.collect()
        begin = time.perf_counter()
        made = plan(view, now=NOW, new_ids=ids)
        took.append(time.perf_counter() - begin)
    assert made is not None  # it was made three times
    placed = sum(isinstance(each, ScheduleReplica) for each in made.actions)
    drained = sum(isinstance(each, DrainReplica) for each in made.actions)
    print(f"{name:<58} {min(took):8.3f} s   {placed:6} placed {drained:6} drained")
    return made


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=10_000)
    given = parser.parse_args()
    gpus = -(-given.replicas * 12 // (10 * given.nodes))
    there = nodes(given.nodes, gpus)
    print(f"{given.replicas} replicas on {given.nodes} nodes of {gpus} GPUs, two GPU models, two sites")
    for per_job in (200, 20, 1):
        wanted = jobs(given.replicas // per_job, per_job)
        view = assemble(wanted, there, PROFILES, PROJECTS)
        made = timed(f"{len(wanted)} jobs of {per_job}: all placed in one pass", view)
        after = carried_out(wanted, made)
        settled = assemble(after, there, PROFILES, PROJECTS)
        timed(f"{len(wanted)} jobs of {per_job}: nothing to do", settled)
    low = jobs(given.nodes * gpus, 1, priority=40, preemptible=True)
    full = carried_out(low, plan(assemble(low, there, PROFILES), now=NOW, new_ids=map(str, count()).__next__))
    urgent = jobs(100, 1, first=len(low), priority=150)
    made = timed("full, 100 urgent replicas: victims chosen", assemble([*full, *urgent], there, PROFILES))
    waiting = carried_out([*full, *urgent], made)
    timed("the same while they drain", assemble(waiting, there, PROFILES))


if __name__ == "__main__":
    main()
