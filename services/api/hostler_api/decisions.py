"""What the autoscaler decided about a job: the route `/v1/jobs/{job}/decisions`, read from the DECISIONS stream when somebody asks."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import JsonValue

from hostler_api.access import Reader
from hostler_api.documents import Document
from hostler_api.jobs import JobService
from hostler_api.moments import zoned
from hostler_api.problems import described
from hostler_bus.job_log import JobEntry
from hostler_bus.port import Bus, CaughtUp, FromSequence, SinceTime, Start
from hostler_contracts import subjects
from hostler_contracts.decisions import (
    AdviceTold,
    DecisionRecord,
    ProposalTold,
    ScalingDecidedV1,
    UndecodableDecision,
    decode_decision,
)
from hostler_domain.errors import TemporaryError
from hostler_domain.scaling import Scaling
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger

SPAN_DEFAULT: Final = timedelta(hours=1)
_READ_SECONDS: Final = 10.0

router = APIRouter(prefix="/v1", tags=["jobs"])


class ShadowDecisionDocument(Document):
    """What the job's shadow policy would have decided at the same moment; nothing came of it."""

    replicas: int
    reason: str
    hold: bool
    proposals: tuple[ProposalTold, ...]
    scaling: Scaling
    inputs: Mapping[str, JsonValue]
    state: str


class DecisionDocument(Document):
    """One decision.

    `inputs` and `state` are what it was made from, as the autoscaler writes them, `scaling` the bounds and targets that held; `bounds` says
    why they were narrower than the job's own.
    """

    sequence: int
    at: datetime
    previous_replicas: int
    replicas: int
    kind: str
    reason: str
    hold: bool
    proposals: tuple[ProposalTold, ...]
    advice: tuple[AdviceTold, ...]
    scaling: Scaling
    bounds: tuple[str, ...]
    inputs: Mapping[str, JsonValue]
    state: str
    shadow: ShadowDecisionDocument | None


class DecisionList(Document):
    """One page, oldest first; `next` goes into `after` for the page behind it."""

    data: tuple[DecisionDocument, ...]
    has_more: bool
    next: int | None


class DecisionReader:
    """Reads the stream."""

    def __init__(self, bus: Bus, *, logger: Logger | None = None) -> None:
        self._bus = bus
        self._logger: Logger = logger or structlog.get_logger()

    async def page(
        self, entry: JobEntry, start: Start, limit: int
    ) -> tuple[tuple[tuple[int, ScalingDecidedV1], ...], bool]:
        """Records of a job from `start` on, oldest first, each with its sequence; and whether there are more.

        Raises:
            TemporaryError: the stream can't be read in time.
        """
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await self._read(entry, start, limit)
        except TimeoutError:
            raise TemporaryError("the decisions can't be read at the moment; try again") from None

    async def _read(
        self, entry: JobEntry, start: Start, limit: int
    ) -> tuple[tuple[tuple[int, ScalingDecidedV1], ...], bool]:
        found: list[tuple[int, ScalingDecidedV1]] = []
        subject = subjects.decisions(entry.job.spec.project, entry.job.job_id)
        async with self._bus.follow(subjects.DECISIONS, subject, start=start) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    break
                if len(found) == limit:
                    return tuple(found), True
                try:
                    found.append((message.seq, decode_decision(message.data)))
                except UndecodableDecision as error:
                    self._logger.warning("decision.undecodable", seq=message.seq, reason=str(error))
        return tuple(found), False


@router.get("/jobs/{job}/decisions", responses=described(400, 401, 403, 404, 503))
async def list_decisions(
    request: Request,
    job: str,
    caller: Reader,
    since: Annotated[
        datetime | None, Query(description="From this moment on; an hour ago by default.")
    ] = None,
    after: Annotated[
        int | None, Query(ge=1, description="Instead: behind this one, `next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    project: str | None = None,
) -> DecisionList:
    """What the autoscaler decided about a job and why, oldest first: each change, and one a minute besides. Three days are kept."""
    service: JobService = request.app.state.jobs
    reader: DecisionReader = request.app.state.decisions
    clock: Clock = request.app.state.clock
    entry = await service.get(caller, job, project)
    start = SinceTime(zoned("since", since) or clock.now() - SPAN_DEFAULT)
    found, more = await reader.page(entry, start if after is None else FromSequence(after + 1), limit)
    return DecisionList(
        data=tuple(decision_document(seq, event.data) for seq, event in found),
        has_more=more,
        next=found[-1][0] if more else None,
    )


def decision_document(seq: int, record: DecisionRecord) -> DecisionDocument:
    """One record as users read it."""
    decision, shadow = record.decision, record.shadow
    return DecisionDocument(
        sequence=seq,
        at=record.at,
        previous_replicas=record.previous_replicas,
        replicas=decision.replicas,
        kind=record.kind,
        reason=decision.reason,
        hold=decision.hold,
        proposals=decision.proposals,
        advice=decision.advice,
        scaling=record.scaling,
        bounds=record.bounds,
        inputs=record.observation,
        state=record.state,
        shadow=None
        if shadow is None
        else ShadowDecisionDocument(
            replicas=shadow.decision.replicas,
            reason=shadow.decision.reason,
            hold=shadow.decision.hold,
            proposals=shadow.decision.proposals,
            scaling=shadow.scaling,
            inputs=shadow.observation,
            state=shadow.state,
        ),
    )
