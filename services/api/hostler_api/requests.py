"""Bodies of requests as users write them, and how they become the domain's records.

`job_spec` is where a request, the model master and the defaults meet: what the user gave goes first, then the master's
recommendation, then the default. It is pure; it collects every mistake instead of stopping at the first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, SecretStr

from hostler_api.numbers import Flag, Number, Priority, Whole
from hostler_api.request_body import RequestBody
from hostler_api.routing import RoutingRequest, routing_of
from hostler_api.schedules import WindowRequest, calendar_errors, windows_of
from hostler_domain.catalogue import HardwareProfile, ModelMaster
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.external import EXTERNAL, ExternalServers, base_address
from hostler_domain.job import EndpointAuth, JobSpec, Serving, Timeouts
from hostler_domain.kinds import DEFAULTS, MACHINE, JobKind
from hostler_domain.priorities import PRIORITY_CLASSES
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget, ShadowScaling
from hostler_domain.spec_rules import spec_errors

DEFAULT_HARDWARE_PROFILE = "gpu.a100"
NAME_LENGTH_MAX = 63


class TargetRequest(RequestBody):
    """One scaling target."""

    metric: ScalingMetric
    threshold: Number
    percentage: Whole = 100


class ShadowRequest(RequestBody):
    """What a second policy goes by, whose decisions are written down and not carried out; what is left out is as the job has it."""

    targets: tuple[TargetRequest, ...] | None = Field(default=None, max_length=10)
    stabilisation_window_seconds: Whole | None = None
    mode: ScalingMode | None = None


class ScalingRequest(RequestBody):
    """Bounds and targets; what is left out follows from `min_replicas`."""

    min_replicas: Whole = 1
    max_replicas: Whole | None = None
    initial_replicas: Whole | None = None
    activation_replicas: Whole | None = None
    targets: tuple[TargetRequest, ...] = ()
    stabilisation_window_seconds: Whole = 300
    scale_to_zero_after_seconds: Whole | None = None
    mode: ScalingMode = ScalingMode.TARGET
    schedule: tuple[WindowRequest, ...] = Field(
        default=(), max_length=100, description="Windows of time in which narrower bounds hold."
    )
    shadow: ShadowRequest | None = None


class ServingRequest(RequestBody):
    """Arguments and environment of the runtime."""

    args: Mapping[str, str] = Field(default_factory=dict, max_length=100)
    env: Mapping[str, str] = Field(default_factory=dict, max_length=100)


class TimeoutsRequest(RequestBody):
    """How long to wait, in seconds."""

    initialization_seconds: Whole = 1800
    request_seconds: Whole = 600


class ExternalRequest(RequestBody):
    """Servers that run already, for the runtime `external`."""

    endpoints: tuple[str, ...] = Field(max_length=100, examples=[["http://10.0.0.5:8000/v1"]])
    served_model: str | None = Field(
        default=None, min_length=1, max_length=512, description="What they call the model; its id by default."
    )
    api_key: SecretStr | None = Field(
        default=None, description="The key that they ask for. Kept sealed; never shown again."
    )


class JobRequest(RequestBody):
    """A job to create. Only `model` is needed where a model master knows it, and only `ssh_keys` for a workspace or training."""

    model: str = Field(
        default="",
        max_length=200,
        examples=["HuggingFaceTB/SmolLM2-135M-Instruct"],
        description="Hugging Face id; needed for an inference, and for nothing else.",
    )
    kind: JobKind = JobKind.INFERENCE
    ssh_keys: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="OpenSSH public keys that open the machine of a workspace or training.",
    )
    name: str | None = Field(default=None, max_length=NAME_LENGTH_MAX)
    project: str | None = Field(default=None, max_length=63)
    runtime: str | None = Field(default=None, max_length=63)
    runtime_image: str | None = Field(default=None, max_length=500)
    serving: ServingRequest = ServingRequest()
    hardware_profile: str | None = Field(default=None, max_length=63)
    gpu_count: Whole | None = None
    root_disk_gb: Whole | None = None
    scaling: ScalingRequest = ScalingRequest()
    target_rps: Number | None = None
    target_latency_p95_ms: Number | None = None
    location: str | None = Field(default=None, max_length=63)
    locations: tuple[str, ...] = Field(
        default=(), max_length=100, description="Several sites instead of one, the preferred first."
    )
    labels: Mapping[str, str] = Field(default_factory=dict, max_length=64)
    priority: Priority | None = Field(
        default=None,
        description="0 to 150, or the name of a class; by default very-high for an inference, high for a workspace, low for a training.",
    )
    preemptible: Flag | None = Field(
        default=None,
        description="Whether any replica may be taken away for a more urgent job, those within the minimum too; by default of a training only.",
    )
    endpoint_auth: EndpointAuth = EndpointAuth.KEY
    timeouts: TimeoutsRequest = TimeoutsRequest()
    hf_token: SecretStr | None = Field(default=None, description="Kept sealed; never shown again.")
    external: ExternalRequest | None = None
    routing: RoutingRequest = RoutingRequest()


class ScaleRequest(RequestBody):
    """How many replicas a job shall have."""

    replicas: Whole
    hold_seconds: Whole | None = Field(
        default=None,
        examples=[7200],
        description="For so long its load does not change the number; left out, the load scales it on at once.",
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogues say about a request.

    Attributes:
        master: Model master of the model, if there is one.
        profiles: Every hardware profile by name.
        runtimes: Kinds of inference server that Hostler knows how to start.
    """

    master: ModelMaster | None
    profiles: Mapping[str, HardwareProfile]
    runtimes: tuple[str, ...]


