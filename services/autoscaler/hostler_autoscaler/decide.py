"""`decide`: how many replicas a job shall have. Pure; called by the service once per job and tick, and by simulators.

Learn from the load, ask every consideration what it wants, take the largest. Up at once, counting the replicas that are starting. Down to
the highest need of the window, if the survivors can carry it, at a limited pace, and only after a whole window of good news. Without news
it holds. To zero after an idle time, awake again with the first request.
"""

from dataclasses import replace

from hostler_autoscaler import quick
from hostler_autoscaler.advising import advised
from hostler_autoscaler.capacity import capacity
from hostler_autoscaler.consolidation import Held, lowered, regretted_seconds, windows
from hostler_autoscaler.decision import Decision, Proposal, ProposalKind
from hostler_autoscaler.demand import demanded
from hostler_autoscaler.insurance import insurance
from hostler_autoscaler.lateness import late_per_second
from hostler_autoscaler.learning import learned, sensed
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene, Wanted, replicas_for
from hostler_autoscaler.sleeping import GAP_SECONDS, asleep, fell_asleep, idle, looked
from hostler_autoscaler.wanted import wants
from hostler_domain.scaling import Scaling, ScalingMetric

COLD_START_SECONDS_UNKNOWN = 60.0
"""Before the first launch was seen; it is soon known."""
OVERDUE_COLD_STARTS = 3.0
"""A replica that has been starting for so many cold starts will not come; another one is asked for in its place."""
OVERDUE_SECONDS_MIN = 120.0
SURGE_SHARE = 1.6
"""Of the ready replicas: what a need beyond it brings comes faster than replicas can, and engines have no reserve for so much."""


def decide(state: PolicyState, observation: Observation, spec: Scaling) -> tuple[PolicyState, Decision]:
    """What to remember and what to do; `spec` has the bounds that hold now."""
    now, load = observation.now.timestamp(), observation.load
    if isinstance(load, NoData):
        return _blind(state, observation, spec, load)
    elapsed = now - state.observed_at if state.observed_at is not None else 0.0
    state = looked(state, observation, load, now=now)
    state = learned(state, observation, load, now=now)
    scene = _scene(state, observation, load, spec, now)
    known = scene.capacity.learned
    if known is not None and known.rps != state.rps:
        state = replace(state, rps=known.rps)
    wanted = wants(scene, spec)
    if observation.desired == 0 and spec.min_replicas == 0:
        return asleep(state, scene, spec, wanted)
    if idle(state, load, spec, now=now):
        return fell_asleep(state, scene, spec)
    return _awake(state, scene, spec, wanted, elapsed)


def _blind(
    state: PolicyState, observation: Observation, spec: Scaling, load: NoData
) -> tuple[PolicyState, Decision]:
    """Without news: what there is, within the bounds. Needs from before a gap must not vouch for the time in it."""
    within = spec.clamp(observation.desired)
    lost = replace(state, valid_since=None, peaks=Peaks(), lasting=Peaks(), quick=Peaks(), settled_at=None)
    held = Proposal(ProposalKind.HOLD, within, f"hold: {load.reason}")
    return lost, Decision(within, f"held at {within}: {load.reason}", (held,), hold=True)


def _scene(
    state: PolicyState, observation: Observation, load: LoadSignals, spec: Scaling, now: float
) -> Scene:
    cold = observation.cold_start_seconds
    cold = COLD_START_SECONDS_UNKNOWN if cold is None else max(cold, 1.0)
    overdue_after = max(OVERDUE_COLD_STARTS * cold, OVERDUE_SECONDS_MIN)
    fresh = [age for age in observation.starting_ages if age <= overdue_after]
    latency = spec.target(ScalingMetric.LATENCY_P95)
    units = sensed(state, load, observation.ready)
    return Scene(
        state=state,
        observation=observation,
        load=load,
        sensed=units,
        demand=demanded(
            state.rates,
            units.rate,
            units.rate_20,
            seconds=load.seconds_covered,
            high=units.rate_high if quick.is_quick(spec) else None,
        ),
        capacity=capacity(state, spec, ready=observation.ready),
        now=now,
        latency_ms=latency.effective if latency else None,
        cold_start_seconds=cold,
        arriving_seconds=max(cold - max(fresh), 0.0) if fresh else cold,
        overdue=len(observation.starting_ages) - len(fresh),
    )


