"""Counts of every job's requests, and of those of each replica, cut into load windows.

Pure but for its own memory: the handlers tell it what happened, `reporting` cuts a window each period and publishes it. A job
without requests gets a window of zeros, which is how the autoscaler tells idle from unheard-of.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler_contracts.load import LoadWindow, ReplicaLoad, RuntimeLoad
from hostler_domain.histogram import bucket, buckets
from hostler_router.answer_usage import Usage
from hostler_router.answers import Answers


@dataclass(slots=True)
class _Ended:
    """How requests ended; for a whole job, and for each replica."""

    completed: int = 0
    failed: int = 0
    latency_ms: dict[int, int] = field(default_factory=dict)
    first_token_ms: dict[int, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: int = 0


@dataclass(slots=True)
class _Counts(_Ended):
    arrivals: int = 0
    rejected: int = 0
    latency_total_ms: float = 0.0
    timed_ms: float = 0.0
    timed_tokens: int = 0
    replicas: dict[str, _Ended] = field(default_factory=dict)


def _nobody_waits(_job_id: str) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Present:
    """What a window tells of its end, beside its counts.

    Attributes:
        outstanding: Requests under way on each replica; one that is absent has none.
        queue_age_seconds: How long the oldest request that waits for a job has waited; None where none waits.
        runtimes: What the replicas' runtimes said last; those that this router does not ask are absent.
        leaves: No window follows.
    """

    outstanding: Mapping[str, int] = field(default_factory=dict)
    queue_age_seconds: Callable[[str], float | None] = _nobody_waits
    runtimes: Mapping[str, RuntimeLoad] = field(default_factory=dict)
    leaves: bool = False


class WindowRecorder:
    """Counts of the period under way, by job, and what is in flight.

    A request is counted as arrived once, and ends as completed, failed, rejected, or abandoned by its client; the last is in
    no other count. Between its arrival and its end it may wait.
    """

    def __init__(self, *, queues: bool = False) -> None:
        """Make one; `queues` is whether requests may wait at this router, so that none waiting is news."""
        self._counts: dict[str, _Counts] = {}
        self._in_flight: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._queues = queues
        self._before_cut: list[Callable[[], None]] = []

    def before_cut(self, bring: Callable[[], None]) -> None:
        """Call `bring` whenever a window is cut: what is counted many at a time comes in time for it then."""
        self._before_cut.append(bring)

    def arrived(self, job_id: str) -> None:
        """A request for the job is under way."""
        (self._counts.get(job_id) or self._of(job_id)).arrivals += 1
        in_flight = self._in_flight
        in_flight[job_id] = in_flight.get(job_id, 0) + 1

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

    def waits(self, job_id: str) -> None:
        """A request that arrived begins to wait for a replica."""
        self._waiting[job_id] = self._waiting.get(job_id, 0) + 1

    def waits_no_more(self, job_id: str) -> None:
        """It has a replica, or has waited in vain."""
        remaining = self._waiting.get(job_id, 0) - 1
        if remaining > 0:
            self._waiting[job_id] = remaining
        else:
            self._waiting.pop(job_id, None)

    def turned_away(self, job_id: str) -> None:
        """A request that arrived, and perhaps waited, gets no replica after all."""
        self._of(job_id).rejected += 1

    def first_token(self, job_id: str, replica_id: str, milliseconds: float) -> None:
        """The first event of a stream went out."""
        index = bucket(milliseconds)
        for counts in self._both(job_id, replica_id):
            counts.first_token_ms[index] = counts.first_token_ms.get(index, 0) + 1

    def completed(self, job_id: str, replica_id: str, milliseconds: float, tokens: int = 0) -> None:
        """It was answered in full, with so many tokens as far as the runtime said."""
        index = bucket(milliseconds)
        # Every request passes here, so this does without a loop over the two.
        of_job = self._counts.get(job_id) or self._of(job_id)
        of_job.completed += 1
        of_job.latency_ms[index] = of_job.latency_ms.get(index, 0) + 1
        of_job.latency_total_ms += milliseconds
        if replica_id:
            of_replica = of_job.replicas.get(replica_id) or _replica_of(of_job, replica_id)
            of_replica.completed += 1
            of_replica.latency_ms[index] = of_replica.latency_ms.get(index, 0) + 1
        if tokens:
            of_job.timed_ms += milliseconds
            of_job.timed_tokens += tokens

    def answered(self, job_id: str, replica_id: str, answers: Answers) -> None:
        """Requests were answered in full by this replica, and left before: `used` and `completed` of many."""
        milliseconds = [seconds * 1000 for seconds in answers.seconds]
        histogram = buckets(milliseconds)
        of_job = self._of(job_id)
        of_job.latency_total_ms += sum(milliseconds)
        of_job.timed_ms += answers.timed_seconds * 1000
        of_job.timed_tokens += answers.completion_tokens
        for counts in (of_job, of_job.replicas.get(replica_id) or _replica_of(of_job, replica_id)):
            counts.completed += len(milliseconds)
            counts.prompt_tokens += answers.prompt_tokens
            counts.completion_tokens += answers.completion_tokens
            counts.audio_seconds += answers.audio_seconds
            for index, more in histogram.items():
                counts.latency_ms[index] = counts.latency_ms.get(index, 0) + more

    def failed(self, job_id: str, replica_id: str) -> None:
        """It ended in a 5xx or a broken answer; `replica_id` is empty where none was reached."""
        for counts in self._both(job_id, replica_id):
            counts.failed += 1

    def used(self, job_id: str, replica_id: str, usage: Usage) -> None:
        """The runtime said what it took; counted for abandoned and broken answers as well."""
        for counts in self._both(job_id, replica_id):
            counts.prompt_tokens += usage.prompt_tokens
            counts.completion_tokens += usage.completion_tokens
            counts.audio_seconds += usage.audio_seconds

    def in_flight(self, job_id: str) -> int:
        """Requests for the job that are under way, those that wait among them."""
        return self._in_flight.get(job_id, 0)

    def waiting(self, job_id: str) -> int:
        """Requests for the job that wait for a replica."""
        return self._waiting.get(job_id, 0)

    def cut(
        self,
        jobs: Mapping[str, Iterable[str]],
        present: Present,
        *,
        router: str,
        started_at: datetime,
        seconds: float,
    ) -> list[LoadWindow]:
        """A window for each of `jobs`, zeros included; counting starts anew.

        Counts of other jobs, which are those deleted meanwhile, are dropped.

        Args:
            jobs: The ready replicas of each.
            present: How things stand at the end of the period.
            router: Who counts.
            started_at: Begin of the period.
            seconds: Its length.
        """
        for bring in self._before_cut:
            bring()
        counted, self._counts = self._counts, {}
        nothing = _Counts()
        return [
            self._window(job_id, counted.get(job_id, nothing), ready, present, router, started_at, seconds)
            for job_id, ready in jobs.items()
        ]

    def cut_one(
        self,
        job_id: str,
        ready: Iterable[str],
        present: Present,
        *,
        router: str,
        started_at: datetime,
        seconds: float,
    ) -> LoadWindow:
        """A window for one job, whose counting starts anew; the others' goes on. Arguments as of `cut`."""
        for bring in self._before_cut:
            bring()
        counts = self._counts.pop(job_id, None) or _Counts()
        return self._window(job_id, counts, ready, present, router, started_at, seconds)

    def _window(
        self,
        job_id: str,
        counts: _Counts,
        ready: Iterable[str],
        present: Present,
        router: str,
        started_at: datetime,
        seconds: float,
    ) -> LoadWindow:
        nothing, waiting = _Ended(), self.waiting(job_id)
        return LoadWindow(
            router=router,
            job_id=job_id,
            started_at=started_at,
            seconds=seconds,
            arrivals=counts.arrivals,
            completed=counts.completed,
            failed=counts.failed,
            rejected=counts.rejected,
            in_flight=max(self.in_flight(job_id) - waiting, 0),
            latency_ms=counts.latency_ms,
            first_token_ms=counts.first_token_ms,
            prompt_tokens=counts.prompt_tokens,
            completion_tokens=counts.completion_tokens,
            audio_seconds=counts.audio_seconds,
            queued=waiting if self._queues else None,
            replicas={
                replica_id: _load(replica_id, counts.replicas.get(replica_id, nothing), present)
                for replica_id in sorted({*ready, *counts.replicas})
            },
            latency_total_ms=counts.latency_total_ms if counts.completed else None,
            timed_ms=counts.timed_ms if counts.timed_tokens else None,
            timed_tokens=counts.timed_tokens or None,
            queue_age_seconds=present.queue_age_seconds(job_id) if waiting else None,
            leaves=present.leaves,
        )

    def _both(self, job_id: str, replica_id: str) -> tuple[_Ended, ...]:
        """What is counted for the job and, where one was reached, for the replica."""
        counts = self._counts.get(job_id) or self._of(job_id)
        if not replica_id:
            return (counts,)
        return counts, counts.replicas.get(replica_id) or _replica_of(counts, replica_id)

    def _of(self, job_id: str) -> _Counts:
        counts = self._counts.get(job_id)
        if counts is None:
            counts = self._counts[job_id] = _Counts()
        return counts


def _replica_of(counts: _Counts, replica_id: str) -> _Ended:
    """Where to count what concerns a replica that has not been counted yet."""
    made = counts.replicas[replica_id] = _Ended()
    return made


def _load(replica_id: str, counts: _Ended, present: Present) -> ReplicaLoad:
    return ReplicaLoad(
        completed=counts.completed,
        failed=counts.failed,
        in_flight=present.outstanding.get(replica_id, 0),
        latency_ms=counts.latency_ms,
        first_token_ms=counts.first_token_ms,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        runtime=present.runtimes.get(replica_id),
    )
