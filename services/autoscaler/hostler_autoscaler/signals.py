"""From the reports of all routers to one value: how busy a job is, or that nobody knows.

Pure; the service calls it for every job and tick, and the policy reads what it gives. Order and repetition of reports change nothing. A
report of zeros is data (the job is idle), no fresh report is `NoData`, and the two must never be mixed up. Nor must silence: while a
router that had requests of the job is not heard of, and has not said that it leaves, the job counts as no less busy than it was at that
router's last report. Its requests may have moved to the others, which then count anyway, or it may still serve them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from hostler_autoscaler.demand import HIGH_SECONDS
from hostler_autoscaler.observation import LoadSignals, NoData
from hostler_autoscaler.rates import KNOWN_SECONDS_MIN, LOOK_BACK_SECONDS, STEP_SECONDS, mean, rates
from hostler_autoscaler.slices import Slice
from hostler_domain.histogram import merged, quantile

STALE_SECONDS: Final = 20.0
STALE_PERIODS: Final = 3
STALE_SECONDS_MAX: Final = 60.0
"""However long the routers' periods are."""
RECENT_SECONDS: Final = 2 * STEP_SECONDS
"""What the quick signals look back on."""
HIGH_STEP_SECONDS: Final = HIGH_SECONDS
HIGH_STEPS: Final = 4
"""Of so many the busiest is told, where a job goes by them."""
RUNTIME_SECONDS: Final = 45.0
"""How long what a runtime said is of use; it is asked every ten seconds or so."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one router, from its reports on all jobs.

    Attributes:
        last_at: End of its newest report.
        left: That was its last one.
    """

    last_at: float
    left: bool


def observe(
    slices: Collection[Slice],
    heard: Mapping[str, Heard],
    *,
    now: datetime,
    serves: bool = True,
    listens: bool = False,
    quickly: bool = False,
) -> LoadSignals | NoData:
    """How busy a job is.

    Args:
        slices: Its reports of the last minutes.
        heard: The routers that may still be there, by name.
        now: The present time.
        serves: Whether it has replicas or is to have some, which silence must not take away; one that sleeps is woken by news alone.
        listens: Whether it turns speech into text, so that seconds of audio are news also when there were none.
        quickly: Whether it goes by its busiest seconds as well, which cost some work to find.
    """
    at = now.timestamp()
    present = _signals(slices, heard, at=at, listens=listens, quickly=quickly)
    if isinstance(present, NoData):
        return present
    if not serves:
        # It may be woken by what came after it was sent to sleep, so what counts is when that was.
        return replace(present, idle_seconds=_later(present.idle_seconds, present.age_seconds))
    for since in sorted(silent_since(slices, heard, at=at)):
        # Before it fell silent every router was heard, as far as is known.
        before = _signals(
            [each for each in slices if each.end <= since],
            heard,
            at=since,
            listens=listens,
            quickly=quickly,
            then=True,
        )
        if isinstance(before, LoadSignals):
            present = _no_less(present, before)
    return present


def patience(slices: Iterable[Slice]) -> dict[str, float]:
    """Seconds without a report after which each router counts as silent, by its longest period.

    A short period is no sign of short ones: routers report at once when a request comes for a job that sleeps.
    """
    found: dict[str, float] = {}
    for each in slices:
        stale_seconds = min(max(STALE_SECONDS, STALE_PERIODS * (each.end - each.begin)), STALE_SECONDS_MAX)
        found[each.router] = max(found.get(each.router, 0.0), stale_seconds)
    return found


def silent_since(slices: Collection[Slice], heard: Mapping[str, Heard], *, at: float) -> frozenset[float]:
    """When routers that had requests of the job were heard of last, of those that are silent and did not leave."""
    late = {
        router for router, known in heard.items() if not known.left and at - known.last_at > STALE_SECONDS
    }
    if not late:
        return frozenset()
    stale_seconds = patience(slices)
    return frozenset(
        heard[each.router].last_at
        for each in slices
        if each.router in late
        and each.busy
        and heard[each.router].last_at - each.end <= LOOK_BACK_SECONDS
        and at - heard[each.router].last_at > stale_seconds[each.router]
    )


