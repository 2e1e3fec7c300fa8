"""The highest need of any recent time, in little space: only what nothing later has exceeded is kept."""

from dataclasses import dataclass

STEP_SECONDS_MIN = 5
STEPS_MAX = 48


@dataclass(frozen=True, slots=True)
class Peaks:
    """(second, need) by rising second and falling need."""

    entries: tuple[tuple[float, float], ...] = ()

    def with_need(
        self,
        now: float,
        need: float,
        *,
        horizon_seconds: float,
        step_seconds_min: float = STEP_SECONDS_MIN,
    ) -> "Peaks":
        """With the need of now, and without what is older than the horizon.

        Needs of one step of time become one, the highest at the time of the latest, so a scale-down may come a step late, never early.
        """
        step = max(step_seconds_min, horizon_seconds / STEPS_MAX)
        oldest = now - horizon_seconds - step
        need = float(f"{need:.4g}")
        kept = [entry for entry in self.entries if entry[0] > oldest and entry[1] > need]
        if kept and now // step == kept[-1][0] // step:
            kept[-1] = (now, kept[-1][1])
        else:
            kept.append((now, need))
        return Peaks(tuple(kept))

    def highest(self, since: float) -> float:
        """The highest need since then; 0 of none."""
        return next((need for at, need in self.entries if at >= since), 0.0)
