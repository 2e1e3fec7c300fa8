"""Requests of the jobs API and how their answers are read: the part that both clients share. No I/O.

A `Call` is everything about one request; `read` turns the body of a good answer into a value.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from hostler_client.errors import ApiError, ClientError, FieldProblem, kind_of
from hostler_client.job_changes import JobChanges
from hostler_client.models import (
    EventPage,
    Explanation,
    Job,
    JobEvent,
    JobMetrics,
    JobPage,
    ReplicaList,
    ReplicaLog,
)
from hostler_client.new_job import NewJob

ResultT = TypeVar("ResultT")
ModelT = TypeVar("ModelT", bound=BaseModel)

EVENT_STREAM = "text/event-stream"


class UnreadableAnswer(ClientError):
    """An answer that is not what this client knows: something else listens there, or an API that is too new."""


@dataclass(frozen=True, slots=True)
class Call(Generic[ResultT]):
    """One request. Each may be sent again: what changes something carries an idempotency key or names its target."""

    method: str
    path: str
    read: Callable[[bytes], ResultT]
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    tag: Callable[[ResultT, Mapping[str, str]], ResultT] | None = None
    """Adds to the value what only the headers of the answer say."""
    timeout_seconds: float | None = None
    """How long its answer may take, where that is longer than usual."""

    def result(self, reply: "Reply") -> ResultT:
        """The value of a good answer."""
        value = self.read(reply.body)
        return value if self.tag is None else self.tag(value, reply.headers)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def create(job: NewJob, *, idempotency_key: str) -> Call[Job]:
    """Ask for a job; the same key gives the same job however often it is sent."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    return Call("POST", "/v1/jobs", reader(Job), headers=headers, body=job.body())


def get(job: str, *, project: str | None = None) -> Call[Job]:
    """Read one job, by id or by name."""
    return Call("GET", _job_path(job), reader(Job), params=given(project=project))


