"""Job events to bytes and back.

The bus adapter and the tests are the only callers: everybody else sees events as values.
"""

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from hostler_contracts import job_events
from hostler_contracts.envelope import CloudEvent, TraceContext, event_name
from hostler_contracts.job_events import AnyKnownJobEvent, Fact, JobEvent, KnownJobEvent, UnknownJobEventV0
from hostler_domain.changes import Change
from hostler_domain.errors import PermanentError
from hostler_domain.job import Job

_KNOWN: TypeAdapter[KnownJobEvent] = TypeAdapter(AnyKnownJobEvent)
_MODEL_OF = {model.__name__.removesuffix("V1"): model for model in job_events.EVENT_MODELS}


class UndecodableEvent(PermanentError):
    """Bytes that are no job event: not JSON, not CloudEvents, or a job that can't be read."""


def name_of(event: CloudEvent) -> str:
    """Short name of an event, such as `job.created`."""
    return event_name(event.type)


def event_for(
    change: Change,
    job: Job,
    *,
    event_id: str,
    source: str,
    time: datetime,
    correlation_id: str | None = None,
    trace: TraceContext | None = None,
) -> CloudEvent:
    """The event that says `change` happened and `job` is what it led to."""
    kind = type(change)
    return _MODEL_OF[kind.__name__].model_validate(
        {
            "id": event_id,
            "source": source,
            "subject": job.job_id,
            "time": time,
            "project": job.spec.project,
            "correlationid": correlation_id,
            "traceparent": None if trace is None else trace.traceparent,
            "tracestate": None if trace is None else trace.tracestate,
            "data": Fact[kind](change=change, job=job),  # type: ignore[valid-type]  # the class is only known at run time
        }
    )


def encode(event: CloudEvent) -> bytes:
    """The structured JSON form."""
    return event.model_dump_json().encode()


def decode(data: bytes) -> JobEvent:
    """The event in `data`; a kind that is not known here comes back as its record alone.

    Raises:
        UndecodableEvent: there is no job event in it.
    """
    try:
        return _KNOWN.validate_json(data)
    except ValidationError as known_error:
        try:
            return UnknownJobEventV0.model_validate_json(data)
        except ValidationError:
            raise UndecodableEvent(f"no job event: {_first(known_error)}") from None


def _first(error: ValidationError) -> str:
    """The first complaint, without the input, which may hold anything."""
    detail = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where or 'document'}: {detail['msg']}"
