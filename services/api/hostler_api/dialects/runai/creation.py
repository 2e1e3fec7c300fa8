"""A workload to create as the native request that says the same.

Pure. What Run:ai has and the native request has no field for (the port, annotations, the category) is kept in labels of the job
under one prefix, which `workloads` reads back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import SecretStr, ValidationError

from hostler_api.dialects.runai.arguments import (
    RUNTIME_LABEL,
    TOKEN_VARIABLES,
    environment,
    model_of,
    name_values,
    parsed_args,
)
from hostler_api.dialects.runai.autoscaling import scaling_request
from hostler_api.dialects.runai.bodies import AutoscalingBody, CreationBody, ServingPortBody, SpecBody
from hostler_api.dialects.runai.hardware import machine
from hostler_api.dialects.runai.ids import ANY_CLUSTER_ID, CLUSTER_ID, project_id
from hostler_api.dialects.runai.refusals import refused_creation
from hostler_api.requests import NAME_LENGTH_MAX, JobRequest, ServingRequest, TimeoutsRequest
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Project
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.external import EXTERNAL
from hostler_domain.job import EndpointAuth
from hostler_domain.priorities import DEFAULT_PRIORITY_CLASS, PRIORITY_CLASSES

LABEL_PREFIX = "runai.hostler.dev/"
ANNOTATION_PREFIX = LABEL_PREFIX + "annotation/"
PORT_LABEL = LABEL_PREFIX + "serving-port"
REQUESTED_NAME_LABEL = LABEL_PREFIX + "requested-name"
CATEGORY_LABEL = LABEL_PREFIX + "category"

CATEGORIES = ("Deploy", "Build", "Train")
"""The first one is what an inference workload has by default."""
SUFFIX_LENGTH = 5

_ACCESS: Mapping[str | None, EndpointAuth] = {
    None: EndpointAuth.KEY,
    "public": EndpointAuth.PUBLIC,
    "authenticatedUsers": EndpointAuth.KEY,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the catalogues say, as far as the caller may know.

    Attributes:
        masters: Model masters by model.
        profiles: Hardware profiles by name.
        projects: Names of the projects that the caller sees.
        records: Records of projects by name.
    """

    masters: Mapping[str, ModelMaster]
    profiles: Mapping[str, HardwareProfile]
    projects: frozenset[str]
    records: Mapping[str, Project]


def job_request(body: CreationBody, around: Surroundings, *, suffix: str) -> JobRequest:
    """The native request.

    Args:
        body: What was asked for.
        around: What it may refer to.
        suffix: Random characters, for a name that is only a prefix.

    Raises:
        InvalidFields: something in it makes no sense or can't be had; all of it is named, by its path in `spec`.
    """
    spec = body.spec or SpecBody()
    errors = list(refused_creation(body))
    project = _project(body.project_id, around, errors)
    if body.cluster_id not in (CLUSTER_ID, ANY_CLUSTER_ID):
        errors.append(FieldError("clusterId", f"must be {CLUSTER_ID} or all zeros"))
    labels = name_values(spec.labels, "labels", errors)
    errors.extend(
        FieldError("labels", f"names under {LABEL_PREFIX} are Hostler's own")
        for name in labels
        if name.startswith(LABEL_PREFIX)
    )
    variables = environment(spec.environment_variables, errors)
    token = hf_token(variables)
    named = parsed_args(spec.args, {})
    model, field = model_of(named, labels, variables)
    master = around.masters.get(model or "")
    arguments = parsed_args(spec.args, master.parameters if master else {})
    errors.extend(arguments.errors)
    runtime = _runtime(labels, spec.image, master)
    if model is None:
        errors.append(
            FieldError(
                field,
                "must name the model: --model M or serve M, else the label hostler.dev/model, else the variable MODEL",
            )
        )
    elif runtime is None:
        errors.append(
            FieldError(
                "image",
                f"is needed, because no model master knows {model!r}: an image of vLLM, or the label {RUNTIME_LABEL}",
            )
        )
    if runtime == EXTERNAL:
        errors.append(FieldError("labels", "servers that run already can be adopted natively only"))
    wanted = machine(
        spec.compute,
        spec.node_pools,
        spec.node_type,
        master.hardware_profile if master else None,
        around.profiles,
        errors,
    )
    name, own_labels = _name(body, suffix)
    labels |= own_labels | _kept(spec, errors)
    scaling = scaling_request(spec.autoscaling or AutoscalingBody(), errors)
    priority = priority_of(spec.priority_class or DEFAULT_PRIORITY_CLASS, errors)
    preemptible = preemptible_of(spec.preemptibility, errors)
    access = _access(spec.serving_port, errors)
    if errors or model is None or project is None:
        raise InvalidFields(*errors)
    timeouts = spec.serving_configuration
    defaults = TimeoutsRequest()
    try:
        return JobRequest(
            model=model,
            name=name,
            project=project,
            runtime=runtime,
            runtime_image=spec.image,
            serving=ServingRequest(args=arguments.options, env=variables),
            hardware_profile=wanted.profile,
            gpu_count=wanted.gpu_count,
            scaling=scaling,
            labels=labels,
            priority=priority,
            preemptible=preemptible,
            endpoint_auth=access,
            timeouts=TimeoutsRequest(
                initialization_seconds=(timeouts and timeouts.initialization_timeout_seconds)
                or defaults.initialization_seconds,
                request_seconds=(timeouts and timeouts.request_timeout_seconds) or defaults.request_seconds,
            ),
            hf_token=SecretStr(token) if token else None,
        )
    except ValidationError as error:
        raise InvalidFields(*native_errors(error)) from None


