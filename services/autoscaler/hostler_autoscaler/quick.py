"""Steps down within seconds, for a job whose stabilisation window is shorter than a minute.

Whoever sets such a window wishes for quick steps. A look tells of a minute, in which a load that has gone can't be told from one that swings;
so for such a job the busiest 5 s of the last 20 count as well. Load that was there in any 5 s of them is there; load that was in none of them
is gone, whatever the minute says. Swings of up to 12 s each way have a busy 5 s in any 20, and move nothing.

Pure; `decide` asks it where the routers' reports tell of so short a time.
"""

from dataclasses import dataclass, replace

from hostler_autoscaler.backoff import MILD_LEVEL_MAX, Backoff
from hostler_autoscaler.demand import HIGH_SECONDS, Demand
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene
from hostler_domain.scaling import Scaling

BELOW_SECONDS = 60
"""Windows from here on have time for the minute."""
OFTEN_SECONDS = 5.0
"""Who looks more seldom than that may miss for minutes the surges that come each minute, and then their return is no regret."""
LOOK_SECONDS = 20.0
"""What the busiest 5 s are of."""
SURVIVORS_SHARE = 0.8
"""Of what they can, those that stay must carry the busiest 5 s with: fewer that go are a matter of the minute, which chance moves less."""
REGRET_SECONDS = 60.0
"""Load that is back is noticed at once only if it is much; else by the minute, and the step down is regretted then as well."""
STEP_SHARE = 0.5
"""At most a half at a time, once a window."""
STEP_SECONDS_MIN = 1.0
"""Needs of so short a time become one."""


@dataclass(frozen=True, slots=True)
class Quick:
    """For how long needs of seconds are remembered, and for how long good news must have come."""

    window_seconds: float

    @property
    def news_seconds(self) -> float:
        """The seconds that the first need of the window looks back on, and the window."""
        return LOOK_SECONDS + self.window_seconds


def is_quick(spec: Scaling) -> bool:
    """Whether a job wishes for quick steps down."""
    return spec.stabilisation_window_seconds < BELOW_SECONDS


def honoured(spec: Scaling, *, tick_seconds: float) -> Scaling:
    """What can be gone by with a look each `tick_seconds`: where that is seldom, a short window counts as a minute."""
    if not is_quick(spec) or tick_seconds <= OFTEN_SECONDS:
        return spec
    return replace(spec, stabilisation_window_seconds=BELOW_SECONDS)


def regretted_seconds(spec: Scaling) -> float:
    """The time that regrets double: all that a step down looks back on."""
    return LOOK_SECONDS + spec.stabilisation_window_seconds


def quick(backoff: Backoff, scene: Scene, spec: Scaling) -> Quick | None:
    """The window that holds now, which only regrets lengthen; None where minutes decide."""
    if not is_quick(spec) or scene.load.rps_high is None:
        return None
    alone = regretted_seconds(spec)
    # A window that was longer until now may have been regretted more.
    regretted = min(backoff.window_seconds(scene.now, alone), 2**MILD_LEVEL_MAX * alone)
    return Quick(max(regretted - LOOK_SECONDS, 0.0))


def remembered(state: PolicyState, scene: Scene, spec: Scaling, *, need: float) -> PolicyState:
    """With a need of the busiest seconds."""
    window = quick(state.backoff, scene, spec)
    if window is None:
        return state if not state.quick.entries else replace(state, quick=Peaks())
    return replace(
        state,
        quick=state.quick.with_need(
            scene.now,
            need,
            horizon_seconds=window.window_seconds,
            step_seconds_min=STEP_SECONDS_MIN,
        ),
    )


def busiest(scene: Scene) -> Scene:
    """What the considerations would look at if the busiest seconds went on."""
    sensed = scene.sensed
    rate = scene.demand.rps if sensed.rate_high is None else sensed.rate_high
    outstanding = sensed.outstanding if sensed.outstanding_high is None else sensed.outstanding_high
    return replace(
        scene,
        demand=Demand(rate, HIGH_SECONDS, 0.0, rate),
        sensed=replace(sensed, outstanding=outstanding),
    )
