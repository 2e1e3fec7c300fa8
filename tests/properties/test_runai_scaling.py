"""What a job's scaling reads as in Run:ai's words says the same when it comes back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hostler_api.dialects.runai.autoscaling import autoscaling_body, scaling_request
from hostler_api.dialects.runai.bodies import AutoscalingBody, UpdateSpecBody
from hostler_api.dialects.runai.updates import job_patch
from hostler_api.patches import patched_spec
from hostler_api.requests import Known
from hostler_api.shipped import HARDWARE_PROFILES, RUNTIMES
from hostler_domain.errors import FieldError
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget, scaling_errors
from tests.support.builders import created, fold

PROFILES = {profile.name: profile for profile in HARDWARE_PROFILES}


@st.composite
def sayable(draw: st.DrawFn) -> Scaling:
    """Scaling that Run:ai has words for, and that makes sense."""
    minimum = draw(st.integers(0, 50))
    maximum = draw(st.integers(max(minimum, 1), 60))
    metric = draw(st.sampled_from(ScalingMetric))
    if minimum == 0 and metric is ScalingMetric.LATENCY_P95:
        metric = ScalingMetric.CONCURRENCY
    percentage = 100 if metric is ScalingMetric.LATENCY_P95 else draw(st.integers(1, 100))
    target = ScalingTarget(metric, float(draw(st.integers(1, 10**6))), percentage)
    free = minimum == maximum or (minimum, maximum) == (0, 1)
    return Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=draw(st.integers(minimum, maximum)),
        activation_replicas=draw(st.integers(max(minimum, 1), maximum)),
        targets=() if free and draw(st.booleans()) else (target,),
        stabilisation_window_seconds=draw(st.integers(0, 3600)),
        scale_to_zero_after_seconds=draw(st.none() | st.integers(1, 3600)) if minimum == 0 else None,
    )


@given(sayable())
def test_scaling_survives_the_way_there_and_back(scaling: Scaling) -> None:
    assert list(scaling_errors(scaling)) == []
    written = autoscaling_body(scaling).model_dump_json(by_alias=True)
    errors: list[FieldError] = []
    request = scaling_request(AutoscalingBody.model_validate_json(written), errors)
    assert errors == []
    found = Scaling(
        min_replicas=request.min_replicas,
        max_replicas=request.max_replicas or 0,
        initial_replicas=-1 if request.initial_replicas is None else request.initial_replicas,
        activation_replicas=request.activation_replicas or 0,
        targets=tuple(
            ScalingTarget(each.metric, each.threshold, each.percentage) for each in request.targets
        ),
        stabilisation_window_seconds=request.stabilisation_window_seconds,
        scale_to_zero_after_seconds=request.scale_to_zero_after_seconds,
    )
    assert found == scaling


@given(sayable(), sayable())
def test_a_patch_to_any_scaling_leads_there_from_any_other(before: Scaling, after: Scaling) -> None:
    if not after.targets:
        # A metric can't be taken away in Run:ai's words: null means that it stays.
        after = replace(after, targets=before.targets)
        if list(scaling_errors(after)):
            return
    job = fold(created(scaling=before))
    written = autoscaling_body(after).model_dump_json(by_alias=True)
    update = UpdateSpecBody(autoscaling=AutoscalingBody.model_validate_json(written))
    spec = patched_spec(job, job_patch(job, update, PROFILES), Known(None, PROFILES, RUNTIMES))
    assert spec.scaling == after
