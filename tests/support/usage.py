"""Usage as routers write it: everything has a default, a test says only what matters to it."""

from datetime import datetime

from hostler_contracts.usage import FinishedRequest, UsageBatch, UsageRecordedV1
from hostler_contracts.usage_records import UsageRecord
from tests.support.builders import NOW


def request(started_at: datetime = NOW, **fields: object) -> FinishedRequest:
    """A request that ended well."""
    values: dict[str, object] = {
        "usage_id": "u",
        "request_id": "r",
        "key_id": "key-1",
        "key_project": "p",
        "replica_id": "r1",
        "model": "a/b",
        "route": "/v1/chat/completions",
        "status": 200,
        "outcome": "answered",
        "streamed": False,
        "aborted": False,
        "started_at": started_at,
        "duration_seconds": 1.0,
        "prompt_tokens": 5,
        "completion_tokens": 2,
        **fields,
    }
    return FinishedRequest.model_validate(values)


def record(**fields: object) -> UsageRecord:
    """The same as a router makes it."""
    return UsageRecord(**request(**fields).model_dump())  # type: ignore[arg-type]  # the fields are the same


def event(
    *requests: FinishedRequest, event_id: str = "e1", writer: str | None = None, number: int = 0
) -> UsageRecordedV1:
    """A batch of them."""
    return UsageRecordedV1(
        id=event_id,
        source="/hostler/router/r",
        subject="job-1",
        time=NOW,
        project="p",
        data=UsageBatch(router="r", job_id="job-1", requests=requests, writer=writer, number=number),
    )
