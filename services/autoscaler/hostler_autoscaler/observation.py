"""What the policy is told about one job at one moment: its replicas and its load, all routers together.

The shell assembles it each tick, a simulator as well; `decide.decide` reads nothing else. What nobody knows is None or `NoData`, never
zero: a job without requests and a job without news are different things.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LoadSignals:
    """How busy a job is, over the last minute where nothing else is said.

    Attributes:
        rps: Requests that came per second, those turned away too.
        in_flight: Requests under way on replicas now.
        queued: Requests that wait for a replica now, in routers.
        rps_20: As `rps`, of the last 20 s.
        concurrency: Mean of requests under way and waiting; None takes the present ones.
        concurrency_20: As `concurrency`, of the last 20 s.
        queue_age_seconds: How long the oldest that waits has waited.
        completions: Requests answered in full.
        p50_ms: Of whole requests.
        p95_ms: Likewise.
        mean_ms: Likewise.
        token_ms: Sum of their latencies by sum of the tokens that they generated.
        kv_utilisation: Of the replicas' cache, 0 to 1, mean over replicas.
        audio_seconds_per_second: Seconds of audio that came per second, of a job that listens.
        seconds_covered: How much of the last minute is known; less soon after a start.
        age_seconds: How old the newest news is.
        idle_seconds: For how long nobody has wanted anything, as far as is known; None asks the policy to work it out from the rest.
        rps_high: As `rps`, of the busiest 5 s of the last 20; None where nobody asked for it.
        concurrency_high: As `concurrency`, likewise.
    """

    rps: float
    in_flight: int
    queued: int = 0
    rps_20: float | None = None
    concurrency: float | None = None
    concurrency_20: float | None = None
    queue_age_seconds: float | None = None
    completions: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    mean_ms: float | None = None
    token_ms: float | None = None
    kv_utilisation: float | None = None
    audio_seconds_per_second: float | None = None
    seconds_covered: float = 60.0
    age_seconds: float = 0.0
    idle_seconds: float | None = None
    rps_high: float | None = None
    concurrency_high: float | None = None

    @property
    def outstanding(self) -> int:
        """Requests that want to be worked on now, whether a replica has them or not."""
        return self.in_flight + self.queued


@dataclass(frozen=True, slots=True)
class NoData:
    """Nobody knows how busy the job is, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A job at one moment.

    Attributes:
        now: The present time, with its zone.
        desired: How many replicas are asked for at present.
        ready: How many serve.
        load: How busy they are, or that nobody knows.
        starting_ages: For how many seconds each replica that does not serve yet has been starting.
        draining: How many finish what they have and then go; not in `desired`.
        cold_start_seconds: From asking for a replica until it serves: 90th percentile of the job's last launches; None before the first.
        failed_boots: Of the last launches, how many came to nothing.
        launches: How many launches `failed_boots` counts among.
    """

    now: datetime
    desired: int
    ready: int
    load: LoadSignals | NoData
    starting_ages: tuple[float, ...] = ()
    draining: int = 0
    cold_start_seconds: float | None = None
    failed_boots: int = 0
    launches: int = 0
