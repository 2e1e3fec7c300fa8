"""The numbers behind the router's metrics: plain integers, dictionaries and histograms with fixed bounds.

`metrics` counts into them on the path of every request, `exposition` reads them when somebody asks. Everything here happens in
one thread and costs well under a microsecond: no lock, no object made per observation.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from hostler_domain.histogram import spread

ROUTE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
SHORT_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
QUEUE_SECONDS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
# The three below have vLLM's bounds, so that one panel can show both, and some finer ones for small models.
FIRST_TOKEN_SECONDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
INTER_TOKEN_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80),
)
WHOLE_SECONDS: Final = (
    *(0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240),
    *(480, 960, 1920, 7680),
)


class Histogram:
    """How many observations fell at or below each bound.

    Attributes:
        bounds: Ascending.
        counts: One for every bound, not added up, and one for what is above all.
        total: The sum of what was observed.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, ascending: Sequence[float]) -> None:
        """Count many."""
        counts = self.counts
        for index, count in spread(ascending, self.bounds):
            counts[index] += count
        self.total += sum(ascending)


class RouteFigures:
    """What is counted of one route.

    Attributes:
        codes: Requests that ended, by the status that their clients got.
        seconds: How long they took.
    """

    __slots__ = ("codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.seconds = Histogram(ROUTE_SECONDS)


class JobFigures:
    """What is counted of one job. Whoever works on a request may hold on to it and count straight into it.

    Attributes:
        in_flight: Requests under way, those in the waiting line included.
        waiting: Requests in the waiting line.
        outcomes: Requests that ended, by outcome.
        ejections: Replicas taken out of the choice for a while, by reason.
        panic: So many replicas looked broken that all are used.
        resumed: Streams that went on at another replica.
        prompt_tokens: That were read.
        cached_tokens: Of these, that the replica remembered.
        generation_tokens: That were written.
        audio_seconds: That were listened to.
        queue_time: Seconds in the waiting line, of requests that were in it.
        first_token: From a request's arrival to the first event of its stream.
        inter_token: Between an event of a stream and the next.
        whole: From a request's arrival to the end of its answer.
    """

    __slots__ = (
        "audio_seconds",
        "cached_tokens",
        "ejections",
        "first_token",
        "generation_tokens",
        "in_flight",
        "inter_token",
        "outcomes",
        "panic",
        "prompt_tokens",
        "queue_time",
        "resumed",
        "waiting",
        "whole",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting = 0
        self.outcomes: dict[str, int] = {}
        self.ejections: dict[str, int] = {}
        self.panic = False
        self.resumed = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.generation_tokens = 0
        self.audio_seconds = 0.0
        self.queue_time = Histogram(QUEUE_SECONDS)
        self.first_token = Histogram(FIRST_TOKEN_SECONDS)
        self.inter_token = Histogram(INTER_TOKEN_SECONDS)
        self.whole = Histogram(WHOLE_SECONDS)


class JobTable:
    """The figures of every job that is not gone.

    A request may end after its job has gone. What it counts then goes into `JobFigures` that nobody reads, or else every such
    request would leave series behind for ever. The ids that went last are remembered; ids are never used again.
    """

    __slots__ = ("_gone", "_unread", "living")

    _GONE_MAX: Final = 4096

    def __init__(self) -> None:
        self.living: dict[str, JobFigures] = {}
        self._gone: dict[str, None] = {}
        self._unread = JobFigures()

    def of(self, job_id: str) -> JobFigures:
        """Where to count what concerns this job."""
        found = self.living.get(job_id)
        if found is not None:
            return found
        if job_id in self._gone:
            return self._unread
        made = self.living[job_id] = JobFigures()
        return made

    def forget(self, job_id: str) -> None:
        """The job is gone."""
        self.living.pop(job_id, None)
        self._gone[job_id] = None
        if len(self._gone) > self._GONE_MAX:
            del self._gone[next(iter(self._gone))]
