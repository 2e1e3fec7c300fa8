"""To zero and back: when a job may sleep, and what wakes it."""

from dataclasses import replace

from hostler_autoscaler.decision import Decision, Proposal, ProposalKind
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.quick import is_quick
from hostler_autoscaler.scene import Scene, Wanted, replicas_for
from hostler_domain.scaling import Scaling

GAP_SECONDS = 60.0
"""Each look tells of the last minute, so a longer time between two leaves some unseen, as a restart does."""


def looked(state: PolicyState, observation: Observation, load: LoadSignals, *, now: float) -> PolicyState:
    """The state after a look at good news; one that comes late begins anew."""
    if state.observed_at is None or now - state.observed_at > GAP_SECONDS or state.valid_since is None:
        state = replace(
            state,
            peaks=Peaks(),
            lasting=Peaks(),
            quick=Peaks(),
            valid_since=now,
            settled_at=None,
            observed_at=None,
        )
    # A job that is waking up is not idle, however long its weights take to load.
    waking = observation.desired > 0 and observation.ready == 0
    active_at = now if waking else _active_at(load, now)
    if active_at is None or (state.active_at is not None and state.active_at > active_at):
        active_at = state.active_at
    return replace(state, active_at=active_at)


def _active_at(load: LoadSignals, now: float) -> float | None:
    if load.idle_seconds is not None:
        return now - load.idle_seconds
    recent = load.rps if load.rps_20 is None else load.rps_20
    return now if load.outstanding > 0 or recent > 0 else None


def idle(state: PolicyState, load: LoadSignals, spec: Scaling, *, now: float) -> bool:
    """Whether nothing has come or waited for as long as it takes to fall asleep, known from news without a gap."""
    if spec.min_replicas > 0 or load.outstanding > 0 or state.valid_since is None:
        return False
    quiet_since = max(state.valid_since, state.active_at or state.valid_since)
    return now - quiet_since >= idle_seconds(spec)


def idle_seconds(spec: Scaling) -> int:
    """How long a job is idle before it sleeps."""
    if spec.scale_to_zero_after_seconds is not None:
        return spec.scale_to_zero_after_seconds
    return spec.stabilisation_window_seconds


def fell_asleep(state: PolicyState, scene: Scene, spec: Scaling) -> tuple[PolicyState, Decision]:
    """To zero."""
    quiet = f"no request for {idle_seconds(spec)} s"
    slept = replace(state, slept_at=scene.now, peaks=Peaks(), lasting=Peaks(), quick=Peaks(), settled_at=None)
    return slept, Decision(0, f"asleep: {quiet}", (Proposal(ProposalKind.IDLE, 0, f"idle: {quiet}"),))


def asleep(
    state: PolicyState, scene: Scene, spec: Scaling, wanted: list[Wanted]
) -> tuple[PolicyState, Decision]:
    """Wake with the first request that came after it was sent to sleep, or that waits now, whatever the routers' clocks say."""
    active_at = _active_at(scene.load, scene.now)
    came = active_at is not None and (state.slept_at is None or active_at > state.slept_at)
    if not came and scene.load.queued == 0:
        return state, Decision(0, "asleep: no request came", tuple(each.proposal for each in wanted))
    need = max((each.need for each in wanted), default=0.0)
    replicas = spec.clamp(max(spec.activation_replicas, replicas_for(need), 1))
    peaks = Peaks().with_need(scene.now, replicas, horizon_seconds=float(spec.stabilisation_window_seconds))
    woken = replace(
        state,
        slept_at=None,
        active_at=scene.now,
        peaks=peaks,
        lasting=Peaks(),
        quick=peaks if is_quick(spec) else Peaks(),
        settled_at=None,
    )
    told = Proposal(ProposalKind.WAKE, replicas, f"wake: {scene.load.queued} requests wait")
    return woken, Decision(
        replicas, f"awake with {replicas}: a request came", (told, *(each.proposal for each in wanted))
    )
