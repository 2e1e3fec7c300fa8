"""Shadow policies: what jobs' second policies would decide, beside the first and from the same news. Nobody carries it out.

Pure but for its memory, which `memory` stores beside that of the first policy: where it is lost, or the shadow goes by something else from
now on, or the replicas are others, it begins where the first policy is, with all that that one has learned.
"""

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from hostler_autoscaler.decide import decide
from hostler_autoscaler.policy_state import VERSION, PolicyState
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

    def to_json(self, job_id: str) -> str | None:
        """What is remembered of a job's shadow; None where it has none."""
        shadow = self._shadows.get(job_id)
        return None if shadow is None else _ADAPTER.dump_json(shadow, exclude_defaults=True).decode()

    def restore(self, job_id: str, text: str | bytes) -> None:
        """Remember what `to_json` gave; what another version wrote is left out."""
        try:
            shadow = _ADAPTER.validate_json(text)
        except ValidationError:
            return
        if shadow.state.version == VERSION:
            self._shadows[job_id] = shadow

    def forget(self, job_id: str) -> None:
        """Hold nothing any more of this job."""
        self._shadows.pop(job_id, None)

    def clear(self) -> None:
        """Hold nothing any more of any."""
        self._shadows.clear()


_ADAPTER: TypeAdapter[_Shadow] = TypeAdapter(_Shadow)
