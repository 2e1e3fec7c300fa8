"""`decide`: how many replicas a job shall have. Pure; called by the service once per job and tick, and by simulators.

Learn from the load, ask every consideration what it wants, take the largest. Up at once, counting the replicas that are starting. Down to
the highest need of the window, if the survivors can carry it, at a limited pace, and only after a whole window of good news. Without news
it holds. To zero after an idle time, awake again with the first request.
"""

from dataclasses import replace
from math import ceil

from hostler_autoscaler.advising import advised
from hostler_autoscaler.backoff import HOLD_SECONDS_MAX
from hostler_autoscaler.carrying import capacity
from hostler_autoscaler.decision import Decision, Proposal, ProposalKind
from hostler_autoscaler.learning import learned, sensed
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene, Wanted, replicas_for
from hostler_autoscaler.sleeping import asleep, idle, idle_seconds, looked
from hostler_autoscaler.wanted import wants
from hostler_domain.scaling import Scaling, ScalingMetric

COLD_START_SECONDS_UNKNOWN = 60.0
OVERDUE_COLD_STARTS = 3.0
"""A replica that has been starting for so many cold starts will not come; another one is asked for in its place."""
OVERDUE_SECONDS_MIN = 120.0
SURVIVORS_SHARE = 0.97
"""The replicas that stay must carry the highest need of the window at no more than this share of what they can."""
DOWN_SHARE_PER_MINUTE = 0.25
DOWN_PACE_SECONDS = 60.0
WINDOW_FACTOR_MAX = 4.0
SURGE_SHARE = 1.3
"""Of the ready replicas: a need beyond it came faster than replicas can, so requests will be late."""


def decide(state: PolicyState, observation: Observation, spec: Scaling) -> tuple[PolicyState, Decision]:
    """What to remember and what to do; `spec` has the bounds that hold now."""
    now = observation.now.timestamp()
    within = spec.clamp(observation.desired)
    load = observation.load
    if isinstance(load, NoData):
        # Needs from before a gap must not vouch for the time in it.
        lost = replace(state, valid_since=None, peaks=Peaks(), lasting=Peaks(), settled_at=None)
        held = Proposal(ProposalKind.HOLD, within, f"hold: {load.reason}")
        return lost, Decision(within, f"held at {within}: {load.reason}", (held,), hold=True)
    state = looked(state, observation, load, now=now)
    state = learned(state, observation, load, now=now)
    scene = _scene(state, observation, load, spec, now)
    if scene.capacity.learned is not None and scene.capacity.learned.rps != state.rps:
        state = replace(state, rps=scene.capacity.learned.rps)
    wanted = wants(scene, spec)
    if observation.desired == 0 and spec.min_replicas == 0:
        return asleep(state, scene, spec, wanted)
    if idle(state, load, spec, now=now):
        return _slept(state, scene, spec)
    return _awake(state, scene, spec, wanted)


def _scene(
    state: PolicyState, observation: Observation, load: LoadSignals, spec: Scaling, now: float
) -> Scene:
    cold = observation.cold_start_seconds
    cold = COLD_START_SECONDS_UNKNOWN if cold is None else max(cold, 1.0)
    fresh = [age for age in observation.starting_ages if age <= _overdue_after(cold)]
    latency = spec.target(ScalingMetric.LATENCY_P95)
    return Scene(
        state=state,
        observation=observation,
        load=load,
        sensed=sensed(state, load, observation.ready),
        capacity=capacity(state, spec),
        now=now,
        latency_ms=latency.effective if latency else None,
        cold_start_seconds=cold,
        arriving_seconds=max(cold - max(fresh), 0.0) if fresh else cold,
        fresh=len(fresh),
        overdue=len(observation.starting_ages) - len(fresh),
    )


def _overdue_after(cold_start_seconds: float) -> float:
    return max(OVERDUE_COLD_STARTS * cold_start_seconds, OVERDUE_SECONDS_MIN)