def _signals(
    slices: Collection[Slice],
    heard: Mapping[str, Heard],
    *,
    at: float,
    listens: bool,
    quickly: bool,
    then: bool = False,
) -> LoadSignals | NoData:
    """The signals at one moment; `then` takes every router to be there that reported shortly before."""
    recent = [each for each in slices if at - LOOK_BACK_SECONDS < each.end <= at]
    if not recent:
        return NoData(f"no load window of the last {LOOK_BACK_SECONDS:g} s")
    newest, stale_seconds = _newest(recent), patience(slices)
    newest_at = max(each.end for each in newest.values())
    age_seconds, longest = at - newest_at, max(stale_seconds[router] for router in newest)
    if all(at - each.end > stale_seconds[router] for router, each in newest.items()):
        return NoData(f"the newest load window ended {age_seconds:.0f} s ago, over {longest:g} s")

    def stays(router: str) -> bool:
        known = heard.get(router)
        left = newest[router].leaves or (known is not None and known.left and not then)
        return not left and at - newest[router].end <= stale_seconds[router]

    if not any(each.busy or each.latency_ms or each.audio_seconds for each in recent):
        # Most jobs are idle most of the time, and there is nothing to add up then.
        return LoadSignals(
            rps=0.0,
            in_flight=0,
            rps_20=0.0,
            concurrency=0.0,
            concurrency_20=0.0,
            kv_utilisation=_kv_utilisation(recent, at),
            audio_seconds_per_second=0.0 if listens else None,
            seconds_covered=_seconds_covered(recent),
            age_seconds=age_seconds,
            rps_high=0.0 if quickly else None,
            concurrency_high=0.0 if quickly else None,
        )
    standing = [each for router, each in newest.items() if stays(router)]
    came = rates(recent, at=newest_at, staying=stays, amount=_arrivals)
    heard_audio = rates(recent, at=newest_at, staying=stays, amount=_audio_seconds) if listens else ()
    latencies = merged(each.latency_ms for each in recent)
    active_at = max((each.end for each in recent if each.busy), default=None)
    return LoadSignals(
        rps=mean(came) or 0.0,
        in_flight=sum(each.in_flight for each in standing),
        queued=sum(each.queued for each in standing),
        rps_20=mean(came[-2:]),
        concurrency=_concurrency(recent, newest, standing, newest_at - LOOK_BACK_SECONDS),
        concurrency_20=_concurrency(recent, newest, standing, newest_at - RECENT_SECONDS),
        queue_age_seconds=max(
            (each.queue_age_seconds for each in standing if each.queue_age_seconds is not None), default=None
        ),
        completions=sum(latencies.values()),
        p50_ms=quantile(latencies, 0.5),
        p95_ms=quantile(latencies, 0.95),
        mean_ms=_mean_ms(recent),
        token_ms=_token_ms(recent),
        kv_utilisation=_kv_utilisation(recent, at),
        audio_seconds_per_second=mean(heard_audio),
        seconds_covered=_seconds_covered(recent),
        age_seconds=age_seconds,
        # As far as is known: nobody can say that the time since then was quiet too.
        idle_seconds=None if active_at is None else newest_at - active_at,
        rps_high=_highest(recent, standing, newest_at, stays, _arrivals) if quickly else None,
        concurrency_high=_highest(recent, standing, newest_at, stays, _request_seconds) if quickly else None,
    )


def _no_less(present: LoadSignals, before: LoadSignals) -> LoadSignals:
    """The present, with as much load as there was before at least; latencies are those that are known."""
    return replace(
        present,
        rps=max(present.rps, before.rps),
        in_flight=max(present.in_flight, before.in_flight),
        rps_20=_largest(present.rps_20, before.rps),
        concurrency=_largest(present.concurrency, before.concurrency),
        concurrency_20=_largest(present.concurrency_20, before.concurrency),
        audio_seconds_per_second=_largest(present.audio_seconds_per_second, before.audio_seconds_per_second),
        # As idle as it was then: nobody can say that it is more so now.
        idle_seconds=min(
            (each for each in (present.idle_seconds, before.idle_seconds) if each is not None), default=None
        ),
        rps_high=_largest(present.rps_high, before.rps_high),
        concurrency_high=_largest(present.concurrency_high, before.concurrency_high),
    )