def job_spec(
    request: JobRequest,
    known: Known,
    *,
    project: str,
    name: str,
    hf_token_secret: str | None,
    upstream_key_secret: str | None = None,
) -> JobSpec:
    """The spec of the job that `request` asks for.

    Raises:
        InvalidFields: something in it makes no sense; all of it is named.
    """
    master = known.master
    errors: list[FieldError] = []
    defaults = DEFAULTS[request.kind]
    if request.kind is JobKind.INFERENCE and "model" not in request.model_fields_set:
        raise InvalidFields(FieldError("model", "is required for an inference"))
    machine = request.kind is not JobKind.INFERENCE
    runtime = request.runtime or _usual_runtime(request, master)
    if machine and runtime == MACHINE:
        pass  # there is no inference server to know
    elif runtime is None:
        errors.append(
            FieldError(
                "runtime",
                f"is needed, because no model master knows {request.model!r}; one of {_list(known.runtimes)}",
            )
        )
    elif runtime not in known.runtimes:
        errors.append(FieldError("runtime", f"must be one of {_list(known.runtimes)}, got {runtime!r}"))
    # Arguments, environment and image are those of the master's runtime; a job with another one starts without them.
    recipe = master if master is not None and master.runtime == runtime else None
    profile = request.hardware_profile or (
        EXTERNAL
        if runtime == EXTERNAL
        else (master.hardware_profile if master else None) or DEFAULT_HARDWARE_PROFILE
    )
    if (profile == EXTERNAL) != (runtime == EXTERNAL):
        errors.append(FieldError("hardware_profile", "goes with machines, and the runtime external has none"))
    elif profile != EXTERNAL and profile not in known.profiles:
        errors.append(
            FieldError("hardware_profile", f"must be one of {_list(sorted(known.profiles))}, got {profile!r}")
        )
    spec = JobSpec(
        name=name,
        project=project,
        model=request.model,
        runtime=runtime or "",
        runtime_image=request.runtime_image or (recipe.runtime_image if recipe else None),
        serving=Serving(
            args=recipe.merged_args(request.serving.args) if recipe else dict(request.serving.args),
            env={**(recipe.env if recipe else {}), **request.serving.env},
        ),
        hardware_profile=profile,
        gpu_count=0 if runtime == EXTERNAL else _gpu_count(request, master, known.profiles.get(profile)),
        scaling=_scaling(request, errors),
        location=request.location,
        locations=request.locations,
        kind=request.kind,
        ssh_keys=request.ssh_keys,
        labels=dict(request.labels),
        priority=priority_of(request.priority, defaults.priority, errors),
        preemptible=defaults.preemptible if request.preemptible is None else request.preemptible,
        endpoint_auth=request.endpoint_auth,
        timeouts=Timeouts(request.timeouts.initialization_seconds, request.timeouts.request_seconds),
        hf_token_secret=hf_token_secret,
        external=_external(request, upstream_key_secret),
        root_disk_gb=(recipe.root_disk_gb if recipe else None)
        if request.root_disk_gb is None
        else request.root_disk_gb,
        routing=routing_of(request.routing),
    )
    errors.extend(spec_errors(spec, master))
    errors.extend(calendar_errors(spec.scaling.schedule))
    if errors:
        raise InvalidFields(*errors)
    return spec


