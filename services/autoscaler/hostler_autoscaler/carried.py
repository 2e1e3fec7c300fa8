"""What one replica carries: the rate at which its requests still end in time, worked out of what was learned.

Little's law ties the rate to the requests at a time: a replica with x of them, each of `mean` units at `unit_ms(x)`, serves
`x / (mean * unit_ms(x))` per second. The wanted x weighs hours against attainment: past the knee of the line a replica more buys almost
no speed, and where answers are too long for the target no number of replicas helps.
"""

from dataclasses import dataclass
from functools import lru_cache

from hostler_autoscaler.engine_fit import Line
from hostler_autoscaler.shape import Shape

POINT_WORTH_HOURS = 0.1
"""One point of attainment is worth a tenth of the replica-hours; more, and calm jobs are over-bought, less, and users feel it."""
IN_TIME_WANTED = 0.95
"""What a target for the 95th percentile asks for."""
KNEE = 1.5
"""Times the base token time: beyond it more replicas buy almost no speed, so a p95 that needs them is not pursued."""
GRID_RATIO = 1.12
REMEMBERED = 20_000
"""Answers kept: a job asks the same until it has learned more, fifteen times with ticks of two seconds, and there may be ten thousand jobs."""


@dataclass(frozen=True, slots=True)
class Aim:
    """How much to give for attainment.

    Attributes:
        p95_share: Of the target: where the 95th percentile may be at most.
        careful_points: Of attainment that a careful operator gives away; what their hours are is what hours are counted against, so
            the more, the more an hour weighs.
    """

    p95_share: float
    careful_points: float


LEAN = Aim(p95_share=1.0, careful_points=5.0)
"""Who set a rate wants the latency kept, not more: a target for the 95th percentile gives five points away."""
BEST = Aim(p95_share=0.95, careful_points=2.0)
"""Who lets the latency decide wants attainment; the share below the target is for the noise of a minute."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a replica carries within the latency target.

    Attributes:
        rps: Requests per second.
        x: Requests at a time that this means.
        p95_ms: What the 95th percentile will then be.
        in_time: Share of requests that will end in time.
        best: The share with as many replicas as one likes.
    """

    rps: float
    x: float
    p95_ms: float
    in_time: float
    best: float

    @property
    def content_bound(self) -> bool:
        """Whether the answers are too long for the target on a replica of their own."""
        return self.best < IN_TIME_WANTED


def rate_at(line: Line, shape: Shape, x: float) -> float:
    """Requests per second of a replica with x of them at a time."""
    return 1000 * x / (shape.mean * line.unit_ms(x))


def outstanding_at(line: Line, shape: Shape, rate: float) -> float | None:
    """Requests at a time of a replica that serves this rate; None beyond what it can serve at all."""
    work = rate * shape.mean / 1000
    left = 1 - work * line.beta
    return work * line.alpha / left if left > 0.02 else None


@lru_cache(maxsize=REMEMBERED)
def carried(line: Line, shape: Shape, target_ms: float, *, x_limit: float, aim: Aim = BEST) -> Carried:
    """The x, up to a limit, that costs least in hours and attainment."""
    best = shape.in_time(line.unit_ms(0.5), target_ms)
    points: list[tuple[float, float, float]] = []
    x = 0.5
    while not points or points[-1][0] < x_limit:
        x = min(x, x_limit)
        points.append((x, rate_at(line, shape, x), shape.in_time(line.unit_ms(x), target_ms)))
        x *= GRID_RATIO
    # Hours are counted against those of a careful operator.
    careful = max(
        (rate for _, rate, share in points if share >= best - aim.careful_points / 100), default=points[0][1]
    )
    unit_ms_max = max(aim.p95_share * target_ms / shape.p95, KNEE * line.alpha)
    content_bound = best < IN_TIME_WANTED
    allowed = [point for point in points if content_bound or line.unit_ms(point[0]) <= unit_ms_max] or points[
        :1
    ]

    def cost(point: tuple[float, float, float]) -> float:
        return careful / point[1] + POINT_WORTH_HOURS * 100 * (best - point[2])

    x, rate, share = min(allowed, key=cost)
    return Carried(rate, x, shape.p95 * line.unit_ms(x), share, best)