def _arrivals(each: Slice) -> int:
    return each.arrivals


def _audio_seconds(each: Slice) -> int:
    return each.audio_seconds


def _request_seconds(each: Slice) -> float:
    return each.outstanding * (each.end - each.begin)


def _highest(
    slices: Collection[Slice],
    standing: Collection[Slice],
    newest_at: float,
    staying: Callable[[str], bool],
    amount: Callable[[Slice], float],
) -> float | None:
    """How much there was of something in the busiest step of the last ones; None while the report of a router that is there tells of none of them."""
    if any(each.end <= newest_at - HIGH_STEPS * HIGH_STEP_SECONDS + KNOWN_SECONDS_MIN for each in standing):
        return None
    steps = rates(
        slices,
        at=newest_at,
        staying=staying,
        amount=amount,
        steps=HIGH_STEPS,
        step_seconds=HIGH_STEP_SECONDS,
    )
    return max((each for each in steps if each is not None), default=None)


def _newest(slices: Iterable[Slice]) -> dict[str, Slice]:
    """The newest report of each router."""
    newest: dict[str, Slice] = {}
    for each in slices:
        known = newest.get(each.router)
        if known is None or (each.end, each.started_at) > (known.end, known.started_at):
            newest[each.router] = each
    return newest


def _concurrency(
    slices: Iterable[Slice], newest: Mapping[str, Slice], standing: Collection[Slice], since: float
) -> float:
    """Mean of what was under way and waiting at the ends of the periods since then, of each router that is there, added up."""
    there = {each.router for each in standing}
    sums: dict[str, list[float]] = {}
    for each in slices:
        if each.router in there and each.end > since:
            seconds = each.end - each.begin
            of_router = sums.setdefault(each.router, [0.0, 0.0])
            of_router[0] += each.outstanding * seconds
            of_router[1] += seconds
    total = 0.0
    for router in there:
        summed = sums.get(router)
        total += newest[router].outstanding if summed is None else summed[0] / summed[1]
    return total


def _mean_ms(slices: Iterable[Slice]) -> float | None:
    total, completions = 0.0, 0
    for each in slices:
        if each.latency_total_ms is not None:
            total += each.latency_total_ms
            completions += sum(each.latency_ms.values())
    return total / completions if completions else None


def _token_ms(slices: Iterable[Slice]) -> float | None:
    total, tokens = 0.0, 0
    for each in slices:
        if each.timed_ms is not None and each.timed_tokens:
            total += each.timed_ms
            tokens += each.timed_tokens
    return total / tokens if tokens else None


def _kv_utilisation(slices: Iterable[Slice], at: float) -> float | None:
    """The mean over replicas of what each said last."""
    said: dict[str, tuple[float, float]] = {}
    for each in slices:
        if each.kv_utilisation and at - each.end <= RUNTIME_SECONDS:
            for replica_id, utilisation in each.kv_utilisation:
                said[replica_id] = max(said.get(replica_id, (0.0, 0.0)), (each.end, utilisation))
    return sum(utilisation for _, utilisation in said.values()) / len(said) if said else None


def _seconds_covered(slices: Iterable[Slice]) -> float:
    """How long the time is that at least one report tells of."""
    covered, until = 0.0, 0.0
    for each in sorted(slices, key=lambda each: (each.begin, each.end)):
        if each.end > until:
            covered += each.end - max(each.begin, until)
            until = each.end
    return min(covered, LOOK_BACK_SECONDS)


def _later(idle_seconds: float | None, age_seconds: float) -> float | None:
    return None if idle_seconds is None else idle_seconds + age_seconds


def _largest(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return max(known, default=None)
