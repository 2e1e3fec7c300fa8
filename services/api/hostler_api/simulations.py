"""What a job's recorded traffic would have led to under other settings: the route `/v1/jobs/{job}/simulate`, answered by an autoscaler."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import Field

from hostler_api.access import Reader
from hostler_api.catalogues import Catalogues
from hostler_api.documents import Document
from hostler_api.jobs import JobService
from hostler_api.numbers import Number, Whole
from hostler_api.patches import JobPatch, ScalingPatch, patched_spec
from hostler_api.problems import described
from hostler_api.request_body import RequestBody
from hostler_api.requests import Known
from hostler_api.shipped import RUNTIMES
from hostler_bus.errors import HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.what_if import (
    BACK_SECONDS_MAX,
    SIMULATION_SECONDS_MAX,
    EngineTold,
    PointTold,
    RateTold,
    ReplayPolicy,
    ReplayTold,
    SimulationAnswer,
    SimulationQuestion,
)
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.errors import Conflict, TemporaryError
from hostler_domain.job import Job
from hostler_domain.scaling import Scaling

_ANSWER_SECONDS: Final = SIMULATION_SECONDS_MAX + 20

router = APIRouter(prefix="/v1", tags=["jobs"])


class Simulations:
    """Asks autoscalers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def ask(self, question: SimulationQuestion) -> SimulationAnswer:
        """What an autoscaler says.

        Raises:
            TemporaryError: none does.
            Conflict: there is nothing to replay.
        """
        try:
            data = await self._bus.request(
                subjects.AUTOSCALER_SIMULATE,
                question.model_dump_json().encode(),
                timeout_seconds=_ANSWER_SECONDS,
            )
        except (NoResponder, RequestTimeout, HandlerFailed) as error:
            raise TemporaryError("no autoscaler answers; try again") from error
        answer = SimulationAnswer.model_validate_json(data)
        if answer.refusal:
            raise Conflict(answer.refusal)
        return answer


class SimulationRequest(RequestBody):
    """The settings to try; what is left out is as the job has it."""

    policy: ReplayPolicy = Field(
        default=ReplayPolicy.HOSTLER,
        description="`hostler` is the policy that really decides; others follow other systems' rules as they document them.",
    )
    since_seconds: Annotated[Whole, Field(ge=60, le=BACK_SECONDS_MAX)] = Field(
        default=24 * 3600, description="How far to look back."
    )
    scaling: ScalingPatch | None = None
    target_rps: Number | None = None
    target_latency_p95_ms: Number | None = None


class ReplayDocument(Document):
    """What came of one replay.

    `attainment` is the percentage of requests within the latency target, null without one; a flap is a change against the one before,
    within the stabilisation window.
    """

    attainment: float | None
    p50_ms: float | None
    p95_ms: float | None
    replica_hours: float
    cost: float
    launches: int
    changes: int
    flaps: int
    unfinished: int
    points: tuple[PointTold, ...]


class SimulationDocument(Document):
    """Two replays of the same recorded traffic on the same engine, fitted from the job's own metrics.

    `was` has the numbers of replicas that there were, `would` those of the settings that were asked for. Nothing is known of `unknown_seconds`
    of the time between `begin` and `end`, which count as without requests; `notes` says what else was assumed. Costs are replica-hours at
    the present price of the job's hardware.
    """

    job_id: str
    policy: ReplayPolicy
    scaling: Scaling
    begin: datetime
    end: datetime
    requests: int
    unknown_seconds: float
    engine: EngineTold
    cold_start_seconds: float
    price_per_hour: float
    notes: tuple[str, ...]
    traffic: tuple[RateTold, ...]
    was: ReplayDocument
    would: ReplayDocument


@router.post("/jobs/{job}/simulate", responses=described(400, 401, 403, 404, 409, 503))
async def simulate_job(
    request: Request, job: str, body: SimulationRequest, caller: Reader, project: str | None = None
) -> SimulationDocument:
    """Replay a job's own recorded traffic, up to three days of it, with other settings or by another system's rule. It changes nothing.

    It may take a minute and a half; one is replayed at a time.
    """
    service: JobService = request.app.state.jobs
    catalogues: Catalogues = request.app.state.catalogues
    simulations: Simulations = request.app.state.simulations
    entry = await service.get(caller, job, project)
    spec = entry.job.spec
    known = Known(entry.job.master, catalogues.profiles.records, RUNTIMES)
    scaling = patched_spec(entry.job, _patch(body), known).scaling
    question = SimulationQuestion(
        project=spec.project,
        job_id=entry.job.job_id,
        scaling=scaling,
        policy=body.policy,
        back_seconds=body.since_seconds,
    )
    answer = await simulations.ask(question)
    price = _price(entry.job, catalogues.profiles.records.get(spec.hardware_profile))
    return _document(entry.job, question, answer, price)


def _patch(body: SimulationRequest) -> JobPatch:
    given = body.model_fields_set & {"scaling", "target_rps", "target_latency_p95_ms"}
    return JobPatch.model_validate(body.model_dump(include=given, exclude_unset=True))


def _price(job: Job, profile: HardwareProfile | None) -> float:
    """Of one replica and hour."""
    return 0.0 if profile is None else profile.price_per_hour * max(job.spec.gpu_count, 1)


def _document(
    job: Job, question: SimulationQuestion, answer: SimulationAnswer, price: float
) -> SimulationDocument:
    if (
        answer.begin is None
        or answer.end is None
        or answer.engine is None
        or answer.was is None
        or answer.would is None
    ):
        raise TemporaryError("the autoscaler's answer is not complete; it may be of another version")
    return SimulationDocument(
        job_id=job.job_id,
        policy=question.policy,
        scaling=question.scaling,
        begin=answer.begin,
        end=answer.end,
        requests=answer.requests,
        unknown_seconds=answer.unknown_seconds,
        engine=answer.engine,
        cold_start_seconds=answer.cold_start_seconds or 0.0,
        price_per_hour=price,
        notes=answer.notes,
        traffic=answer.traffic,
        was=_replay(answer.was, price),
        would=_replay(answer.would, price),
    )


def _replay(told: ReplayTold, price: float) -> ReplayDocument:
    return ReplayDocument(**told.model_dump(), cost=told.replica_hours * price)
