"""`spec.autoscaling` and Hostler's scaling, both ways.

Run:ai scales by one metric with a threshold of which 70 % counts by default, but for the latency; Hostler by a list of targets.
A list that one metric can't say reads as none there.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hostler_api.dialects.runai.bodies import AutoscalingBody
from hostler_api.requests import ScalingRequest, TargetRequest
from hostler_domain.errors import FieldError
from hostler_domain.scaling import Scaling, ScalingMetric

METRICS: Mapping[str, ScalingMetric] = MappingProxyType(
    {
        "throughput": ScalingMetric.THROUGHPUT,
        "concurrency": ScalingMetric.CONCURRENCY,
        "latency": ScalingMetric.LATENCY_P95,
    }
)
_NAMES = {metric: name for name, metric in METRICS.items()}
DEFAULT_PERCENTAGE = 70


def scaling_request(body: AutoscalingBody, errors: list[FieldError]) -> ScalingRequest:
    """The native request that says the same; mistakes that only this dialect can see go to `errors`."""
    minimum = 1 if body.min_replicas is None else body.min_replicas
    maximum = max(minimum, 1) if body.max_replicas is None else body.max_replicas
    if body.concurrency_hard_limit:
        errors.append(
            FieldError(
                "autoscaling.concurrencyHardLimit",
                "can't be had: routers queue, only 0 (no limit) is possible",
            )
        )
    retention = body.scale_to_zero_retention_seconds
    if retention and minimum > 0:
        errors.append(FieldError("autoscaling.scaleToZeroRetentionSeconds", "needs minReplicas 0"))
        retention = None
    return ScalingRequest(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=body.initial_replicas,
        activation_replicas=body.activation_replicas,
        targets=_targets(body, minimum, maximum, errors),
        stabilisation_window_seconds=300
        if body.scale_down_delay_seconds is None
        else body.scale_down_delay_seconds,
        scale_to_zero_after_seconds=retention or None,
    )


def autoscaling_body(scaling: Scaling) -> AutoscalingBody:
    """What a job's scaling reads as."""
    target = scaling.targets[0] if len(scaling.targets) == 1 else None
    if target is not None and not float(target.threshold).is_integer():
        target = None
    latency = target is not None and target.metric is ScalingMetric.LATENCY_P95
    if target is not None and latency and target.percentage != 100:
        target = None
    return AutoscalingBody(
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        initial_replicas=scaling.initial_replicas,
        activation_replicas=scaling.activation_replicas,
        metric=None if target is None else _NAMES[target.metric],
        metric_threshold=None if target is None else int(target.threshold),
        metric_threshold_percentage=None if target is None or latency else target.percentage,
        concurrency_hard_limit=0,
        scale_down_delay_seconds=scaling.stabilisation_window_seconds,
        # Natively there is no upper bound; what does not fit reads as the most that does.
        scale_to_zero_retention_seconds=min(scaling.scale_to_zero_after_seconds or 0, 3600)
        if scaling.min_replicas == 0
        else None,
    )


def _targets(
    body: AutoscalingBody, minimum: int, maximum: int, errors: list[FieldError]
) -> tuple[TargetRequest, ...]:
    def wrong(field: str, message: str) -> tuple[TargetRequest, ...]:
        errors.append(FieldError(f"autoscaling.{field}", message))
        return ()

    percentage = body.metric_threshold_percentage
    if body.metric is None:
        if body.metric_threshold is not None:
            return wrong("metric", "is needed with metricThreshold")
        if percentage not in (None, DEFAULT_PERCENTAGE):
            return wrong("metric", "is needed with metricThresholdPercentage")
        if minimum < maximum and (minimum, maximum) != (0, 1):
            return wrong("metric", f"is needed to go from {minimum} to {maximum} replicas")
        return ()
    metric = METRICS.get(body.metric)
    if metric is None:
        return wrong("metric", f"must be one of {', '.join(METRICS)}; custom metrics can't be had")
    if body.metric_threshold is None:
        return wrong("metricThreshold", f"is needed with the metric {body.metric}")
    if metric is ScalingMetric.LATENCY_P95:
        if percentage not in (None, DEFAULT_PERCENTAGE):
            return wrong("metricThresholdPercentage", "goes with throughput and concurrency only")
        percentage = 100
    elif percentage is None:
        percentage = DEFAULT_PERCENTAGE
    elif not float(percentage).is_integer():
        return wrong("metricThresholdPercentage", f"must be a whole number, got {percentage:g}")
    return (TargetRequest(metric=metric, threshold=float(body.metric_threshold), percentage=int(percentage)),)
