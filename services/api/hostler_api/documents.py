"""Answers as users read them: the job's record without what is only for the inside."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, computed_field

from hostler_bus.job_log import JobEntry
from hostler_domain.job import Condition, JobSpec, Placement, Progress, ScaleHold
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState


class Document(BaseModel):
    """Root of every answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ReplicaDocument(Document):
    """One replica; its address is not shown, because callers go through the router."""

    replica_id: str
    state: ReplicaState
    since: datetime
    generation: int
    placement: Placement
    progress: Progress | None
    reason: ReplicaReason | None
    detail: str
    created_at: datetime
    ready_at: datetime | None


class StatusDocument(Document):
    """How the job stands."""

    phase: JobPhase
    phase_reason: PhaseReason | None
    phase_detail: str
    phase_since: datetime
    desired_phase: DesiredPhase
    desired_replicas: int
    start_failures: int
    first_ready_at: datetime | None
    conditions: tuple[Condition, ...]
    hold: ScaleHold | None
    replicas: tuple[ReplicaDocument, ...]

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of a property that is written out
    @property
    def ready_replicas(self) -> int:
        """How many replicas serve."""
        return sum(replica.state is ReplicaState.READY for replica in self.replicas)


class JobDocument(Document):
    """A job. `revision` is the sequence of its latest event, and the ETag."""

    job_id: str
    name: str
    project: str
    model: str
    spec: JobSpec
    status: StatusDocument
    generation: int
    created_at: datetime
    created_by: str
    deleted_at: datetime | None
    revision: int


class JobList(Document):
    """One page of jobs, newest first; `next` goes into `after` for the page behind it."""

    data: tuple[JobDocument, ...]
    has_more: bool
    next: str | None


class ReplicaList(Document):
    """Replicas of a job."""

    data: tuple[ReplicaDocument, ...]


class WaitDocument(Document):
    """What came of waiting: whether the wish is fulfilled, and the job as it is."""

    reached: bool
    job: JobDocument


def job_document(entry: JobEntry) -> JobDocument:
    """The document of a job."""
    job = entry.job
    return JobDocument(
        job_id=job.job_id,
        name=job.spec.name,
        project=job.spec.project,
        model=job.spec.model,
        spec=job.spec,
        status=StatusDocument.model_validate(job.status),
        generation=job.generation,
        created_at=job.created_at,
        created_by=job.created_by,
        deleted_at=job.deleted_at,
        revision=entry.seq,
    )
