"""Advice as conditions of a job: one for each kind, true while it holds.

The autoscaler gives it, `evolve` writes it into the record, and who shows a job finds it there beside the other conditions.
"""

from dataclasses import replace
from typing import Final

from hostler_domain.changes import JobAdvised
from hostler_domain.job import Condition, Job

ADVICE: Final = "Advice"
REASON: Final = "ScalingAdvice"
_GONE: Final = "no longer: "


def condition_type(kind: str) -> str:
    """Type of the condition of a kind of advice: `AdviceRaiseMinReplicas` of `raise_min_replicas`."""
    return ADVICE + "".join(word.capitalize() for word in kind.split("_"))


def standing_advice(job: Job) -> tuple[Condition, ...]:
    """The advice that holds."""
    return tuple(each for each in job.status.conditions if each.type.startswith(ADVICE) and each.status)


def advised_conditions(before: tuple[Condition, ...], change: JobAdvised) -> tuple[Condition, ...]:
    """The conditions after advice: what is in it holds, what was and is not any more does so no longer."""
    given = {condition_type(each.kind): each.sentence for each in change.advice}
    after: list[Condition] = []
    for known in before:
        if not known.type.startswith(ADVICE):
            after.append(known)
        elif known.type in given:
            since = known.last_transition_at if known.status else change.at
            after.append(Condition(known.type, True, REASON, given.pop(known.type), since))
        elif known.status:
            message = _GONE + known.message
            after.append(replace(known, status=False, message=message, last_transition_at=change.at))
        else:
            after.append(known)
    return (*after, *(Condition(kind, True, REASON, told, change.at) for kind, told in given.items()))