def native_errors(error: ValidationError) -> Iterator[FieldError]:
    """What the native request finds wrong with values that this dialect let through, such as their length."""
    for each in error.errors():
        yield FieldError(".".join(str(part) for part in each["loc"]), each["msg"])


def hf_token(variables: dict[str, str]) -> str | None:
    """The Hugging Face token in an environment, taken out of it: it is kept sealed, not in the job's record."""
    found = None
    for name in TOKEN_VARIABLES:
        found = variables.pop(name, None) or found
    return found


def priority_of(name: str, errors: list[FieldError]) -> int:
    """The number of a priority class."""
    priority = PRIORITY_CLASSES.get(name)
    if priority is None:
        errors.append(FieldError("priorityClass", f"must be one of {', '.join(PRIORITY_CLASSES)}"))
        return 0
    return priority


def preemptible_of(word: str | None, errors: list[FieldError]) -> bool:
    """What `preemptibility` says."""
    if word not in (None, "preemptible", "non-preemptible"):
        errors.append(FieldError("preemptibility", "must be preemptible or non-preemptible"))
    return word == "preemptible"


def category_error(category: str | None) -> FieldError | None:
    """What is wrong with a category."""
    if category is None or category in CATEGORIES:
        return None
    return FieldError("category", f"must be one of {', '.join(CATEGORIES)}")


def _project(wanted: str, around: Surroundings, errors: list[FieldError]) -> str | None:
    for name in sorted(around.projects):
        if wanted in (name, project_id(name, around.records)):
            return name
    # Another's project reads as one that is not there.
    errors.append(FieldError("projectId", f"there is no project {wanted!r}"))
    return None


def _runtime(labels: Mapping[str, str], image: str | None, master: ModelMaster | None) -> str | None:
    """The label goes first, then what the image says, then the model master."""
    if labels.get(RUNTIME_LABEL):
        return labels[RUNTIME_LABEL]
    if image is not None and "vllm" in image.partition("@")[0].rpartition("/")[2].lower():
        return "vllm"
    return master.runtime if master else None


def _name(body: CreationBody, suffix: str) -> tuple[str, dict[str, str]]:
    if not body.use_given_name_as_prefix:
        return body.name, {}
    prefix = body.name[: NAME_LENGTH_MAX - 1 - len(suffix)]
    return f"{prefix}-{suffix}", {REQUESTED_NAME_LABEL: body.name}


def _kept(spec: SpecBody, errors: list[FieldError]) -> dict[str, str]:
    """Labels for what has no field of its own."""
    kept = {
        ANNOTATION_PREFIX + name: value
        for name, value in name_values(spec.annotations, "annotations", errors).items()
    }
    wrong = category_error(spec.category)
    if wrong is not None:
        errors.append(wrong)
    elif spec.category is not None:
        kept[CATEGORY_LABEL] = spec.category
    if spec.serving_port is not None and spec.serving_port.container is not None:
        kept[PORT_LABEL] = str(spec.serving_port.container)
    return kept


def _access(port: ServingPortBody | None, errors: list[FieldError]) -> EndpointAuth:
    if port is None:
        return EndpointAuth.KEY
    if port.protocol not in (None, "http"):
        errors.append(FieldError("servingPort.protocol", "must be http"))
    access = _ACCESS.get(port.authorization_type)
    if access is None:
        errors.append(
            FieldError("servingPort.authorizationType", "must be public or authenticatedUsers (any API key)")
        )
        return EndpointAuth.KEY
    return access
