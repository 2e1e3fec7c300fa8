"""The bounds that hold at a moment: the job's own, narrowed by the windows of its schedule and by a hold of its owner.

Pure; the service asks before it decides, and so does the what-if. The policy knows bounds only, not where they come from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from hostler_domain.job import ScaleHold
from hostler_domain.scaling import Scaling
from hostler_domain.scheduled_bounds import ScheduledBounds


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds at a moment.

    Attributes:
        scaling: The job's scaling with the bounds that hold.
        reasons: Why they are narrower than the job's own, a sentence each; none where they are not.
    """

    scaling: Scaling
    reasons: tuple[str, ...] = ()


def bounds_at(scaling: Scaling, now: datetime, *, hold: ScaleHold | None = None) -> Bounds:
    """The bounds of `scaling` at `now`.

    | hold | windows open | targets | bounds |
    | --- | --- | --- | --- |
    | yes | any | any | the number that is held, both |
    | no | some | some | the highest minimum and the lowest maximum; where they cross, that minimum |
    | no | some | none | that minimum, both: with nothing to scale by, the schedule says the number |
    | no | none | none, but a schedule | the job's minimum, both |
    | no | none | otherwise | the job's own |
    """
    if hold is not None and now < hold.until:
        held = scaling.clamp(hold.replicas)
        return _narrowed(
            scaling, held, held, (f"held at {held} by its owner until {hold.until:%Y-%m-%dT%H:%M:%SZ}",)
        )
    if not scaling.schedule:
        return Bounds(scaling)
    lowest, highest = scaling.min_replicas, scaling.max_replicas
    reasons: list[str] = []
    for window in scaling.schedule:
        if is_open(window, now):
            lowest = max(lowest, scaling.min_replicas if window.min_replicas is None else window.min_replicas)
            highest = min(
                highest, scaling.max_replicas if window.max_replicas is None else window.max_replicas
            )
            reasons.append(f"schedule {window.start!r} ({window.time_zone}): {' and '.join(_bounds(window))}")
    if not scaling.targets:
        highest = lowest
        reasons = reasons or [f"no window of the schedule is open: {lowest}"]
    return _narrowed(scaling, lowest, max(highest, lowest), tuple(reasons))


def is_open(window: ScheduledBounds, now: datetime) -> bool:
    """Whether a window is open: it opened less than its duration ago. One that no calendar knows is never open."""
    # Cron knows minutes and durations are whole ones, so nothing changes within a minute.
    return _open_at(
        window.start, window.time_zone, window.duration_seconds, now.replace(second=0, microsecond=0)
    )


@lru_cache(maxsize=20_000)
def _open_at(start: str, time_zone: str, duration_seconds: int, minute: datetime) -> bool:
    try:
        zone = ZoneInfo(time_zone)
        # Subtracted in UTC: with the zone's clock a window would be an hour longer or shorter when that clock is changed.
        opened = next(CronSim(start, (minute - timedelta(seconds=duration_seconds)).astimezone(zone)), None)
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return opened is not None and opened <= minute


def _narrowed(scaling: Scaling, lowest: int, highest: int, reasons: tuple[str, ...]) -> Bounds:
    narrowed = replace(
        scaling,
        min_replicas=lowest,
        max_replicas=highest,
        activation_replicas=min(max(scaling.activation_replicas, lowest), highest),
    )
    return Bounds(narrowed, reasons)


def _bounds(window: ScheduledBounds) -> Iterator[str]:
    if window.min_replicas is not None:
        yield f"at least {window.min_replicas}"
    if window.max_replicas is not None:
        yield f"at most {window.max_replicas}"
