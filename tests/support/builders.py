"""Jobs, replicas and changes for tests: everything has a default, a test says only what matters to it."""

from datetime import UTC, datetime, timedelta

from hostler_domain.capacity import Resources
from hostler_domain.catalogue import ModelMaster, Parameter
from hostler_domain.changes import (
    Change,
    JobCreated,
    ReplicaDraining,
    ReplicaReady,
    ReplicaScheduled,
    ReplicaTerminated,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, JobSpec, Placement, Serving
from hostler_domain.replica_states import ReplicaReason
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
JOB_ID = "01939e00-0000-7000-8000-000000000001"
NODE = Placement("local", "node-a", Resources(1, 2**30, 0))
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
MASTER = ModelMaster(
    model=MODEL,
    runtime="llamacpp",
    parameters={"n_ctx": Parameter("8192"), "flash": Parameter("on", tunable=False)},
    hardware_profile="cpu.small",
)


def at(seconds: float) -> datetime:
    """A moment some seconds after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def spec(*, minimum: int = 1, maximum: int = 3, initial: int | None = None, **fields: object) -> JobSpec:
    """A valid spec."""
    scaling = Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=max(minimum, 1) if initial is None else initial,
        activation_replicas=max(minimum, 1),
        targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 10.0),),
    )
    values: dict[str, object] = {
        "name": "demo",
        "project": "default",
        "model": MODEL,
        "runtime": "llamacpp",
        "runtime_image": None,
        "serving": Serving({"n_ctx": "8192"}, {}),
        "hardware_profile": "cpu.small",
        "gpu_count": 0,
        "scaling": scaling,
        **fields,
    }
    return JobSpec(**values)  # type: ignore[arg-type]  # a test's overrides are checked by the test itself


def created(*, job_id: str = JOB_ID, seconds: float = 0, **fields: object) -> JobCreated:
    """The first change of a job."""
    return JobCreated(at(seconds), job_id, spec(**fields), None, "key-1")  # type: ignore[arg-type]  # as above


def fold(*changes: Change) -> Job:
    """The job after `changes`, the first of which creates it."""
    job: Job | None = None
    for change in changes:
        job = evolve(job, change)
    assert job is not None
    return job


def scheduled(replica_id: str = "r1", seconds: float = 1, placement: Placement = NODE) -> ReplicaScheduled:
    """A replica gets a place."""
    return ReplicaScheduled(at(seconds), replica_id, placement)


def ready(replica_id: str = "r1", seconds: float = 5) -> ReplicaReady:
    """A replica serves."""
    return ReplicaReady(at(seconds), replica_id, f"http://127.0.0.1:9/{replica_id}")


def draining(
    replica_id: str = "r1", seconds: float = 20, reason: ReplicaReason = ReplicaReason.SCALED_DOWN
) -> ReplicaDraining:
    """A replica gets no more requests."""
    return ReplicaDraining(at(seconds), replica_id, reason)


def terminated(replica_id: str = "r1", seconds: float = 30) -> ReplicaTerminated:
    """Nothing of a replica is left."""
    return ReplicaTerminated(at(seconds), replica_id)


def running_job(replicas: int = 1, **fields: object) -> Job:
    """A job whose replicas all serve."""
    names = [f"r{number}" for number in range(1, replicas + 1)]
    return fold(
        created(initial=replicas, **fields),
        *(scheduled(name) for name in names),
        *(ready(name) for name in names),
    )