def _awake(
    state: PolicyState, scene: Scene, spec: Scaling, wanted: list[Wanted]
) -> tuple[PolicyState, Decision]:
    """Up at once, down by the window.

    | need      | window's news | highest need of the window | replicas                              |
    | --------- | ------------- | -------------------------- | ------------------------------------- |
    | > current | any           | any                        | need                                  |
    | = current | any           | any                        | current                               |
    | < current | not complete  | any                        | current                               |
    | < current | complete      | too much for fewer         | current                               |
    | < current | complete      | carried by fewer           | those, at a limited pace              |
    """
    desired, now = scene.observation.desired, scene.now
    need = max((each.need for each in wanted), default=float(desired))
    lasting = max(
        (each.need for each in wanted if each.proposal.kind is not ProposalKind.BACKLOG), default=need
    )
    top = max(wanted, key=lambda each: each.need, default=None)
    # To zero leads only the idle time.
    floor = max(spec.min_replicas, 1)
    window = _window_seconds(state, scene, spec)
    plain = _plain_window(scene, spec)
    state = replace(
        state,
        peaks=state.peaks.with_need(now, need, horizon_seconds=plain),
        lasting=state.lasting.with_need(
            now, lasting, horizon_seconds=max(plain, HOLD_SECONDS_MAX) if plain else 0.0
        ),
    )
    proposals = [each.proposal for each in wanted]
    raw = replicas_for(need)
    # Those that will not come count for nothing; one more is asked for in the place of each.
    extra = min(scene.overdue, raw)
    target = raw + extra
    if target < floor:
        proposals.append(Proposal(ProposalKind.FLOOR, floor, f"floor: min_replicas {floor}"))
    if target > spec.max_replicas:
        ceiling = f"ceiling: max_replicas {spec.max_replicas}, {target} would be needed"
        proposals.append(Proposal(ProposalKind.CEILING, spec.max_replicas, ceiling))
    bounded = min(max(target, floor), spec.max_replicas)
    state, advice = advised(state, scene, spec, target)

    def answer(replicas: int, reason: str, *held: Proposal, hold: bool = False) -> Decision:
        return Decision(replicas, reason, (*proposals, *held), hold=hold, advice=advice)

    why = top.proposal.sentence if top else "no target to scale against"
    if bounded > desired:
        surge = need > SURGE_SHARE * max(scene.observation.ready, 1) and scene.observation.ready > 0
        backoff = state.backoff.went_up(
            now,
            configured=float(spec.stabilisation_window_seconds),
            cold_start_seconds=scene.cold_start_seconds,
            surge=surge,
        )
        if extra or bounded == floor:
            # No regret: what was lost or is asked for by the bounds is no load that came back.
            backoff = state.backoff
        return replace(state, backoff=backoff), answer(bounded, f"up from {desired} to {bounded}: {why}")
    if desired > spec.max_replicas:
        return state, answer(
            bounded, f"down from {desired} to {bounded}: max_replicas is {spec.max_replicas}"
        )
    if bounded == desired or top is None:
        return state, answer(desired, f"stays at {desired}: {why}")
    return _down(state, scene, spec, bounded, extra, window, answer)


def _down(state, scene, spec, bounded, extra, window, answer):
    desired, now = scene.observation.desired, scene.now

    def held(reason: str, *, hold: bool = False) -> tuple[PolicyState, Decision]:
        told = Proposal(ProposalKind.HOLD, desired, f"hold: {reason}")
        return state, answer(
            desired, f"stays at {desired}, {bounded} would do now: {reason}", told, hold=hold
        )

    valid_seconds = now - state.valid_since if state.valid_since is not None else 0.0
    if valid_seconds < spec.stabilisation_window_seconds:
        return held(
            f"there are {valid_seconds:.0f} s of good news, not yet {spec.stabilisation_window_seconds} s",
            hold=True,
        )
    peak = max(state.peaks.highest(now - _plain_window(scene, spec)), state.lasting.highest(now - window))
    carried = ceil(peak / SURVIVORS_SHARE - 1e-9) + extra
    carried = min(max(carried, bounded, spec.min_replicas, 1), spec.max_replicas)
    if carried >= desired:
        return held(f"{peak:.2f} were needed within {window:.0f} s")
    if scene.load.queued > 0.05 * scene.load.outstanding:
        return held(f"{scene.load.queued} requests wait")
    down_at = state.backoff.down_at
    if down_at is not None and now - down_at < DOWN_PACE_SECONDS and window > 0:
        return held(f"{now - down_at:.0f} s ago it went down, a step a minute")
    step = max(int(desired * DOWN_SHARE_PER_MINUTE), 1) if window > 0 else desired
    lowered = max(carried, desired - step)
    state = replace(state, backoff=state.backoff.went_down(now))
    return state, answer(
        lowered, f"down from {desired} to {lowered}: {peak:.2f} were needed within {window:.0f} s"
    )


def _plain_window(scene: Scene, spec: Scaling) -> float:
    window = float(spec.stabilisation_window_seconds)
    # To give a replica back and to miss it costs a cold start, so none goes for a shorter calm than that.
    return min(max(window, scene.cold_start_seconds), WINDOW_FACTOR_MAX * window)


def _window_seconds(state: PolicyState, scene: Scene, spec: Scaling) -> float:
    longer = state.backoff.window_seconds(scene.now, float(spec.stabilisation_window_seconds))
    return max(_plain_window(scene, spec), longer)


def _slept(state: PolicyState, scene: Scene, spec: Scaling) -> tuple[PolicyState, Decision]:
    quiet = f"no request for {idle_seconds(spec)} s"
    slept = replace(state, slept_at=scene.now, peaks=Peaks(), lasting=Peaks(), settled_at=None)
    told = Proposal(ProposalKind.IDLE, 0, f"idle: {quiet}")
    return slept, Decision(0, f"asleep: {quiet}", (told,))
