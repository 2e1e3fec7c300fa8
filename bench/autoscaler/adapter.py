"""Lets any simulator drive the real policy: `make(settings)` gives an object with `interval`, `reason` and `decide(obs) -> int | None`.

It translates what the simulator shows into the policy's own terms, keeps the policy's state, and reads nothing else: no clock, no files,
no environment. What `obs` lacks, and what is None in it, counts as unknown; in an outage (`metrics_ok` false) all of the load is.
"""

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
for _part in ("libs", "services/autoscaler"):
    # A simulator imports this from the root of a checkout, installed or not.
    if str(_ROOT / _part) not in sys.path:
        sys.path.append(str(_ROOT / _part))

from bench.autoscaler.boots import Boots  # noqa: E402  # the path comes first
from hostler_autoscaler.decide import decide  # noqa: E402  # the path comes first
from hostler_autoscaler.decision import Decision  # noqa: E402
from hostler_autoscaler.observation import LoadSignals, NoData, Observation  # noqa: E402
from hostler_autoscaler.policy_state import PolicyState  # noqa: E402
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget  # noqa: E402

INTERVAL_SECONDS = 10.0
"""Half of the 20 s over which a surge is seen."""
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Adapter:
    """The policy for one simulated job.

    Attributes:
        interval: Seconds from one question to the next.
        reason: Of the last answer, in a sentence.
        decision: The last answer with everything that was weighed.
        state: What the policy remembers.
    """

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = settings
        self._mode = _mode(settings.get("mode"))
        self._desired: int | None = None
        self._boots = Boots()
        self._lowered = False
        self.interval = _number(settings.get("interval")) or INTERVAL_SECONDS
        self.reason = ""
        self.decision: Decision | None = None
        self.state = PolicyState()

    def decide(self, obs: object) -> int | None:
        """How many replicas there shall be, starting ones included; in an outage as many as before."""
        observation = self._observation(obs)
        self.state, decision = decide(self.state, observation, self._spec(obs))
        self._lowered = decision.replicas < observation.desired
        self.decision, self.reason, self._desired = decision, decision.reason, decision.replicas
        return decision.replicas

    def _spec(self, obs: object) -> Scaling:
        minimum = int(self._told(obs, "min_replicas") or 0)
        maximum = int(self._told(obs, "max_replicas") or max(minimum, 1))
        targets = [
            ScalingTarget(metric, threshold)
            for metric, threshold in (
                (ScalingMetric.THROUGHPUT, self._told(obs, "target_rps")),
                (ScalingMetric.LATENCY_P95, self._told(obs, "target_latency_ms")),
            )
            if threshold
        ]
        window = self._told(obs, "stabilisation_s")
        return Scaling(
            min_replicas=minimum,
            max_replicas=maximum,
            initial_replicas=max(minimum, 1),
            activation_replicas=max(minimum, 1),
            targets=tuple(targets),
            stabilisation_window_seconds=300 if window is None else int(window),
            mode=self._mode,
        )

    def _observation(self, obs: object) -> Observation:
        found = getattr(obs, "starting_ages", None)
        ages = tuple(float(age) for age in found) if found else ()
        starting = int(_value(obs, "starting") or len(ages))
        ages += (0.0,) * (starting - len(ages))
        ready = int(_value(obs, "ready") or 0)
        now = _value(obs, "t") or 0.0
        if len(ages) == len(found or ()):
            # Without their ages nobody can tell one replica that starts from another.
            self._boots.seen(now, ready, ages, lowered=self._lowered)
        return Observation(
            now=_BEGIN + timedelta(seconds=now),
            desired=ready + starting if self._desired is None else self._desired,
            ready=ready,
            load=self.load(obs),
            starting_ages=ages,
            draining=int(_value(obs, "draining") or 0),
            cold_start_seconds=self._told(obs, "cold_start_s"),
            failed_boots=self._boots.failed,
            launches=self._boots.launches,
        )

    def load(self, obs: object) -> LoadSignals | NoData:
        """What is asked of the job, and how it is answered."""
        return _load(obs)

    def _told(self, obs: object, name: str) -> float | None:
        """What is said with each question, or was said once in the settings."""
        value = _value(obs, name)
        return _number(self._settings.get(name)) if value is None else value


def make(settings: object = None) -> Adapter:
    """A policy that knows nothing yet.

    Args:
        settings: A mapping, or an object with attributes; may have `mode` ("target" or "slo") and `interval` in seconds.
    """
    if settings is None:
        return Adapter({})
    return Adapter(settings if isinstance(settings, Mapping) else vars(settings))


def _load(obs: object) -> LoadSignals | NoData:
    rps, in_flight = _value(obs, "rps"), _value(obs, "in_flight")
    if getattr(obs, "metrics_ok", True) is False or rps is None or in_flight is None:
        return NoData("no metrics")
    return LoadSignals(
        rps=rps,
        in_flight=int(in_flight),
        queued=int(_value(obs, "queued") or 0),
        rps_20=_over(obs, "rps_over", 20.0),
        concurrency=_over(obs, "concurrency_over", 60.0),
        concurrency_20=_over(obs, "concurrency_over", 20.0),
        queue_age_seconds=_value(obs, "queue_age_s"),
        completions=int(_value(obs, "completions") or 0),
        p50_ms=_value(obs, "p50_ms"),
        p95_ms=_value(obs, "p95_ms"),
        token_ms=_value(obs, "token_ms"),
        kv_utilisation=_value(obs, "kv_util"),
    )


def _mode(told: object) -> ScalingMode:
    try:
        return ScalingMode(str(told))
    except ValueError:
        return ScalingMode.TARGET


def _value(obs: object, name: str) -> float | None:
    return _number(getattr(obs, name, None))


def _over(obs: object, name: str, seconds: float) -> float | None:
    method = getattr(obs, name, None)
    return _number(method(seconds)) if callable(method) else None


def _number(found: object) -> float | None:
    """A number that is one; whatever else, as a library's own kinds of number, is asked for its value."""
    if found is None or isinstance(found, str):
        return None
    value = float(found)  # type: ignore[arg-type]  # a simulator's own; what is no number is its mistake and shall be seen
    return value if math.isfinite(value) else None
