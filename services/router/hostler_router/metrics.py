"""What the router counts for Prometheus; docs/observability.md explains each figure.

Called for every request and every event of a stream, so it only adds to the numbers of `figures`; `exposition` turns them into
samples when the ops port is asked. Job ids are labels of the few figures that are asked for per job, and go with the job.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from hostler_router.answers import Answers
from hostler_router.exposition import RouterCollector
from hostler_router.figures import ROUTE_SECONDS, SHORT_SECONDS, Histogram, JobFigures, JobTable, RouteFigures


class RouterMetrics:
    """The figures.

    Attributes:
        clients_open: Connections of clients.
        upstreams_open: Connections to replicas, idle ones included.
        retry_budget: How many retries the budget would allow now.
        first_event_seconds: See `first_event`.
        overhead_seconds: See `overhead`.
        usage_commit_seconds: See `usage_committed`.
    """

    __slots__ = (
        "_before_scrape",
        "broken_by_reason",
        "client_disconnects",
        "clients_open",
        "first_event_seconds",
        "jobs",
        "overhead_seconds",
        "rate_limited_by_limit",
        "retries_by_reason",
        "retry_budget",
        "routes",
        "upstreams_open",
        "usage_commit_seconds",
        "usage_lost_requests",
        "usage_spooled_requests",
        "windows_lost_count",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = JobTable()
        self.routes: dict[str, RouteFigures] = {}
        self.broken_by_reason: dict[str, int] = {}
        self.retries_by_reason: dict[str, int] = {}
        self.rate_limited_by_limit: dict[str, int] = {}
        self.first_event_seconds = Histogram(ROUTE_SECONDS)
        self.overhead_seconds = Histogram(SHORT_SECONDS)
        self.usage_commit_seconds = Histogram(SHORT_SECONDS)
        self.client_disconnects = 0
        self.windows_lost_count = 0
        self.usage_lost_requests = 0
        self.usage_spooled_requests = 0
        self.clients_open = 0
        self.upstreams_open = 0
        self.retry_budget = 0.0
        self._before_scrape: list[Callable[[], None]] = []
        registry.register(RouterCollector(self))

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` whenever the figures are asked for: what is only read then need not be kept up to date."""
        self._before_scrape.append(refresh)

    def refresh(self) -> None:
        """The figures are asked for."""
        for refresh in self._before_scrape:
            refresh()

    def job(self, job_id: str) -> JobFigures:
        """The figures of a job, to be counted into for as long as a request takes."""
        return self.jobs.of(job_id)

    def forget_job(self, job_id: str) -> None:
        """The job is gone: drop its figures, or they would be reported for ever."""
        self.jobs.forget(job_id)

    def ended(self, route: str, code: int, seconds: float) -> None:
        """A request ended; 499 stands for a client that hung up."""
        figures = self.routes.get(route)
        if figures is None:
            figures = self.routes[route] = RouteFigures()
        figures.codes[code] = figures.codes.get(code, 0) + 1
        figures.seconds.observe(seconds)

    def job_ended(self, job_id: str, outcome: str, seconds: float | None = None) -> None:
        """A request for a job ended; `seconds` after it arrived, where that is to be counted."""
        figures = self.jobs.of(job_id)
        figures.outcomes[outcome] = figures.outcomes.get(outcome, 0) + 1
        if seconds is not None:
            figures.whole.observe(seconds)

    def answered(self, route: str, job_id: str, answers: Answers) -> None:
        """Requests were answered with a 200 and were no streams: `ended`, `job_ended`, `tokens` and `overhead` of many."""
        of_route = self.routes.get(route)
        if of_route is None:
            of_route = self.routes[route] = RouteFigures()
        of_job, count = self.jobs.of(job_id), len(answers.seconds)
        of_route.codes[200] = of_route.codes.get(200, 0) + count
        of_route.seconds.observe_all(answers.seconds)
        of_job.outcomes["answered"] = of_job.outcomes.get("answered", 0) + count
        of_job.whole.observe_all(answers.seconds)
        self.overhead_seconds.observe_all(answers.overheads)
        of_job.prompt_tokens += answers.prompt_tokens
        of_job.generation_tokens += answers.completion_tokens
        of_job.cached_tokens += answers.cached_tokens
        of_job.audio_seconds += answers.audio_seconds

    def set_in_flight(self, job_id: str, requests: int) -> None:
        """So many requests for a job are under way, those that wait included."""
        self.jobs.of(job_id).in_flight = requests

    def set_waiting(self, job_id: str, requests: int) -> None:
        """So many of them are in the waiting line."""
        self.jobs.of(job_id).waiting = requests

    def waited(self, job_id: str, seconds: float) -> None:
        """A request left the waiting line, for a replica or for good."""
        self.jobs.of(job_id).queue_time.observe(seconds)

    def first_event(self, seconds: float, job_id: str | None = None) -> None:
        """A stream began, so long after its request arrived."""
        self.first_event_seconds.observe(seconds)
        if job_id is not None:
            self.jobs.of(job_id).first_token.observe(seconds)

    def next_event(self, job_id: str, seconds: float) -> None:
        """An event of a stream came, so long after the one before it."""
        self.jobs.of(job_id).inter_token.observe(seconds)

    def overhead(self, seconds: float) -> None:
        """An answer that was not streamed took so much longer than the replica did."""
        self.overhead_seconds.observe(max(seconds, 0.0))

    def tokens(self, job_id: str, prompt: int, generation: int, cached: int = 0) -> None:
        """A request that ended took so many tokens; `cached` are a part of `prompt`."""
        figures = self.jobs.of(job_id)
        figures.prompt_tokens += prompt
        figures.generation_tokens += generation
        figures.cached_tokens += cached

    def audio(self, job_id: str, seconds: float) -> None:
        """A request that ended was about so much audio."""
        self.jobs.of(job_id).audio_seconds += seconds

    def ejected(self, job_id: str, reason: str) -> None:
        """A replica gets no requests for a while."""
        ejections = self.jobs.of(job_id).ejections
        ejections[reason] = ejections.get(reason, 0) + 1

    def set_panic(self, job_id: str, panic: bool) -> None:
        """Whether so many replicas of the job look broken that all of them are used."""
        self.jobs.of(job_id).panic = panic

    def resumed(self, job_id: str) -> None:
        """A stream goes on at another replica."""
        self.jobs.of(job_id).resumed += 1

    def broken(self, reason: str) -> None:
        """An answer ended in an error after it had begun."""
        self.broken_by_reason[reason] = self.broken_by_reason.get(reason, 0) + 1

    def retried(self, reason: str) -> None:
        """A request goes to another replica."""
        self.retries_by_reason[reason] = self.retries_by_reason.get(reason, 0) + 1

    def rate_limited(self, limit: str) -> None:
        """A request was refused because of a limit."""
        self.rate_limited_by_limit[limit] = self.rate_limited_by_limit.get(limit, 0) + 1

    def set_retry_budget(self, retries: float) -> None:
        """So many retries would be allowed now."""
        self.retry_budget = retries

    def client_gone(self) -> None:
        """A client hung up."""
        self.client_disconnects += 1

    def client_opened(self) -> None:
        """A client connected."""
        self.clients_open += 1

    def client_closed(self) -> None:
        """A client's connection is closed."""
        self.clients_open -= 1

    def upstream_opened(self) -> None:
        """A connection to a replica is open."""
        self.upstreams_open += 1

    def upstream_closed(self) -> None:
        """It is no more."""
        self.upstreams_open -= 1

    def windows_lost(self, count: int) -> None:
        """Windows could not be published."""
        self.windows_lost_count += count

    def usage_lost(self, count: int) -> None:
        """Finished requests could not be stored."""
        self.usage_lost_requests += count

    def usage_spooled(self, count: int) -> None:
        """Finished requests were written to a file, to be stored later."""
        self.usage_spooled_requests += count

    def usage_committed(self, seconds: float) -> None:
        """A batch of finished requests was stored; it took so long."""
        self.usage_commit_seconds.observe(seconds)
