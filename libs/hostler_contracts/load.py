"""Load windows: what one router saw of one job during one period.

Routers publish one per job and period on the METRICS stream, also when nothing happened, because a window of zeros is news
(the job is idle) and no window at all is not (the router may be gone). Counts add up over routers and windows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from hostler_contracts.envelope import CloudEvent, Contract
from hostler_domain.errors import PermanentError

PERIOD_SECONDS_MAX = 86_400


def says_nothing(value: object) -> bool:
    """For fields that are left out where they say nothing, so that a window of zeros stays as small as it was."""
    return value is None or value is False


class _Counted(Contract):
    """Numbers that are finite: one that is not would spread to everything that is worked out from it."""

    model_config = ConfigDict(allow_inf_nan=False)


class RuntimeLoad(_Counted):
    """What a replica's runtime says of itself on its `/metrics`; None is what it does not say.

    Attributes:
        running: Requests that it works on.
        waiting: Requests that it holds in its own line.
        kv_utilisation: Share of its memory for attention that is in use, 0 to 1.
    """

    running: int | None = Field(default=None, ge=0)
    waiting: int | None = Field(default=None, ge=0)
    kv_utilisation: float | None = Field(default=None, ge=0, le=1)


class ReplicaLoad(_Counted):
    """One router's counts of one replica, in the time of the window around them.

    A request that was tried on several replicas counts for the last of them alone.

    Attributes:
        completed: Requests that it answered in full.
        failed: Requests that ended in a 5xx or a broken answer with it.
        in_flight: Requests under way on it at the end of the period.
        latency_ms: As in the window.
        first_token_ms: Likewise.
        prompt_tokens: Likewise.
        completion_tokens: Likewise.
        runtime: What its runtime said last, in the window of the router that asked it; left out elsewhere.
    """

    completed: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    in_flight: int = Field(default=0, ge=0)
    latency_ms: Mapping[int, int] = Field(default_factory=dict)
    first_token_ms: Mapping[int, int] = Field(default_factory=dict)
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    runtime: RuntimeLoad | None = Field(default=None, exclude_if=says_nothing)


class LoadWindow(_Counted):
    """One router's counts of one job.

    Attributes:
        router: Which router process.
        job_id: Which job.
        started_at: Begin of the period.
        seconds: Length of the period.
        arrivals: Requests that came.
        completed: Requests answered in full, whatever the status said.
        failed: Requests that ended in a 5xx or a broken answer; not in `completed`.
        rejected: Requests turned away for want of a ready replica; not in `arrivals`' answers.
        in_flight: Requests under way on replicas at the end of the period; those in `queued` are not among them.
        latency_ms: Whole requests that completed, as `hostler_domain.histogram` counts.
        first_token_ms: Likewise, until the first byte of the answer's body.
        prompt_tokens: As the runtimes said.
        completion_tokens: Likewise.
        audio_seconds: Likewise, begun seconds of audio.
        queued: Requests that waited for a replica at the end of the period; None from a router that has no queue.
        replicas: The same by replica: every one that was ready at the end of the period or had a request in it.
        latency_total_ms: Sum over the requests in `latency_ms`; None where there are none, and from a router that does not add up.
        timed_ms: Of those, the sum over the ones whose runtime said how many tokens it wrote; None likewise.
        timed_tokens: How many tokens these are, so that time per token is the one by the other.
        queue_age_seconds: How long the oldest that waits at the end of the period has waited; None where nobody waits.
        leaves: The router has stopped and this is its last window: it is not silent afterwards, it is gone.
    """

    router: str
    job_id: str
    started_at: datetime
    seconds: float = Field(gt=0, le=PERIOD_SECONDS_MAX)
    arrivals: int = Field(ge=0)
    completed: int = Field(ge=0)
    failed: int = Field(ge=0)
    rejected: int = Field(default=0, ge=0)
    in_flight: int = Field(ge=0)
    latency_ms: Mapping[int, int] = Field(default_factory=dict)
    first_token_ms: Mapping[int, int] = Field(default_factory=dict)
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    audio_seconds: int = Field(default=0, ge=0)
    queued: int | None = Field(default=None, ge=0)
    replicas: Mapping[str, ReplicaLoad] = Field(default_factory=dict)
    latency_total_ms: float | None = Field(default=None, ge=0, exclude_if=says_nothing)
    timed_ms: float | None = Field(default=None, ge=0, exclude_if=says_nothing)
    timed_tokens: int | None = Field(default=None, ge=0, exclude_if=says_nothing)
    queue_age_seconds: float | None = Field(default=None, ge=0, exclude_if=says_nothing)
    leaves: bool = Field(default=False, exclude_if=says_nothing)


class LoadWindowV1(CloudEvent):
    """`load.window`, version 1."""

    type: Literal["dev.hostler.load.window.v1"] = "dev.hostler.load.window.v1"
    data: LoadWindow


class UndecodableWindow(PermanentError):
    """Bytes that are no load window."""


def encode_window(event: LoadWindowV1) -> bytes:
    """The structured JSON form."""
    return event.model_dump_json().encode()


def decode_window(data: bytes) -> LoadWindowV1:
    """The window in `data`.

    Raises:
        UndecodableWindow: there is none in it.
    """
    try:
        return LoadWindowV1.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableWindow(f"no load window: {error.error_count()} fields are wrong") from None