def _awake(
    state: PolicyState, scene: Scene, spec: Scaling, wanted: list[Wanted], elapsed: float
) -> tuple[PolicyState, Decision]:
    """Up at once, down by the window.

    | need      | window's news | highest need of the window | replicas                 |
    | --------- | ------------- | -------------------------- | ------------------------ |
    | > current | any           | any                        | need                     |
    | = current | any           | any                        | current                  |
    | < current | not complete  | any                        | current                  |
    | < current | complete      | too much for fewer         | current                  |
    | < current | complete      | carried by fewer           | those, at a limited pace |
    """
    desired = scene.observation.desired
    top = max(wanted, key=lambda each: each.need, default=None)
    need = top.need if top else float(desired)
    raw = replicas_for(need)
    # Those that will not come count for nothing; one more is asked for in the place of each.
    extra = min(scene.overdue, raw)
    insured = insurance(scene.observation, raw)
    target = raw + extra + insured
    # To zero leads only the idle time.
    floor = max(spec.min_replicas, 1)
    bounded = min(max(target, floor), spec.max_replicas)
    state = _remembered(state, scene, spec, wanted, need, elapsed)
    if insured:
        # What was asked for in place of those that may fail stays for the window as well, lest it goes before it is known who came.
        with_insured = max(need, min(need + insured, float(spec.max_replicas)))
        plain = windows(state, scene, spec).plain_seconds
        state = replace(state, peaks=state.peaks.with_need(scene.now, with_insured, horizon_seconds=plain))
        state = quick.remembered(state, scene, spec, need=with_insured)
    state, advice = advised(state, scene, spec)
    proposals = [each.proposal for each in wanted]
    if target < floor:
        proposals.append(Proposal(ProposalKind.FLOOR, floor, f"floor: min_replicas {floor}"))
    if target > spec.max_replicas:
        told = f"ceiling: max_replicas {spec.max_replicas}, {target} would be needed"
        proposals.append(Proposal(ProposalKind.CEILING, spec.max_replicas, told))

    def answer(replicas: int, reason: str, *, hold: bool = False) -> Decision:
        return Decision(replicas, reason, tuple(proposals), hold=hold, advice=advice)

    why = top.proposal.sentence if top else "no target to scale against"
    if extra:
        why = f"{why}; {extra} that should have come long ago will not"
    if insured:
        why = f"{why}; {insured} more, since {scene.observation.failed_boots} of the last {scene.observation.launches} did not come"
    if bounded > desired:
        if raw > max(floor, desired) and not extra:
            # What the bounds ask for, or replaces what was lost, is no load that came back.
            state = _gone_up(state, scene, spec, surges=_surges(scene, need))
        return state, answer(bounded, f"up from {desired} to {bounded}: {why}")
    if desired > spec.max_replicas:
        return state, answer(
            bounded, f"down from {desired} to {bounded}: max_replicas is {spec.max_replicas}"
        )
    if bounded == desired or top is None:
        return state, answer(desired, f"stays at {desired}: {why}")
    window = windows(state, scene, spec)
    down = lowered(state, scene, spec, lowest=bounded, extra=extra, window=window)
    if isinstance(down, Held):
        proposals.append(Proposal(ProposalKind.HOLD, desired, f"hold: {down.reason}"))
        verb = "held" if down.blind else "stays"
        return state, answer(
            desired, f"{verb} at {desired}, {bounded} would do: {down.reason}", hold=down.blind
        )
    state = replace(
        state,
        backoff=state.backoff.went_down(scene.now),
        holding=state.holding.fell(scene.now, down.replicas),
    )
    return state, answer(down.replicas, f"down from {desired} to {down.replicas}: {down.reason}")


def _remembered(
    state: PolicyState, scene: Scene, spec: Scaling, wanted: list[Wanted], need: float, elapsed: float
) -> PolicyState:
    """With the needs of now, and what they tell of bursts."""
    lasting = max((each.need for each in wanted if each.lasting), default=need)
    holding = state.holding.seen(
        scene.now,
        needed=replicas_for(lasting),
        late=late_per_second(scene) * min(elapsed, GAP_SECONDS),
        replica_rps=scene.capacity.rps,
        cold_start_seconds=scene.cold_start_seconds,
    )
    state = replace(state, holding=holding)
    if quick.is_quick(spec):
        busiest = max((each.need for each in wants(quick.busiest(scene), spec)), default=need)
        state = quick.remembered(state, scene, spec, need=max(busiest, need))
    window = windows(state, scene, spec)
    return replace(
        state,
        peaks=state.peaks.with_need(scene.now, need, horizon_seconds=window.plain_seconds),
        lasting=state.lasting.with_need(scene.now, lasting, horizon_seconds=window.kept_seconds),
        bursts=state.bursts.seen(
            scene.now,
            surges=_surges(scene, need),
            desired=scene.observation.desired,
            needed=replicas_for(lasting),
            cold_start_seconds=scene.cold_start_seconds,
        ),
    )


def _surges(scene: Scene, need: float) -> bool:
    ready = scene.observation.ready
    return ready > 0 and need > SURGE_SHARE * ready


def _gone_up(state: PolicyState, scene: Scene, spec: Scaling, *, surges: bool) -> PolicyState:
    window = windows(state, scene, spec)
    holding = state.holding.rose(
        scene.now,
        window_seconds=max(window.lasting_seconds, window.held_seconds),
        before=scene.observation.desired,
    )
    return replace(
        state,
        holding=holding,
        backoff=state.backoff.went_up(
            scene.now,
            configured=regretted_seconds(spec),
            cold_start_seconds=scene.cold_start_seconds,
            # What a surge has cost is judged where a latency tells it; whoever wishes for quick steps does not want it held for.
            surge=surges and scene.latency_ms is None and not quick.is_quick(spec),
            leeway_seconds=quick.REGRET_SECONDS if quick.is_quick(spec) else 0.0,
        ),
    )
