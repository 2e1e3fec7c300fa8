"""How long a start will still take, from how long earlier ones of the same model on the same hardware took. Pure.

What is learnt from are the replicas that the jobs' records remember, so nothing is kept beside the log. The plan puts the words into
what it reports of a start.
"""

from collections.abc import Iterable
from datetime import datetime
from statistics import median

from hostler_domain.job import Job, Replica


def usual_start_seconds(jobs: Iterable[Job], like: Job) -> float | None:
    """The median of the starts that came to an end, of jobs like this one; None where there was none."""
    took = [
        (replica.ready_at - replica.created_at).total_seconds()
        for job in jobs
        if _alike(job, like)
        for replica in job.replicas
        if replica.ready_at is not None
    ]
    return median(took) if took else None


def eta_words(usual_seconds: float | None, replica: Replica, now: datetime) -> str:
    """What is left of a start, in words; empty where nothing is known."""
    if usual_seconds is None:
        return ""
    left = usual_seconds - (now - replica.created_at).total_seconds()
    if left <= 0:
        return "longer than usual"
    return f"about {left / 60:.0f} min left" if left >= 90 else f"about {max(left, 1):.0f} s left"


def _alike(one: Job, other: Job) -> bool:
    a, b = one.spec, other.spec
    return (a.model, a.runtime, a.hardware_profile, a.gpu_count) == (
        b.model,
        b.runtime,
        b.hardware_profile,
        b.gpu_count,
    )
