"""One look at a job: everything that the policy is told, made of the job's record and the routers' reports.

Pure; the service takes one whenever it decides.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from hostler_autoscaler.launches import draining, launches_of, starting_ages
from hostler_autoscaler.observation import Observation
from hostler_autoscaler.quick import is_quick
from hostler_autoscaler.signals import Heard, observe
from hostler_autoscaler.slices import Slice
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase, JobPhase

SPEECH_RUNTIMES: Final = frozenset({"whisper", "parakeet"})
"""Their load is seconds of audio: a request is a word or an hour."""


def look_at(job: Job, slices: Collection[Slice], heard: Mapping[str, Heard], *, now: datetime) -> Observation:
    """How a job stands and how busy it is."""
    launches = launches_of(job)
    desired = job.status.desired_replicas
    scaling = job.spec.scaling
    quickly = is_quick(scaling) or (scaling.promoted is not None and is_quick(scaling.promoted))
    return Observation(
        now=now,
        desired=desired,
        ready=len(job.ready_replicas),
        load=observe(
            slices,
            heard,
            now=now,
            serves=desired > 0,
            listens=job.spec.runtime in SPEECH_RUNTIMES,
            quickly=quickly,
        ),
        starting_ages=starting_ages(job, now),
        draining=draining(job),
        cold_start_seconds=launches.cold_start_seconds,
        failed_boots=launches.failed,
        launches=launches.finished,
    )


def scalable(job: Job) -> bool:
    """Whether there is anything to decide: it is meant to run, and its bounds leave a choice, may change by themselves, or are not kept."""
    if job.status.desired_phase is not DesiredPhase.RUNNING or job.status.phase is JobPhase.FAILED:
        return False
    scaling = job.spec.scaling
    chooses = bool(scaling.targets) or scaling.min_replicas == 0
    choice = scaling.min_replicas < scaling.max_replicas and chooses
    # A hold that is over is looked at once more than needed; nothing comes of it.
    changing = bool(scaling.schedule) or job.status.hold is not None
    return choice or changing or scaling.clamp(job.status.desired_replicas) != job.status.desired_replicas
