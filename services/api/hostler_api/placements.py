"""Why a job's next replica has no place: asked of a scheduler, for `explain`."""

from typing import Final

from hostler_bus.errors import HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.placements import PlacementAnswer, PlacementQuestion
from hostler_domain.job import Job

_ANSWER_SECONDS: Final = 3.0


async def placement(bus: Bus, job: Job) -> PlacementAnswer | None:
    """What a scheduler says of a job that lacks replicas; None where none is lacking, or no scheduler answers."""
    if len(job.active_replicas) >= job.wanted_replicas:
        return None
    question = PlacementQuestion(job_id=job.job_id).model_dump_json().encode()
    try:
        data = await bus.request(subjects.SCHEDULER_EXPLAIN, question, timeout_seconds=_ANSWER_SECONDS)
    except (NoResponder, RequestTimeout, HandlerFailed):
        return None
    return PlacementAnswer.model_validate_json(data)
