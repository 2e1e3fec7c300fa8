"""A change of a workload as the native patch that says the same. Pure.

What is left out or null stays as it is; lists and `args` are replaced as a whole.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from hostler_api.dialects.runai.arguments import environment, parsed_args
from hostler_api.dialects.runai.autoscaling import autoscaling_body, scaling_request
from hostler_api.dialects.runai.bodies import AutoscalingBody, UpdateSpecBody
from hostler_api.dialects.runai.creation import (
    CATEGORY_LABEL,
    category_error,
    hf_token,
    native_errors,
    preemptible_of,
    priority_of,
)
from hostler_api.dialects.runai.hardware import compute_body, machine
from hostler_api.dialects.runai.refusals import refused_fields
from hostler_api.dialects.runai.workloads import category_of
from hostler_api.patches import JobPatch
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.job import Job

_BOUNDS = ("min_replicas", "max_replicas", "initial_replicas", "activation_replicas")


def job_patch(job: Job, spec: UpdateSpecBody, profiles: Mapping[str, HardwareProfile]) -> JobPatch:
    """The native patch for `job`.

    Raises:
        InvalidFields: something in it makes no sense or can't be had; all of it is named, by its path in `spec`.
    """
    errors = list(refused_fields(spec))
    given: dict[str, object] = {}
    if spec.autoscaling is not None:
        given["scaling"] = _scaling(job, spec.autoscaling, errors)
    serving = _serving(job, spec, errors)
    if serving:
        given["serving"] = serving
    given |= _machine(job, spec, profiles, errors)
    if spec.image is not None:
        given["runtime_image"] = spec.image
    if spec.priority_class is not None:
        given["priority"] = priority_of(spec.priority_class, errors)
    if (
        spec.preemptibility is not None
        and preemptible_of(spec.preemptibility, errors) != job.spec.preemptible
    ):
        errors.append(FieldError("preemptibility", "can't be changed; make a new workload"))
    wrong = category_error(spec.category)
    if wrong is not None:
        errors.append(wrong)
    elif spec.category not in (None, category_of(job.spec)):
        given["labels"] = {CATEGORY_LABEL: spec.category}
    timeouts = spec.serving_configuration
    if timeouts is not None:
        seconds = {
            "initialization_seconds": timeouts.initialization_timeout_seconds,
            "request_seconds": timeouts.request_timeout_seconds,
        }
        given["timeouts"] = {name: value for name, value in seconds.items() if value is not None}
    if errors:
        raise InvalidFields(*errors)
    try:
        return JobPatch.model_validate(given)
    except ValidationError as error:
        raise InvalidFields(*native_errors(error)) from None


def _scaling(job: Job, body: AutoscalingBody, errors: list[FieldError]) -> dict[str, object]:
    before = job.spec.scaling
    present = autoscaling_body(before)
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    metric_given = {"metric", "metric_threshold", "metric_threshold_percentage"} & given.keys()
    if body.metric in (None, present.metric):
        # Of a metric that stays, what is not given stays as well.
        kept = {
            "metric": present.metric,
            "metric_threshold": present.metric_threshold,
            "metric_threshold_percentage": present.metric_threshold_percentage,
        }
    else:
        kept = {}
    bounds = {"min_replicas": before.min_replicas, "max_replicas": before.max_replicas}
    wanted = AutoscalingBody.model_construct(**{**AutoscalingBody().model_dump(), **bounds, **kept, **given})
    # A list of targets that this dialect can't say stays as it is, unless a metric takes its place.
    unsayable = bool(before.targets) and present.metric is None and not metric_given
    found: list[FieldError] = []
    request = scaling_request(wanted, found)
    errors.extend(each for each in found if not (unsayable and each.field == "autoscaling.metric"))
    patch: dict[str, object] = {name: given[name] for name in _BOUNDS if name in given}
    if metric_given:
        patch["targets"] = request.targets
    if "scale_down_delay_seconds" in given:
        patch["stabilisation_window_seconds"] = request.stabilisation_window_seconds
    if "scale_to_zero_retention_seconds" in given or wanted.min_replicas:
        patch["scale_to_zero_after_seconds"] = request.scale_to_zero_after_seconds
    return patch


def _serving(job: Job, spec: UpdateSpecBody, errors: list[FieldError]) -> dict[str, object]:
    serving: dict[str, object] = {}
    if spec.args is not None:
        known = {**(job.master.parameters if job.master else {}), **job.spec.serving.args}
        arguments = parsed_args(spec.args, known)
        errors.extend(arguments.errors)
        if arguments.model not in (None, job.spec.model):
            errors.append(FieldError("args", "the model can't be changed; make a new workload"))
        serving["args"] = _replaced(job.spec.serving.args, arguments.options)
    if spec.environment_variables is not None:
        variables = environment(spec.environment_variables, errors)
        if hf_token(variables) is not None:
            errors.append(
                FieldError("environmentVariables", "the token can't be changed; make a new workload")
            )
        serving["env"] = _replaced(job.spec.serving.env, variables)
    return serving


def _replaced(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """The merge patch that leads from one mapping to another."""
    gone: dict[str, str | None] = {name: None for name in before if name not in after}
    return gone | dict(after)


def _machine(
    job: Job, spec: UpdateSpecBody, profiles: Mapping[str, HardwareProfile], errors: list[FieldError]
) -> dict[str, object]:
    # What reads like the present machine is sent back by whoever changes something else, and asks for nothing.
    compute = None if spec.compute == compute_body(job.spec, profiles) else spec.compute
    pools = None if spec.node_pools == (job.spec.hardware_profile,) else spec.node_pools
    if compute is None and pools is None and spec.node_type is None:
        return {}
    if compute is not None and compute.gpu_devices_request is None and compute.gpu_portion_request is None:
        compute = compute.model_copy(update={"gpu_devices_request": job.spec.gpu_count})
    wanted = machine(compute, pools, spec.node_type, job.spec.hardware_profile, profiles, errors)
    given: dict[str, object] = {}
    if wanted.profile is not None:
        given["hardware_profile"] = wanted.profile
    if wanted.gpu_count is not None:
        given["gpu_count"] = wanted.gpu_count
    return given
