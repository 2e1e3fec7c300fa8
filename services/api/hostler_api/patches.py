"""Changes to a job as users write them (a JSON merge patch, RFC 7396), and the spec they lead to.

What is left out stays as it is; null gives a field its default back. Pure; it collects every mistake instead of stopping at the
first.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from hostler_api.numbers import Number, Priority, Whole
from hostler_api.request_body import RequestBody
from hostler_api.requests import Known, ShadowRequest, TargetRequest, priority_of, shadow_of
from hostler_api.routing import RoutingPatch, patched_routing
from hostler_api.schedules import WindowRequest, calendar_errors, windows_of
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.job import EndpointAuth, Job, JobSpec, Serving, Timeouts
from hostler_domain.kinds import DEFAULTS
from hostler_domain.lifecycle import update_errors
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget


def _refuse(value: object) -> object:
    del value  # whatever it is
    raise PydanticCustomError("immutable", "can't be changed; make a new job")


Fixed = Annotated[None, BeforeValidator(_refuse), Field(description="Can't be changed.")]


class ScalingPatch(RequestBody):
    """Bounds and targets. `targets`, `schedule` and `shadow` are replaced as a whole."""

    min_replicas: Whole | None = None
    max_replicas: Whole | None = None
    initial_replicas: Whole | None = None
    activation_replicas: Whole | None = None
    targets: tuple[TargetRequest, ...] | None = None
    stabilisation_window_seconds: Whole | None = None
    scale_to_zero_after_seconds: Whole | None = None
    mode: ScalingMode | None = None
    schedule: tuple[WindowRequest, ...] | None = Field(default=None, max_length=100)
    shadow: ShadowRequest | None = None


class ServingPatch(RequestBody):
    """Arguments and environment of the runtime, name by name; null takes one away."""

    args: Mapping[str, str | None] | None = Field(default=None, max_length=100)
    env: Mapping[str, str | None] | None = Field(default=None, max_length=100)


class TimeoutsPatch(RequestBody):
    """How long to wait, in seconds."""

    initialization_seconds: Whole | None = None
    request_seconds: Whole | None = None


class JobPatch(RequestBody):
    """What shall be different. A change of what replicas are made from replaces them one at a time; others replace none."""

    scaling: ScalingPatch | None = None
    target_rps: Number | None = None
    target_latency_p95_ms: Number | None = None
    serving: ServingPatch | None = None
    labels: Mapping[str, str | None] | None = Field(default=None, max_length=64)
    priority: Priority | None = None
    timeouts: TimeoutsPatch | None = None
    hardware_profile: str | None = Field(default=None, max_length=63)
    gpu_count: Whole | None = None
    runtime_image: str | None = Field(default=None, max_length=500)
    endpoint_auth: EndpointAuth | None = None
    routing: RoutingPatch | None = None
    name: Fixed = None
    project: Fixed = None
    model: Fixed = None
    runtime: Fixed = None
    kind: Fixed = None
    ssh_keys: Fixed = None
    location: Fixed = None
    locations: Fixed = None
    preemptible: Fixed = None
    root_disk_gb: Fixed = None
    hf_token: Fixed = None


def patched_spec(job: Job, patch: JobPatch, known: Known) -> JobSpec:
    """The spec of `job` with `patch` applied.

    Raises:
        InvalidFields: something in it makes no sense; all of it is named.
    """
    errors: list[FieldError] = []
    spec, master, given = job.spec, job.master, patch.model_fields_set
    profile = spec.hardware_profile
    if "hardware_profile" in given:
        profile = patch.hardware_profile or (master.hardware_profile if master else None) or ""
        if profile not in known.profiles:
            errors.append(
                FieldError(
                    "hardware_profile", f"must be one of {', '.join(sorted(known.profiles))}, got {profile!r}"
                )
            )
    image = spec.runtime_image
    if "runtime_image" in given:
        image = patch.runtime_image or (master.runtime_image if master else None)
    patched = JobSpec(
        name=spec.name,
        project=spec.project,
        model=spec.model,
        runtime=spec.runtime,
        runtime_image=image,
        serving=_serving(job, patch, given),
        hardware_profile=profile,
        gpu_count=_gpu_count(job, patch, profile, known),
        scaling=_scaling(spec.scaling, patch, errors),
        location=spec.location,
        locations=spec.locations,
        kind=spec.kind,
        ssh_keys=spec.ssh_keys,
        labels=_merged(spec.labels, patch.labels, {}) if "labels" in given else spec.labels,
        priority=priority_of(patch.priority, DEFAULTS[spec.kind].priority, errors)
        if "priority" in given
        else spec.priority,
        preemptible=spec.preemptible,
        endpoint_auth=(patch.endpoint_auth or EndpointAuth.KEY)
        if "endpoint_auth" in given
        else spec.endpoint_auth,
        timeouts=_timeouts(spec.timeouts, patch.timeouts) if "timeouts" in given else spec.timeouts,
        hf_token_secret=spec.hf_token_secret,
        external=spec.external,
        root_disk_gb=spec.root_disk_gb,
        routing=patched_routing(spec.routing, patch.routing) if "routing" in given else spec.routing,
    )
    errors.extend(update_errors(job, patched))
    errors.extend(calendar_errors(patched.scaling.schedule))
    if errors:
        raise InvalidFields(*errors)
    return patched


def _gpu_count(job: Job, patch: JobPatch, profile: str, known: Known) -> int:
    if patch.gpu_count is not None:
        return patch.gpu_count
    if profile == job.spec.hardware_profile and "gpu_count" not in patch.model_fields_set:
        return job.spec.gpu_count
    # Another kind of machine has another number of GPUs, unless the user says how many.
    found = known.profiles.get(profile)
    if found is None or found.gpu_model is None:
        return 0
    return max(job.spec.gpu_count, job.master.gpu_count if job.master else 0, 1)


def _serving(job: Job, patch: JobPatch, given: set[str]) -> Serving:
    before = job.spec.serving
    if "serving" not in given:
        return before
    wanted, master = patch.serving, job.master
    default_args = master.merged_args({}) if master else {}
    default_env = dict(master.env) if master else {}
    if wanted is None:
        return Serving(default_args, default_env)
    return Serving(
        args=_merged(before.args, wanted.args, default_args)
        if "args" in wanted.model_fields_set
        else before.args,
        env=_merged(before.env, wanted.env, default_env) if "env" in wanted.model_fields_set else before.env,
    )


def _merged(
    before: Mapping[str, str], given: Mapping[str, str | None] | None, defaults: Mapping[str, str]
) -> dict[str, str]:
    if given is None:
        return dict(defaults)
    kept = {name: value for name, value in before.items() if name not in given}
    back = {name: defaults[name] for name, value in given.items() if value is None and name in defaults}
    return kept | back | {name: value for name, value in given.items() if value is not None}


def _timeouts(before: Timeouts, given: TimeoutsPatch | None) -> Timeouts:
    default = Timeouts()
    if given is None:
        return default
    names = given.model_fields_set
    return Timeouts(
        initialization_seconds=_or(given.initialization_seconds, default.initialization_seconds)
        if "initialization_seconds" in names
        else before.initialization_seconds,
        request_seconds=_or(given.request_seconds, default.request_seconds)
        if "request_seconds" in names
        else before.request_seconds,
    )


def _scaling(before: Scaling, patch: JobPatch, errors: list[FieldError]) -> Scaling:
    given = patch.scaling or ScalingPatch()
    names = given.model_fields_set
    default = Scaling()
    if "scaling" in patch.model_fields_set and patch.scaling is None:
        before = default
    minimum = _or(
        given.min_replicas, default.min_replicas if "min_replicas" in names else before.min_replicas
    )
    at_least_one = max(minimum, 1)
    maximum = _or(given.max_replicas, at_least_one if "max_replicas" in names else before.max_replicas)

    def within(value: int | None, kept: int, lowest: int) -> int:
        # What was not asked for follows the bounds; what was is left for the check, which names it.
        return min(max(kept, lowest), max(maximum, lowest)) if value is None else value

    return Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=within(given.initial_replicas, before.initial_replicas, minimum),
        activation_replicas=within(given.activation_replicas, before.activation_replicas, at_least_one),
        targets=_targets(before, patch, given, errors),
        stabilisation_window_seconds=_or(
            given.stabilisation_window_seconds,
            default.stabilisation_window_seconds
            if "stabilisation_window_seconds" in names
            else before.stabilisation_window_seconds,
        ),
        scale_to_zero_after_seconds=given.scale_to_zero_after_seconds
        if "scale_to_zero_after_seconds" in names
        else before.scale_to_zero_after_seconds,
        mode=given.mode or (default.mode if "mode" in names else before.mode),
        schedule=windows_of(given.schedule or ()) if "schedule" in names else before.schedule,
        shadow=shadow_of(given.shadow) if "shadow" in names else before.shadow,
    )


def _targets(
    before: Scaling, patch: JobPatch, given: ScalingPatch, errors: list[FieldError]
) -> tuple[ScalingTarget, ...]:
    targets = list(before.targets)
    whole = "targets" in given.model_fields_set
    if whole:
        targets = [
            ScalingTarget(each.metric, each.threshold, each.percentage) for each in given.targets or ()
        ]
    shorthands = (
        ("target_rps", ScalingMetric.THROUGHPUT, patch.target_rps),
        ("target_latency_p95_ms", ScalingMetric.LATENCY_P95, patch.target_latency_p95_ms),
    )
    for field, metric, threshold in shorthands:
        if field not in patch.model_fields_set:
            continue
        if whole:
            errors.append(FieldError(field, "can't be given together with scaling.targets"))
        elif threshold is not None and not threshold > 0:
            errors.append(FieldError(field, f"must be above 0, got {threshold:g}"))
        else:
            place = next((i for i, each in enumerate(targets) if each.metric is metric), len(targets))
            targets[place : place + 1] = [] if threshold is None else [ScalingTarget(metric, threshold)]
    return tuple(targets)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