def page(
    *,
    project: str | None = None,
    phase: str | None = None,
    model: str | None = None,
    labels: Mapping[str, str] | None = None,
    include_deleted: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> Call[JobPage]:
    """Read one page of jobs."""
    params: dict[str, str | Sequence[str]] = {
        **given(
            project=project,
            phase=phase,
            model=model,
            include_deleted="true" if include_deleted else None,
            after=after,
            limit=None if limit is None else str(limit),
        )
    }
    if labels:
        params["label"] = tuple(f"{name}={value}" for name, value in labels.items())
    return Call("GET", "/v1/jobs", reader(JobPage), params=params)


def delete(job: str) -> Call[Job]:
    """Take a job down."""
    return Call("DELETE", _job_path(job), reader(Job))


def stop(job: str) -> Call[Job]:
    """End all replicas and keep the job."""
    return Call("POST", f"{_job_path(job)}/stop", reader(Job))


def resume(job: str) -> Call[Job]:
    """Start a stopped or failed job over."""
    return Call("POST", f"{_job_path(job)}/resume", reader(Job))


def restart(job: str, *, of_generation: int) -> Call[Job]:
    """Replace every replica up to a generation; those of a later one are new already, so asking again does nothing."""
    params = {"of_generation": str(of_generation)}
    return Call("POST", f"{_job_path(job)}/restart", reader(Job), params=params)


def scale(job: str, replicas: int, *, hold_seconds: int | None = None) -> Call[Job]:
    """Have another number of replicas, perhaps for a while whatever the load is."""
    hold = {} if hold_seconds is None else {"hold_seconds": hold_seconds}
    body = json.dumps({"replicas": replicas, **hold}).encode()
    headers = {"Content-Type": "application/json"}
    return Call("POST", f"{_job_path(job)}/scale", reader(Job), headers=headers, body=body)


def replicas(job: str, *, project: str | None = None) -> Call[ReplicaList]:
    """Read the replicas of a job."""
    return Call("GET", f"{_job_path(job)}/replicas", reader(ReplicaList), params=given(project=project))


def update(job: str, changes: JobChanges, *, revision: int | None = None) -> Call[Job]:
    """Change a job; with a revision only if it is still the one that the caller read."""
    headers = {"Content-Type": "application/merge-patch+json"}
    if revision is not None:
        headers["If-Match"] = f'"{revision}"'
    return Call("PATCH", _job_path(job), reader(Job), headers=headers, body=changes.body())


def explain(job: str, *, project: str | None = None) -> Call[Explanation]:
    """Ask why a job is where it is."""
    return Call("GET", f"{_job_path(job)}/explain", reader(Explanation), params=given(project=project))


def replica_log(
    job: str, replica_id: str, *, tail: int | None, after: int | None, project: str | None
) -> Call[ReplicaLog]:
    """Read a part of what a replica wrote."""
    params = given(
        tail=None if tail is None else str(tail),
        after=None if after is None else str(after),
        project=project,
    )
    path = f"{_job_path(job)}/replicas/{quote(replica_id, safe='')}/logs"
    return Call("GET", path, reader(ReplicaLog), params=params)


def metrics(
    job: str,
    *,
    names: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    samples: int | None = None,
    replica: str | None = None,
    project: str | None = None,
) -> Call[JobMetrics]:
    """Read what a job, or one of its replicas, did over time."""
    params: dict[str, str | Sequence[str]] = {
        **given(
            start=start.isoformat() if start else None,
            end=end.isoformat() if end else None,
            samples=None if samples is None else str(samples),
            replica=replica,
            project=project,
        )
    }
    if names:
        params["names"] = tuple(names)
    return Call("GET", f"{_job_path(job)}/metrics", reader(JobMetrics), params=params)


def events_page(job: str, *, after: int, limit: int | None = None) -> Call[EventPage]:
    """Read one page of a job's history."""
    params = given(after=str(after) if after else None, limit=None if limit is None else str(limit))
    return Call("GET", f"{_job_path(job)}/events", reader(EventPage), params=params)


def events_stream(job: str, *, after: int) -> Call[None]:
    """Follow a job's history; the answer is a stream, to be read event by event with `read_event`."""
    headers = {"Accept": EVENT_STREAM} | ({"Last-Event-ID": str(after)} if after else {})
    return Call("GET", f"{_job_path(job)}/events", nothing, headers=headers)


def read_event(data: str) -> JobEvent:
    """One event of a stream.

    Raises:
        UnreadableAnswer: it is not one.
    """
    return reader(JobEvent)(data.encode())


def problem(reply: Reply) -> ApiError:
    """The exception that a refusal stands for, whoever wrote it: the API, or a proxy on the way."""
    fields: dict[str, object] = {}
    if "json" in reply.headers.get("content-type", ""):
        try:
            parsed = json.loads(reply.body)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            fields = parsed
    request_id = fields.get("request_id") or reply.headers.get("x-request-id")
    return kind_of(reply.status)(
        status=reply.status,
        title=str(fields.get("title") or "unexpected answer"),
        detail=str(fields.get("detail") or ""),
        errors=_field_problems(fields.get("errors")),
        request_id=None if request_id is None else str(request_id),
    )


def _field_problems(errors: object) -> tuple[FieldProblem, ...]:
    if not isinstance(errors, list):
        return ()
    return tuple(
        FieldProblem(str(each.get("field", "")), str(each.get("message", "")))
        for each in errors
        if isinstance(each, dict)
    )


def _job_path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"


def given(**params: str | None) -> dict[str, str]:
    """Parameters of a request without those that were left out."""
    return {name: value for name, value in params.items() if value is not None}


def reader(model: type[ModelT]) -> Callable[[bytes], ModelT]:
    """Reads the body of a good answer as `model`, or raises `UnreadableAnswer`."""

    def read(body: bytes) -> ModelT:
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UnreadableAnswer(
                f"the answer is no {model.__name__} of Hostler's API ({where or 'body'}: {first['msg']})"
            ) from None

    return read


def nothing(body: bytes) -> None:
    """Reads an answer that is empty, or a stream, which is read event by event."""
    del body
