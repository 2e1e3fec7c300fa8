"""Answers as users read them: the job's record without what is only for the inside."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from hostler_bus.job_log import JobEntry
from hostler_domain.job import Condition, JobSpec, Placement, Progress, Replica
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState


class Document(BaseModel):
    """Root of every answer."""

    model_config = ConfigDict(frozen=True)


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
    ready_replicas: int
    start_failures: int
    first_ready_at: datetime | None
    conditions: tuple[Condition, ...]
    replicas: tuple[ReplicaDocument, ...]


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


def job_document(entry: JobEntry) -> JobDocument:
    """The document of a job."""
    job, status = entry.job, entry.job.status
    return JobDocument(
        job_id=job.job_id,
        name=job.spec.name,
        project=job.spec.project,
        model=job.spec.model,
        spec=job.spec,
        status=StatusDocument(
            phase=status.phase,
            phase_reason=status.phase_reason,
            phase_detail=status.phase_detail,
            phase_since=status.phase_since,
            desired_phase=status.desired_phase,
            desired_replicas=status.desired_replicas,
            ready_replicas=len(job.ready_replicas),
            start_failures=status.start_failures,
            first_ready_at=status.first_ready_at,
            conditions=status.conditions,
            replicas=tuple(_replica_document(replica) for replica in status.replicas),
        ),
        generation=job.generation,
        created_at=job.created_at,
        created_by=job.created_by,
        deleted_at=job.deleted_at,
        revision=entry.seq,
    )


def _replica_document(replica: Replica) -> ReplicaDocument:
    return ReplicaDocument(
        replica_id=replica.replica_id,
        state=replica.state,
        since=replica.since,
        generation=replica.generation,
        placement=replica.placement,
        progress=replica.progress,
        reason=replica.reason,
        detail=replica.detail,
        created_at=replica.created_at,
        ready_at=replica.ready_at,
    )
