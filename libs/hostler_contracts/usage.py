"""Usage: the requests that replicas have worked on, as billing and the count per API key read them.

Routers publish them on the USAGE stream in small batches, one message per job and flush. A message that is tried again is the same to the
byte and keeps its id, so the stream has it once if that is within two minutes; later it may stand there twice. Whoever counts tells such a
repeat by the writer and the number of the batch (`usage_seen`), or by the ids of the requests. Routers write through the leaner
twins of these models in `usage_records`.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from hostler_contracts.envelope import CloudEvent, Contract, is_none
from hostler_domain.errors import PermanentError


class FinishedRequest(Contract):
    """One request that was given to a replica, after its end.

    Attributes:
        usage_id: UUIDv7, made by the router: what makes it one request, for whoever must count it once.
        request_id: As in logs and in `x-request-id`; a client may have chosen it, and may have chosen it twice.
        key_id: Of the API key; None where a public job was called without one.
        key_project: The key's project; None as above.
        replica_id: That answered, or was tried last.
        model: Hugging Face id.
        route: Such as `/v1/chat/completions`.
        status: HTTP status that the client got; 499 where it hung up before there was one.
        outcome: How it ended, in the router's words: `answered`, `failed`, `broken`, `cut` or `client_gone`.
        streamed: Whether a stream of events was asked for.
        aborted: Whether the answer is not whole: the client hung up, or it broke.
        started_at: When the request came.
        duration_seconds: Until its end.
        prompt_tokens: As the runtime said; None where it did not.
        completion_tokens: Likewise.
        audio_seconds: Length of the sound that was heard; None where it was none.
        cached_tokens: How many of the prompt's tokens the runtime had in its cache; None where it did not say.
        measured: Whether the counts are the runtime's; else the router counted what it passed on, as of an answer that was cut off.
        resumed: Whether another replica went on with the answer of one that was lost. It is still one request.
        first_token_seconds: From its coming to the first event of its stream; None where there was none.
        traceparent: Of the trace that it was a part of, with the router's span where the router keeps traces, else with its caller's; left
            out where there was none.
    """

    usage_id: str = Field(min_length=1)
    request_id: str
    key_id: str | None
    key_project: str | None
    replica_id: str | None
    model: str
    route: str
    status: int
    outcome: str
    streamed: bool
    aborted: bool
    started_at: datetime
    duration_seconds: float = Field(ge=0)
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    audio_seconds: float | None = Field(default=None, ge=0)
    cached_tokens: int | None = Field(default=None, ge=0)
    measured: bool = True
    resumed: bool = False
    first_token_seconds: float | None = Field(default=None, ge=0)
    traceparent: str | None = Field(default=None, exclude_if=is_none)


class UsageBatch(Contract):
    """Requests for one job that ended at one router.

    Attributes:
        router: Which router process.
        job_id: Which job.
        requests: In the order of their ends.
        writer: One life of that process, so that two of one name are told apart; None in batches of older routers.
        number: Which of that writer's batches, from 1, without gaps but for what was lost; 0 in batches of older routers.
    """

    router: str
    job_id: str
    requests: tuple[FinishedRequest, ...]
    writer: str | None = None
    number: int = Field(default=0, ge=0)


class UsageRecordedV1(CloudEvent):
    """`usage.recorded`, version 1."""

    type: Literal["dev.hostler.usage.recorded.v1"] = "dev.hostler.usage.recorded.v1"
    data: UsageBatch


class UndecodableUsage(PermanentError):
    """Bytes that are no usage."""


def encode_usage(event: UsageRecordedV1) -> bytes:
    """The structured JSON form."""
    return event.model_dump_json().encode()


def decode_usage(data: bytes) -> UsageRecordedV1:
    """The usage in `data`.

    Raises:
        UndecodableUsage: there is none in it.
    """
    try:
        return UsageRecordedV1.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableUsage(f"no usage: {error.error_count()} fields are wrong") from None
