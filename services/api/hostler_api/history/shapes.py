"""What a job and its replicas did over time: the shapes of questions and answers, and who answers them.

The series come from the load windows that routers publish. A time for which no window arrived is a gap, never a zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class SeriesName(StrEnum):
    """What can be asked for; the unit is in the name or said below."""

    REQUESTS = "requests"
    """Arrivals in the sample's time."""
    ERRORS = "errors"
    """Requests that failed or were rejected in it."""
    THROUGHPUT = "throughput_rps"
    """Requests answered per second."""
    LATENCY_P50 = "latency_p50_ms"
    LATENCY_P95 = "latency_p95_ms"
    LATENCY_P99 = "latency_p99_ms"
    TTFT_P50 = "time_to_first_token_p50_ms"
    TTFT_P95 = "time_to_first_token_p95_ms"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    IN_FLIGHT = "in_flight"
    """Requests under way, the mean over the sample."""
    QUEUED = "queued"
    """Requests that wait for a replica, the mean over the sample."""
    REPLICAS_DESIRED = "replicas_desired"
    REPLICAS_READY = "replicas_ready"


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of a series.

    Attributes:
        at: End of the time that it covers.
        value: In the series' unit; None is a gap.
    """

    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One series over the time that was asked for, oldest sample first."""

    name: SeriesName
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class History:
    """An answer.

    Attributes:
        series: In the order in which they were asked for.
        complete: False where the store did not answer, so that missing samples say nothing about the job.
        reason: Why it is not complete, for people.
    """

    series: tuple[Series, ...]
    complete: bool = True
    reason: str = ""


class MetricHistory(Protocol):
    """Whoever keeps the series."""

    async def query(
        self,
        job_id: str,
        replica_id: str | None,
        names: Sequence[SeriesName],
        *,
        start: datetime,
        end: datetime,
        samples: int,
    ) -> History:
        """The series of a job, or of one of its replicas, as `samples` equal spans from `start` to `end`.

        Never raises for a store that is away: the answer then says so.
        """
        ...
