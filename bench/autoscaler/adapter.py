"""Lets any simulator drive the real policy: `make(settings)` gives an object with `interval`, `reason` and `decide(obs) -> int | None`.

It translates what the simulator shows into the policy's own terms, keeps the policy's state, and reads nothing else: no clock, no files,
no environment. What `obs` must have is told in issue terms by `Seen`; what is missing or None counts as unknown.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
for _part in ("libs", "services/autoscaler"):
    # A simulator imports this from the root of a checkout, installed or not.
    if str(_ROOT / _part) not in sys.path:
        sys.path.append(str(_ROOT / _part))

from hostler_autoscaler.decide import decide  # noqa: E402  # the path comes first
from hostler_autoscaler.observation import LoadSignals, NoData, Observation  # noqa: E402
from hostler_autoscaler.policy_state import PolicyState  # noqa: E402
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget  # noqa: E402

INTERVAL_SECONDS = 10.0
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Adapter:
    """The policy for one simulated job."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.interval = float(settings.get("interval") or INTERVAL_SECONDS)
        self.mode = ScalingMode(settings.get("mode") or ScalingMode.TARGET)
        self.reason = ""
        self.decision = None
        self.state = PolicyState()
        self._desired: int | None = None

    def decide(self, obs: Any) -> int | None:
        """How many replicas there shall be; None in an outage, to keep what there is."""
        observation = self._observation(obs)
        self.state, decision = decide(self.state, observation, self._spec(obs))
        self.reason = decision.reason
        self.decision = decision
        self._desired = decision.replicas
        return decision.replicas

    def _spec(self, obs: Any) -> Scaling:
        minimum, maximum = int(obs.min_replicas), int(obs.max_replicas)
        targets = []
        rps, latency = _value(obs, "target_rps"), _value(obs, "target_latency_ms")
        if rps:
            targets.append(ScalingTarget(ScalingMetric.THROUGHPUT, rps))
        if latency:
            targets.append(ScalingTarget(ScalingMetric.LATENCY_P95, latency))
        stabilisation = _value(obs, "stabilisation_s")
        return Scaling(
            min_replicas=minimum,
            max_replicas=maximum,
            initial_replicas=max(minimum, 1),
            activation_replicas=max(minimum, 1),
            targets=tuple(targets),
            stabilisation_window_seconds=300 if stabilisation is None else int(stabilisation),
            mode=self.mode,
        )

    def _observation(self, obs: Any) -> Observation:
        ages = tuple(getattr(obs, "starting_ages", None) or ())
        starting = int(getattr(obs, "starting", None) or len(ages))
        ages += (0.0,) * (starting - len(ages))
        ready = int(obs.ready)
        return Observation(
            now=_BEGIN + timedelta(seconds=float(obs.t)),
            desired=ready + starting if self._desired is None else self._desired,
            ready=ready,
            load=self._load(obs),
            starting_ages=ages,
            draining=int(getattr(obs, "draining", None) or 0),
            cold_start_seconds=_value(obs, "cold_start_s"),
        )

    def _load(self, obs: Any) -> LoadSignals | NoData:
        if not getattr(obs, "metrics_ok", True):
            return NoData("no metrics")
        rps = _value(obs, "rps")
        in_flight, queued = _value(obs, "in_flight"), _value(obs, "queued")
        if rps is None or in_flight is None:
            return NoData("no metrics")
        return LoadSignals(
            rps=rps,
            in_flight=int(in_flight),
            queued=int(queued or 0),
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


def make(settings: Mapping[str, Any] | None = None) -> Adapter:
    """A policy that knows nothing yet; `settings` may have `mode` ("target" or "slo") and `interval`."""
    return Adapter(settings or {})


def _value(obs: Any, name: str) -> float | None:
    found = getattr(obs, name, None)
    return None if found is None else float(found)


def _over(obs: Any, name: str, seconds: float) -> float | None:
    method = getattr(obs, name, None)
    found = method(seconds) if callable(method) else None
    return None if found is None else float(found)
