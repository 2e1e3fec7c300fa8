"""What a replica wrote: asked of the provisioner of its cluster, which has the file.

Called by the jobs service, which has found the job and checked the caller.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict

from hostler_bus.errors import HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.replica_logs import LogAnswer, LogQuestion
from hostler_domain.errors import NotFound, TemporaryError
from hostler_domain.external import EXTERNAL
from hostler_domain.job import Job

_ANSWER_SECONDS: Final = 3.0


class LogDocument(BaseModel):
    """A part of a replica's log: whole lines, the place behind them for `after`, and whether nothing more will come."""

    model_config = ConfigDict(frozen=True)

    replica_id: str
    text: str
    next: int
    ended: bool


async def replica_log(bus: Bus, job: Job, question: LogQuestion) -> LogDocument:
    """What the question asks for.

    Raises:
        NotFound: the job remembers no such replica, or its log is not there.
        TemporaryError: the provisioner does not answer.
    """
    replica = job.replica(question.replica_id)
    if replica is None:
        raise NotFound(f"the job {job.spec.name!r} has no replica {question.replica_id!r}")
    cluster = replica.placement.cluster
    if cluster == EXTERNAL:
        raise NotFound("Hostler has no log of a server that it only adopts; its owner has")
    try:
        data = await bus.request(
            subjects.provisioner_logs(cluster),
            question.model_dump_json().encode(),
            timeout_seconds=_ANSWER_SECONDS,
        )
    except (NoResponder, RequestTimeout, HandlerFailed) as error:
        raise TemporaryError(
            f"the provisioner of the cluster {cluster} does not answer; try again"
        ) from error
    answer = LogAnswer.model_validate_json(data)
    if not answer.found:
        raise NotFound(f"there is no log of the replica {question.replica_id!r}: not yet, or not any more")
    return LogDocument(replica_id=question.replica_id, text=answer.text, next=answer.next, ended=answer.ended)