def _usual_runtime(request: JobRequest, master: ModelMaster | None) -> str | None:
    if request.kind is not JobKind.INFERENCE:
        return MACHINE
    if request.external:
        return EXTERNAL
    return master.runtime if master else None


def priority_of(given: int | str | None, otherwise: int, errors: list[FieldError]) -> int:
    """A priority as a number, whether it was given as one or as the name of a class."""
    if not isinstance(given, str):
        return otherwise if given is None else given
    if given not in PRIORITY_CLASSES:
        errors.append(FieldError("priority", f"must be a number or one of {', '.join(PRIORITY_CLASSES)}"))
    return PRIORITY_CLASSES.get(given, otherwise)


def name_from_model(model: str) -> str:
    """A job name made from a model id: `Qwen/Qwen3-32B` becomes `qwen3-32b`."""
    last = model.rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:NAME_LENGTH_MAX].strip("-") or "job"


def free_name(wanted: str, taken: frozenset[str]) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3`, ... that is not taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while (candidate := f"{wanted[: NAME_LENGTH_MAX - 1 - len(str(number))]}-{number}") in taken:
        number += 1
    return candidate


def _gpu_count(request: JobRequest, master: ModelMaster | None, profile: HardwareProfile | None) -> int:
    if request.gpu_count is not None:
        return request.gpu_count
    if profile is not None and profile.gpu_model is None:
        return 0
    return max(master.gpu_count if master else 1, 1)


def _scaling(request: JobRequest, errors: list[FieldError]) -> Scaling:
    wanted = request.scaling
    if request.external is not None and "min_replicas" not in wanted.model_fields_set:
        # Servers that run already are there to be used, all of them.
        count = max(len(request.external.endpoints), 1)
        wanted = wanted.model_copy(update={"min_replicas": min(count, wanted.max_replicas or count)})
    at_least_one = max(wanted.min_replicas, 1)
    targets = [ScalingTarget(each.metric, each.threshold, each.percentage) for each in wanted.targets]
    shorthands = (
        ("target_rps", ScalingMetric.THROUGHPUT, request.target_rps),
        ("target_latency_p95_ms", ScalingMetric.LATENCY_P95, request.target_latency_p95_ms),
    )
    for field, metric, threshold in shorthands:
        if threshold is None:
            continue
        if targets and wanted.targets:
            errors.append(FieldError(field, "can't be given together with scaling.targets"))
        elif threshold <= 0:
            errors.append(FieldError(field, f"must be above 0, got {threshold:g}"))
        else:
            targets.append(ScalingTarget(metric, threshold))
    return Scaling(
        min_replicas=wanted.min_replicas,
        max_replicas=at_least_one if wanted.max_replicas is None else wanted.max_replicas,
        initial_replicas=at_least_one if wanted.initial_replicas is None else wanted.initial_replicas,
        activation_replicas=at_least_one
        if wanted.activation_replicas is None
        else wanted.activation_replicas,
        targets=tuple(targets),
        stabilisation_window_seconds=wanted.stabilisation_window_seconds,
        scale_to_zero_after_seconds=wanted.scale_to_zero_after_seconds,
        mode=wanted.mode,
        schedule=windows_of(wanted.schedule),
        shadow=shadow_of(wanted.shadow),
    )


def shadow_of(request: ShadowRequest | None) -> ShadowScaling | None:
    """What it asks for; whether it makes sense is for the domain to say."""
    if request is None:
        return None
    targets = request.targets
    return ShadowScaling(
        targets=None
        if targets is None
        else tuple(ScalingTarget(each.metric, each.threshold, each.percentage) for each in targets),
        stabilisation_window_seconds=request.stabilisation_window_seconds,
        mode=request.mode,
    )


def _external(request: JobRequest, key_secret: str | None) -> ExternalServers | None:
    given = request.external
    if given is None:
        return None
    endpoints = tuple(base_address(url) for url in given.endpoints)
    return ExternalServers(endpoints, given.served_model, key_secret)


def _list(names: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(names)
