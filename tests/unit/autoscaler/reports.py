"""Load windows for tests of the autoscaler, and what the store of them makes of a number of them."""

from collections.abc import Iterable

from hostler_autoscaler.observation import LoadSignals, NoData
from hostler_autoscaler.signals import observe
from hostler_autoscaler.windows import WindowStore
from hostler_contracts.load import LoadWindow, ReplicaLoad, RuntimeLoad
from hostler_domain.histogram import bucket
from tests.support.builders import JOB_ID, at


def window(
    started: float,
    *,
    arrivals: int = 0,
    seconds: float = 5,
    router: str = "router-1",
    rejected: int = 0,
    in_flight: int = 0,
    queued: int | None = None,
    queue_age: float | None = None,
    latencies_ms: tuple[float, ...] = (),
    total_ms: float | None = None,
    timed: tuple[float, int] | None = None,
    audio: int = 0,
    kv: dict[str, float] | None = None,
    leaves: bool = False,
) -> LoadWindow:
    """A window that began so many seconds after `NOW`."""
    counts: dict[int, int] = {}
    for latency in latencies_ms:
        counts[bucket(latency)] = counts.get(bucket(latency), 0) + 1
    return LoadWindow(
        router=router,
        job_id=JOB_ID,
        started_at=at(started),
        seconds=seconds,
        arrivals=arrivals,
        completed=len(latencies_ms),
        failed=0,
        rejected=rejected,
        in_flight=in_flight,
        queued=queued,
        queue_age_seconds=queue_age,
        latency_ms=counts,
        latency_total_ms=total_ms,
        timed_ms=None if timed is None else timed[0],
        timed_tokens=None if timed is None else timed[1],
        audio_seconds=audio,
        replicas={
            replica_id: ReplicaLoad(runtime=RuntimeLoad(kv_utilisation=share))
            for replica_id, share in (kv or {}).items()
        },
        leaves=leaves,
    )


def every(start: int, end: int, *, seconds: int = 5, **more: object) -> list[LoadWindow]:
    """One after the other from `start` until `end`."""
    return [window(each, seconds=seconds, **more) for each in range(start, end, seconds)]  # type: ignore[arg-type]  # passed on


def store_of(windows: Iterable[LoadWindow], *, now: float = 60) -> WindowStore:
    """A store that got each as it ended, and forgot what is old."""
    store = WindowStore()
    for each in windows:
        store.add(each, now=at(now))
    store.prune(now=at(now), living=lambda _: True)
    return store


def told(
    windows: Iterable[LoadWindow],
    *,
    now: float = 60,
    serves: bool = True,
    listens: bool = False,
    quickly: bool = False,
) -> LoadSignals | NoData:
    """What they say so many seconds after `NOW`."""
    store = store_of(windows, now=now)
    return observe(
        store.of(JOB_ID), store.heard, now=at(now), serves=serves, listens=listens, quickly=quickly
    )


def seen(
    *windows: LoadWindow,
    now: float = 60,
    serves: bool = True,
    listens: bool = False,
    quickly: bool = False,
) -> LoadSignals:
    """The same where something is known."""
    found = told(windows, now=now, serves=serves, listens=listens, quickly=quickly)
    assert isinstance(found, LoadSignals)
    return found
