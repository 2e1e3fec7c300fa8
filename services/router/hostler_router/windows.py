"""Counts of every job's requests, cut into load windows.

Pure but for its own memory: the handlers tell it what happened, `reporting` cuts a window each period and publishes it. A job
without requests gets a window of zeros, which is how the autoscaler tells idle from unheard-of.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from hostler_contracts.load import LoadWindow
from hostler_domain.histogram import bucket
from hostler_router.bodies import Usage


@dataclass(slots=True)
class _Counts:
    arrivals: int = 0
    completed: int = 0
    failed: int = 0
    rejected: int = 0
    latency_ms: dict[int, int] = field(default_factory=dict)
    first_token_ms: dict[int, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: int = 0


class WindowRecorder:
    """Counts of the period under way, by job, and what is in flight.

    A request is counted as arrived once, and ends as completed, failed, rejected, or abandoned by its client; the last is in
    no other count.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {}
        self._in_flight: dict[str, int] = {}

    def arrived(self, job_id: str) -> None:
        """A request for the job is under way."""
        self._of(job_id).arrivals += 1
        self._in_flight[job_id] = self._in_flight.get(job_id, 0) + 1

    def left(self, job_id: str) -> None:
        """It is not under way any more, however it ended."""
        remaining = self._in_flight.get(job_id, 0) - 1
        if remaining > 0:
            self._in_flight[job_id] = remaining
        else:
            self._in_flight.pop(job_id, None)

    def rejected(self, job_id: str) -> None:
        """A request came and was turned away for want of a ready replica."""
        counts = self._of(job_id)
        counts.arrivals += 1
        counts.rejected += 1

    def first_token(self, job_id: str, milliseconds: float) -> None:
        """The first event of a stream went out."""
        _count(self._of(job_id).first_token_ms, milliseconds)

    def completed(self, job_id: str, milliseconds: float) -> None:
        """It was answered in full."""
        counts = self._of(job_id)
        counts.completed += 1
        _count(counts.latency_ms, milliseconds)

    def failed(self, job_id: str) -> None:
        """It ended in a 5xx or a broken answer."""
        self._of(job_id).failed += 1

    def used(self, job_id: str, usage: Usage) -> None:
        """The runtime said what it took; counted for abandoned and broken answers as well."""
        counts = self._of(job_id)
        counts.prompt_tokens += usage.prompt_tokens
        counts.completion_tokens += usage.completion_tokens
        counts.audio_seconds += usage.audio_seconds

    def in_flight(self, job_id: str) -> int:
        """Requests for the job that are under way."""
        return self._in_flight.get(job_id, 0)

    def cut(
        self, job_ids: Iterable[str], *, router: str, started_at: datetime, seconds: float
    ) -> list[LoadWindow]:
        """A window for each of `job_ids`, zeros included; counting starts anew.

        Counts of other jobs, which are those deleted meanwhile, are dropped.
        """
        counted, self._counts = self._counts, {}
        nothing = _Counts()
        windows: list[LoadWindow] = []
        for job_id in job_ids:
            counts = counted.get(job_id, nothing)
            window = LoadWindow(
                router=router,
                job_id=job_id,
                started_at=started_at,
                seconds=seconds,
                arrivals=counts.arrivals,
                completed=counts.completed,
                failed=counts.failed,
                rejected=counts.rejected,
                in_flight=self.in_flight(job_id),
                latency_ms=counts.latency_ms,
                first_token_ms=counts.first_token_ms,
                prompt_tokens=counts.prompt_tokens,
                completion_tokens=counts.completion_tokens,
                audio_seconds=counts.audio_seconds,
            )
            windows.append(window)
        return windows

    def _of(self, job_id: str) -> _Counts:
        counts = self._counts.get(job_id)
        if counts is None:
            counts = self._counts[job_id] = _Counts()
        return counts


def _count(histogram: dict[int, int], milliseconds: float) -> None:
    index = bucket(milliseconds)
    histogram[index] = histogram.get(index, 0) + 1
