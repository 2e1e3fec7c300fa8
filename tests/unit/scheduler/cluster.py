"""Nodes, profiles and plans for the scheduler's tests."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count

from hostler_domain.capacity import Node, Resources
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.changes import ReplicaFailed
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import Action, Plan, changes_of
from hostler_scheduler.place import plan
from hostler_scheduler.view import ClusterView, assemble
from tests.support.builders import MODEL, NOW, at

GIB = 2**30
CPU_SMALL = HardwareProfile("cpu.small", None, None, cpu_cores=1, memory_bytes=GIB, price_per_hour=0.1)
A100 = HardwareProfile("gpu.a100", "A100", "nvidia.com/A100", 8, 64 * GIB, 2.0)
PROFILES = (CPU_SMALL, A100)


def node(
    name: str = "a",
    *,
    cpu_cores: float = 4,
    memory_gib: float = 64,
    gpus: int = 0,
    gpu_model: str | None = None,
    runtimes: tuple[str, ...] = ("llamacpp",),
    models: tuple[str, ...] | None = (MODEL,),
    reported_at: datetime = NOW,
    location: str | None = None,
    models_by_runtime: Mapping[str, tuple[str, ...] | None] | None = None,
    device_name: str | None = None,
) -> Node:
    return Node(
        name,
        "local",
        Resources(cpu_cores, int(memory_gib * GIB), gpus),
        gpu_model,
        runtimes,
        models,
        reported_at,
        location,
        models_by_runtime or {},
        device_name,
    )


def failed(
    replica_id: str,
    seconds: float = 10,
    reason: ReplicaReason = ReplicaReason.START_FAILED,
    detail: str = "exit status 1",
) -> ReplicaFailed:
    return ReplicaFailed(at(seconds), replica_id, reason, detail)


def view_of(
    jobs: Iterable[Job] = (),
    nodes: Iterable[Node] = (),
    profiles: Iterable[HardwareProfile] = PROFILES,
    projects: Iterable[Project] = (),
) -> ClusterView:
    return assemble(jobs, nodes, profiles, projects)


def project(name: str = "default", *, quota: int | None = None, limit: int | None = None) -> Project:
    return Project(name, f"id-{name}", NOW, gpu_quota=quota, gpu_limit=limit)


def ids(prefix: str = "new") -> Iterator[str]:
    return (f"{prefix}-{number:03}" for number in count(1))


def plan_of(
    jobs: Iterable[Job], nodes: Iterable[Node], *, now: datetime = NOW, prefix: str = "new", **more: object
) -> Plan:
    return plan(view_of(jobs, nodes, **more), now=now, new_ids=ids(prefix).__next__)  # type: ignore[arg-type]  # only profiles and projects are passed on


def carried_out(jobs: Iterable[Job], actions: Iterable[Action], *, now: datetime = NOW) -> list[Job]:
    """The jobs after the actions."""
    after = {job.job_id: job for job in jobs}
    for action in actions:
        for change in changes_of(after[action.job_id], action, at=now):
            after[action.job_id] = evolve(after[action.job_id], change)
    return list(after.values())
