"""What the policy learns from a look at the load, before it decides: the engine, the content, the rates.

Only from calm: not in the first minute after replicas came or went (cold ones are slow, and latencies still tell of the old number),
not while requests wait in routers, not while the load is on the move, since the requests that ended in the last minute met another one.
"""

from dataclasses import dataclass, replace

from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shape import updated

SETTLE_SECONDS = 70.0
"""The minute that latencies look back, and a little for a replica to become warm."""
SAMPLE_SECONDS = 30.0
"""Windows of a minute overlap; twice a minute tells all."""
COMPLETIONS_MIN = 5
"""A mean of fewer is chance."""
COMPLETIONS_FULL = 40.0
"""From so many on a sample counts in full."""
STEADY_SHARE = 0.25
"""The load stands still while it is within this share of its smoothed value."""
SMOOTH_SECONDS = 60.0
QUEUED_SHARE_MAX = 0.05
"""Of what is under way and waiting: more that wait make latencies tell of the queue."""
WORK_MEMORY_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Sensed:
    """A load in the policy's units.

    Attributes:
        rate: Usual requests per second; of a job that listens, one with twice the usual audio counts as two.
        rate_20: Likewise, of the last 20 s.
        outstanding: Requests under way and waiting, over the last 20 s if that is known.
        x: Likewise per ready replica, over the last minute.
        rate_high: As `rate`, of the busiest 5 s of the last 20; None where nobody asked for it.
        outstanding_high: As `outstanding`, likewise.
    """

    rate: float
    rate_20: float | None
    outstanding: float
    x: float
    rate_high: float | None = None
    outstanding_high: float | None = None


def sensed(state: PolicyState, load: LoadSignals, ready: int) -> Sensed:
    """`load`, with requests counted by their work where that is known."""
    weight = 1.0
    if load.audio_seconds_per_second and load.rps > 0 and state.work:
        weight = load.audio_seconds_per_second / load.rps / state.work
    concurrency = load.outstanding if load.concurrency is None else load.concurrency
    return Sensed(
        rate=load.rps * weight,
        rate_20=None if load.rps_20 is None else load.rps_20 * weight,
        outstanding=load.outstanding if load.concurrency_20 is None else load.concurrency_20,
        x=concurrency / max(ready, 1),
        rate_high=None if load.rps_high is None else load.rps_high * weight,
        outstanding_high=load.concurrency_high,
    )


def learned(state: PolicyState, observation: Observation, load: LoadSignals, *, now: float) -> PolicyState:
    """The state after a look at good news."""
    concurrency = load.outstanding if load.concurrency is None else load.concurrency
    x = concurrency / max(observation.ready, 1)
    elapsed = now - state.observed_at if state.observed_at is not None else SMOOTH_SECONDS
    share = min(max(elapsed, 0.0) / SMOOTH_SECONDS, 1.0)
    smooth = state.x + (x - state.x) * share
    settled_at = state.settled_at
    if settled_at is None or observation.ready != state.ready:
        settled_at = now
    state = replace(
        state,
        observed_at=now,
        ready=observation.ready,
        settled_at=settled_at,
        x=float(f"{smooth:.4g}"),
        work=_work(state, load, elapsed),
        rates=state.rates.with_rate(now, load.rps),
    )
    few = load.completions < COMPLETIONS_MIN or observation.ready < 1
    if few or now - settled_at < SETTLE_SECONDS or now - state.sampled_at < SAMPLE_SECONDS:
        return state
    steady = abs(x - smooth) <= STEADY_SHARE * max(smooth, x)
    waits = load.queued > QUEUED_SHARE_MAX * load.outstanding
    return _sampled(state, load, concurrency, x, now, steady=steady, waits=waits)


def _sampled(
    state: PolicyState,
    load: LoadSignals,
    concurrency: float,
    x: float,
    now: float,
    *,
    steady: bool,
    waits: bool,
) -> PolicyState:
    """The content from any minute, since its figures are of the same requests; the engine, which needs their x, from a steady one."""
    # Little's law gives the mean latency where nobody reports it.
    mean_ms = load.mean_ms or 60_000 * concurrency / load.completions
    if mean_ms <= 0:
        # Requests so short that nobody saw one under way.
        return state
    unit_ms = unit_ms_of(load, mean_ms)
    engine, shape = state.engine, state.shape
    if steady and not waits:
        engine = engine.with_sample(x, unit_ms, min(load.completions / COMPLETIONS_FULL, 1.0))
    known = steady or load.mean_ms is not None
    if load.p95_ms and (known or shape is not None):
        shape = updated(
            shape,
            mean=mean_ms / unit_ms if known or shape is None else shape.mean,
            p50=(load.p50_ms or mean_ms) / unit_ms,
            p95=load.p95_ms / unit_ms,
            completions=load.completions,
            seconds=now - state.sampled_at,
        )
    return replace(state, engine=engine, shape=shape, sampled_at=now)


def unit_ms_of(load: LoadSignals, mean_ms: float) -> float:
    """Milliseconds per token, per second of audio, or per request: the finest that is known."""
    if load.token_ms:
        return load.token_ms
    if load.audio_seconds_per_second and load.rps > 0:
        return mean_ms * load.rps / load.audio_seconds_per_second
    return mean_ms


def _work(state: PolicyState, load: LoadSignals, elapsed: float) -> float | None:
    if not load.audio_seconds_per_second or load.rps <= 0:
        return state.work
    work = load.audio_seconds_per_second / load.rps
    if state.work is None:
        return float(f"{work:.4g}")
    share = min(elapsed / WORK_MEMORY_SECONDS, 1.0)
    return float(f"{state.work + (work - state.work) * share:.4g}")
