"""`decide`: how many replicas a job shall have. Pure, called by the service once per job and tick.

Up at once, to the largest proposal of the job's targets. Down only to the highest proposal of the stabilisation window, and only
after a whole window of valid data. Without valid data it holds: never down for want of news. To zero after an idle time, awake
again with the first request.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hostler_autoscaler.observe import STALE_SECONDS, Load, NoData
from hostler_autoscaler.proposals import Fleet, Proposal, propose
from hostler_autoscaler.state import ScalerState
from hostler_domain.scaling import Scaling

LATENCY_SETTLE_SECONDS = 15.0
"""Requests that waited for a new replica still end in the first windows after it is ready; those windows say nothing about it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, and why.

    Attributes:
        replicas: The number, within the job's bounds.
        reasons: Sentences with the numbers, the verdict first.
        hold: It would have been decided otherwise, or not at all, if there were enough valid data.
    """

    replicas: int
    reasons: tuple[str, ...]
    hold: bool = False


def decide(
    scaling: Scaling,
    current: int,
    ready: int,
    state: ScalerState,
    load: Load | NoData,
    *,
    now: datetime,
) -> tuple[ScalerState, Decision]:
    """What to remember and what to do.

    Args:
        scaling: The job's bounds and targets.
        current: How many replicas are asked for at present.
        ready: How many of them serve.
        state: What was remembered the last time.
        load: How busy the job is.
        now: The present time.
    """
    state = _settled(state, current, ready, now)
    within = scaling.clamp(current)
    if isinstance(load, NoData):
        # Samples from before a gap must not vouch for the time in it.
        lost = replace(state, samples=(), valid_since=None)
        return lost, Decision(within, (f"held at {within}: {load.reason}",), hold=True)
    state = _observed(state, current, ready, load, now)
    if within != current:
        return _changed(state), Decision(
            within,
            (
                f"{current} is outside the bounds {scaling.min_replicas} to {scaling.max_replicas}: now {within}",
            ),
        )
    fleet = Fleet(current, ready, _settled_seconds(state, now))
    proposals = tuple(propose(target, load, fleet) for target in scaling.targets)
    if current == 0:
        return _asleep(scaling, state, load, proposals, now)
    if _idle(scaling, state, load, now):
        slept = replace(_changed(state), slept_at=now, samples=())
        return slept, Decision(0, (f"asleep: no request for {_idle_seconds(scaling)} s",))
    return _awake(scaling, current, state, proposals, now)


def latency_since(state: ScalerState) -> datetime | None:
    """From when on latencies speak of the replicas that there are now; None while some are starting."""
    if state.settled_at is None:
        return None
    return state.settled_at + timedelta(seconds=LATENCY_SETTLE_SECONDS)


def _settled_seconds(state: ScalerState, now: datetime) -> float | None:
    since = latency_since(state)
    return (now - since).total_seconds() if since is not None and since <= now else None


def _settled(state: ScalerState, current: int, ready: int, now: datetime) -> ScalerState:
    if ready < current or current == 0:
        return replace(state, settled_at=None)
    return replace(state, settled_at=state.settled_at or now)


def _observed(state: ScalerState, current: int, ready: int, load: Load, now: datetime) -> ScalerState:
    """The state after one more look at valid data; a look that comes late begins anew, as after a long restart."""
    gap = state.observed_at is None or now - state.observed_at > timedelta(seconds=STALE_SECONDS)
    if gap or state.valid_since is None:
        state = replace(state, samples=(), valid_since=now)
    # A job that is waking up is not idle, however long its weights take to load.
    waking = current > 0 and ready == 0
    seen = [moment for moment in (state.active_at, load.active_at) if moment is not None]
    return replace(state, observed_at=now, active_at=now if waking else max(seen, default=None))


def _changed(state: ScalerState) -> ScalerState:
    """The state after the number of replicas was changed: latencies seen so far say nothing about the new number."""
    return replace(state, settled_at=None)


def _asleep(
    scaling: Scaling, state: ScalerState, load: Load, proposals: tuple[Proposal, ...], now: datetime
) -> tuple[ScalerState, Decision]:
    """Wake with the first request that came after it was sent to sleep, or that waits now, whatever the routers' clocks say."""
    came = load.active_at is not None and (state.slept_at is None or load.active_at > state.slept_at)
    if not came and load.queued == 0:
        return state, Decision(0, ("asleep: no request came",))
    need = max((proposal.replicas for proposal in proposals), default=0)
    replicas = scaling.clamp(max(scaling.activation_replicas, need, 1))
    woken = replace(_changed(state), slept_at=None, active_at=now, samples=())
    woken = woken.with_sample(replicas, window_seconds=scaling.stabilisation_window_seconds, now=now)
    return woken, Decision(replicas, (f"awake with {replicas}: a request came", *_sentences(proposals)))


def _idle(scaling: Scaling, state: ScalerState, load: Load, now: datetime) -> bool:
    """Whether nothing has come or waited for as long as it takes to fall asleep, known from data without a gap."""
    if scaling.min_replicas > 0 or load.demand > 0 or state.valid_since is None:
        return False
    quiet_since = max(state.valid_since, state.active_at or state.valid_since)
    return now - quiet_since >= timedelta(seconds=_idle_seconds(scaling))


def _idle_seconds(scaling: Scaling) -> int:
    if scaling.scale_to_zero_after_seconds is not None:
        return scaling.scale_to_zero_after_seconds
    return scaling.stabilisation_window_seconds


def _awake(
    scaling: Scaling, current: int, state: ScalerState, proposals: tuple[Proposal, ...], now: datetime
) -> tuple[ScalerState, Decision]:
    """Up at once, down by the window.

    | need      | window's data | highest need of the window | replicas     |
    | --------- | ------------- | -------------------------- | ------------ |
    | > current | any           | any                        | need         |
    | = current | any           | any                        | current      |
    | < current | not complete  | any                        | current      |
    | < current | complete      | >= current                 | current      |
    | < current | complete      | < current                  | the highest  |
    """
    wanted = max((proposal.replicas for proposal in proposals), default=current)
    # To zero leads only the idle time.
    need = min(max(wanted, scaling.min_replicas, 1), scaling.max_replicas)
    window_seconds = scaling.stabilisation_window_seconds
    state = state.with_sample(need, window_seconds=window_seconds, now=now)
    sentences = _sentences(proposals)
    if need > current:
        return _changed(state), Decision(need, (f"up from {current} to {need}", *sentences))
    if need == current:
        return state, Decision(current, (f"stays at {current}", *sentences))
    valid_seconds = (now - (state.valid_since or now)).total_seconds()
    if valid_seconds < window_seconds:
        waits = f"held at {current}: {need} would do, but there are {valid_seconds:.0f} s of data, not yet {window_seconds} s"
        return state, Decision(current, (waits, *sentences), hold=True)
    if state.peak >= current:
        keeps = (
            f"stays at {current}: {need} would do now, but within {window_seconds} s {state.peak} were needed"
        )
        return state, Decision(current, (keeps, *sentences))
    down = f"down from {current} to {state.peak}, the most that was needed within {window_seconds} s"
    return _changed(state), Decision(state.peak, (down, *sentences))


def _sentences(proposals: tuple[Proposal, ...]) -> tuple[str, ...]:
    return tuple(proposal.reason for proposal in proposals)
