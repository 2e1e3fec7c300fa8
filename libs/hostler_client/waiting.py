"""When a wait for a job is over. Pure; both clients follow the job's events and ask here after each."""

from enum import StrEnum

from hostler_client.errors import JobFailed, WaitTimeout
from hostler_client.models import Job
from hostler_domain.phases import JobPhase
from hostler_domain.replica_states import ACTIVE_STATES

SILENCE_SECONDS_MAX = 45.0
"""A stream that says nothing for this long, not even a keep-alive, is taken for broken."""

_GONE = frozenset({JobPhase.DELETING, JobPhase.DELETED})


class Until(StrEnum):
    """What to wait for."""

    READY = "ready"
    """At least one replica serves."""
    RUNNING = "running"
    """Its minimum is ready."""
    STOPPED = "stopped"
    """None of its replicas is left."""
    SETTLED = "settled"
    """It runs with its minimum ready, and no replica of an earlier generation is left to replace."""
    DELETED = "deleted"
    """Nothing of it is left but its history."""


def is_over(job: Job, until: Until) -> bool:
    """Whether the wait has come to its good end.

    Raises:
        JobFailed: it can't come to one any more.
    """
    if until is Until.DELETED:
        return job.phase == JobPhase.DELETED
    if job.phase in _GONE:
        raise JobFailed(f"job {job.name} is {job.phase}: it was deleted while it was waited for", job)
    if until is Until.STOPPED:
        return job.phase == JobPhase.STOPPED
    if job.phase == JobPhase.FAILED:
        raise JobFailed(f"job {job.name} failed: {failure_text(job)}", job)
    if until is Until.RUNNING:
        return job.phase == JobPhase.RUNNING
    if until is Until.SETTLED:
        # One that drains is replaced already; it only answers its last requests.
        outdated = any(
            each.generation < job.generation and each.state in ACTIVE_STATES for each in job.status.replicas
        )
        return job.phase == JobPhase.RUNNING and not outdated
    return job.status.ready_replicas >= 1


def failure_text(job: Job) -> str:
    """Why a job is where it is, in the words of its record."""
    status = job.status
    return ": ".join(text for text in (status.phase_reason, status.phase_detail) if text) or status.phase


def timed_out(name: str, until: Until, timeout_seconds: float, job: Job | None) -> WaitTimeout:
    """The error for a wait that took too long; it says how the job stood."""
    stood = f"; it is {job.phase}" if job else "; it could not be read"
    detail = f" ({failure_text(job)})" if job and (job.status.phase_reason or job.status.phase_detail) else ""
    return WaitTimeout(
        f"job {job.name if job else name} was not {until} within {timeout_seconds:g} s{stood}{detail}", job
    )
