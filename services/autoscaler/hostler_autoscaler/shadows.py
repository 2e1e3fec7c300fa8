"""Shadow policies: what jobs' second policies would decide, beside the first and from the same news. Nobody carries it out.

Pure but for its memory, which is not stored: where it is lost, or the shadow goes by something else from now on, or the replicas are
others, it begins where the first policy is, with all that that one has learned.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hostler_autoscaler.decide import decide
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.records import Made
from hostler_domain.job import Job
from hostler_domain.scaling import ShadowScaling


@dataclass(frozen=True, slots=True)
class _Shadow:
    by: ShadowScaling
    state: PolicyState
    desired: int


class Shadows:
    """The memories by job id."""

    def __init__(self) -> None:
        self._shadows: dict[str, _Shadow] = {}

    def decide(self, job: Job, made: Made) -> Made | None:
        """What the job's shadow decides where the first policy made that decision; None where it has no shadow.

        It has its own number of replicas, which it goes on from. How many serve and how busy they are is as it is, so it learns the same.
        """
        by = job.spec.scaling.shadow
        promoted = made.scaling.promoted
        if by is None or promoted is None:
            self._shadows.pop(job.job_id, None)
            return None
        known = self._shadows.get(job.job_id)
        if known is None or known.by != by or known.state.serves != made.state.serves:
            known = _Shadow(by, made.state, made.observation.desired)
        observation = replace(made.observation, desired=known.desired)
        state, decision = decide(known.state, observation, promoted)
        self._shadows[job.job_id] = _Shadow(by, state, decision.replicas)
        return Made(known.state, observation, promoted, decision)

    def forget(self, gone: Iterable[str]) -> None:
        """Hold nothing any more of these jobs."""
        for job_id in gone:
            self._shadows.pop(job_id, None)
