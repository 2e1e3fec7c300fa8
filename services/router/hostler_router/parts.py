"""What requests work with, gathered once by the service and handed to every request."""

from collections.abc import Callable
from dataclasses import dataclass

from hostler_domain.limits import Limits
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.auth import KnownCallers
from hostler_router.balance import Rng
from hostler_router.exchange import Exchange
from hostler_router.limits import Limiter
from hostler_router.lines import Lines
from hostler_router.looks import Looks
from hostler_router.metrics import RouterMetrics
from hostler_router.outliers import Outliers
from hostler_router.outstanding import Outstanding
from hostler_router.peer_loads import PeerLoads
from hostler_router.replica_keys import ReplicaKeys
from hostler_router.resume_turns import ResumeTurns
from hostler_router.retry_budget import RetryBudget
from hostler_router.running import Running
from hostler_router.settings import RouterSettings
from hostler_router.table import RouteTable
from hostler_router.timer_wheel import TimerWheel
from hostler_router.tracing import Tracer
from hostler_router.usage_commit import Committer
from hostler_router.windows import WindowRecorder
from hostler_router.wire.replica_pool import ReplicaPool

OnKey = Callable[[str], None]
"""Told of the id of every key that is used."""
Ended = Callable[[Exchange, int, float], None]
"""Told of a request, the status that its client got, 0 for none, and the seconds that it took."""


@dataclass(frozen=True, slots=True)
class RouterParts:
    """The parts; the modules that they are from say what they do.

    Attributes:
        budget: Gives the retry budget of a job.
        resume_turns: Gives the turns of a job's broken streams.
        project_limits: Gives the limits of a project.
        caught_up: Whether table and keys are known in full; until then nothing can be said to be unknown.
        ended: Puts down what became of a request.
        answered: Puts down one that was answered with a 200 and was no stream.
        wake: Tells the autoscaler at once that this request waits for a job without a ready replica.
        look_seconds: How often a request under way is looked at; no timeout of the settings is shorter.
        choices: Gives how many replicas are drawn to choose between; 0 looks at all of them, which suits a router that is alone.
    """

    settings: RouterSettings
    table: RouteTable
    callers: KnownCallers
    project_limits: Callable[[str], Limits | None]
    on_key: OnKey
    caught_up: Callable[[], bool]
    pool: ReplicaPool
    replica_keys: ReplicaKeys
    outstanding: Outstanding
    peers: PeerLoads
    outliers: dict[str, Outliers]
    budget: Callable[[str], RetryBudget]
    resume_turns: Callable[[str], ResumeTurns]
    lines: Lines
    limiter: Limiter
    committer: Committer
    recorder: WindowRecorder
    running: Running
    metrics: RouterMetrics
    wheel: TimerWheel
    looks: Looks
    tracer: Tracer | None
    ended: Ended
    answered: Callable[[Exchange, float], None]
    wake: Callable[[str, Exchange], None]
    look_seconds: float
    choices: Callable[[], int]
    rng: Rng
    clock: Clock
    logger: Logger
