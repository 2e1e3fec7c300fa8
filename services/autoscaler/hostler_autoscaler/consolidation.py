"""Down: when replicas may go, and how many of them at a time.

Only after a whole window of good news, only if the replicas that stay carry the highest need of the window, never while requests wait, and
at a limited pace. Needs are told by minutes, and where the window is shorter by seconds as well. Which of them go is the scheduler's choice: those that still start first, the others drain.
"""

from dataclasses import dataclass
from math import ceil

from hostler_autoscaler import quick
from hostler_autoscaler.backoff import HOLD_SECONDS_MAX, JUDGED_SECONDS_MAX
from hostler_autoscaler.holding import COMING_SECONDS
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene
from hostler_domain.scaling import Scaling

SURVIVORS_SHARE = 0.92
"""The replicas that stay must carry the highest need of the window at no more than this share of what they can."""
SHARE_PER_STEP = 0.25
STEP_SECONDS = 60.0
"""At most a quarter a minute: enough to follow any day, and slow enough to notice a mistake."""
WINDOW_SECONDS_MIN = 60.0
"""Each look tells of the last minute. Within one nobody can tell a load that swings from one that has gone, so by minutes the window is no shorter."""
WINDOW_GROWTH_MAX = 4.0
"""A long cold start makes the window longer, up to so many times the configured one,"""
GROWN_SECONDS_MAX = 300.0
"""and, where a latency tells what it costs to miss replicas, no longer than this: `holding` does the rest."""
QUEUED_SHARE_MAX = 0.05
"""Of what is under way and waiting: fewer that wait are those that have just come."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How long needs are remembered.

    Attributes:
        plain_seconds: All of them.
        lasting_seconds: Those that last, which leaves out backlogs.
        held_seconds: Likewise, but no more of them than are held.
        kept_seconds: For how long the latter are kept, so that they are still known when a rise has been judged.
    """

    plain_seconds: float
    lasting_seconds: float
    held_seconds: float
    kept_seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing goes, and why; `blind` if that is for want of good news."""

    reason: str
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Lowered:
    """So many stay, and why."""

    replicas: int
    reason: str


def windows(state: PolicyState, scene: Scene, spec: Scaling) -> Windows:
    """The windows that hold now.

    To give a replica back and to miss it costs a cold start, so none goes for a shorter calm than that.
    """
    configured = float(spec.stabilisation_window_seconds)
    plain = min(max(configured, scene.cold_start_seconds), WINDOW_GROWTH_MAX * configured)
    if scene.latency_ms is not None:
        plain = max(configured, min(plain, GROWN_SECONDS_MAX))
    plain = max(plain, WINDOW_SECONDS_MIN)
    regretted = max(configured, WINDOW_SECONDS_MIN)
    if scene.latency_ms is None:
        # Nobody knows what each return of load has cost.
        lasting = max(plain, state.backoff.window_seconds(scene.now, regretted))
        return Windows(plain, lasting, 0.0, max(lasting, HOLD_SECONDS_MAX))
    regrets = state.backoff.window_seconds(scene.now, regretted, most=JUDGED_SECONDS_MAX)
    held = state.holding.held_seconds(scene.now) if configured > 0 else 0.0
    lasting = max(plain, regrets)
    judged = plain + scene.cold_start_seconds + COMING_SECONDS
    return Windows(plain, lasting, held, max(lasting, held, judged))


def regretted_seconds(spec: Scaling) -> float:
    """The window that regrets double."""
    if quick.is_quick(spec):
        return quick.regretted_seconds(spec)
    return float(spec.stabilisation_window_seconds)


def lowered(
    state: PolicyState, scene: Scene, spec: Scaling, *, lowest: int, extra: int, window: Windows
) -> Held | Lowered:
    """How many stay of more than are needed now.

    Args:
        state: With the needs of the window.
        scene: What is looked at.
        spec: The bounds and the window.
        lowest: What would do now.
        extra: How many of the replicas that are asked for will not come.
        window: The windows that hold now.
    """
    desired, now, load = scene.observation.desired, scene.now, scene.load
    found = [_by_seconds(state, scene, spec), _by_minutes(state, scene, window)]
    carried = [each for each in found if isinstance(each, _Carried)]
    if not carried:
        return next(each for each in found if isinstance(each, Held))
    best = min(carried, key=lambda each: each.need)
    carry = min(max(ceil(best.need - 1e-9) + extra, lowest), spec.max_replicas)
    if carry >= desired:
        return Held(best.told)
    if load.queued > QUEUED_SHARE_MAX * load.outstanding:
        return Held(f"{load.queued} requests wait")
    if spec.stabilisation_window_seconds <= 0:
        return Lowered(carry, best.told)
    share, pause_seconds = SHARE_PER_STEP, STEP_SECONDS
    if quick.is_quick(spec):
        share, pause_seconds = quick.STEP_SHARE, float(spec.stabilisation_window_seconds)
    down_at = state.backoff.down_at
    if down_at is not None and now - down_at < pause_seconds:
        return Held(f"the last step down was {now - down_at:.0f} s ago, not yet {pause_seconds:.0f} s")
    step = max(int(desired * share), 1)
    return Lowered(max(carry, desired - step), best.told)


@dataclass(frozen=True, slots=True)
class _Carried:
    """What must be carried, not rounded, and how it is told."""

    need: float
    told: str


def _by_minutes(state: PolicyState, scene: Scene, window: Windows) -> _Carried | Held:
    """The highest need of the window, by what each look tells of a minute."""
    now = scene.now
    good_seconds = _good_seconds(state, now)
    if good_seconds < window.plain_seconds:
        return Held(f"{good_seconds:.0f} s of good news, not yet {window.plain_seconds:.0f} s", blind=True)
    peak, seconds = max(
        (state.peaks.highest(now - window.plain_seconds), window.plain_seconds),
        (state.lasting.highest(now - window.lasting_seconds), window.lasting_seconds),
        (
            min(state.lasting.highest(now - window.held_seconds), SURVIVORS_SHARE * state.holding.replicas),
            window.held_seconds,
        ),
    )
    return _Carried(peak / SURVIVORS_SHARE, f"{peak:.2f} were needed within {seconds:.0f} s")


def _by_seconds(state: PolicyState, scene: Scene, spec: Scaling) -> _Carried | Held | None:
    """The highest need of a short window, by the busiest seconds that each look tells of; None where minutes decide alone."""
    window = quick.quick(state.backoff, scene, spec)
    if window is None:
        return None
    good_seconds = _good_seconds(state, scene.now)
    if good_seconds < window.news_seconds:
        return Held(f"{good_seconds:.0f} s of good news, not yet {window.news_seconds:.0f} s", blind=True)
    peak = state.quick.highest(scene.now - window.window_seconds)
    told = f"{peak:.2f} were needed in the busiest 5 s of {window.news_seconds:.0f} s"
    return _Carried(peak / quick.SURVIVORS_SHARE, told)


def _good_seconds(state: PolicyState, now: float) -> float:
    return now - state.valid_since if state.valid_since is not None else 0.0
