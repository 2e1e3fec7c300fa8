"""Bodies of requests as Run:ai's clients write them.

Every field of its API is known by name, so that nothing is ignored: what Hostler can honour has its type here, what it can't is
taken as it comes and judged by `refusals`. Null means absent, because the client sends null for fields that it does not set.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Whole = Annotated[int, Strict(), Field(le=2**31 - 1)]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Quantity = Annotated[
    str, Field(pattern=r"^\+?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*$", max_length=40, examples=["16Gi"])
]
Unsupported = Annotated[
    JsonValue, Field(description="Null or the default; anything else is refused, see docs/dialects/runai.md.")
]


def _refuse(value: object) -> object:
    if value is None:
        return None
    raise PydanticCustomError("immutable", "can't be changed; make a new workload")


Immutable = Annotated[None, BeforeValidator(_refuse), Field(description="Can't be changed.")]


class Body(BaseModel):
    """Root of every body: a field that Run:ai does not have is refused by name."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class AutoscalingBody(Body):
    """Bounds and the one thing to scale by."""

    min_replicas: Whole | None = Field(default=None, ge=0)
    max_replicas: Whole | None = Field(default=None, ge=1)
    initial_replicas: Whole | None = Field(default=None, ge=0)
    activation_replicas: Whole | None = Field(default=None, ge=1)
    metric: str | None = Field(default=None, max_length=63, description="throughput, concurrency or latency")
    metric_threshold: Whole | None = None
    metric_threshold_percentage: Number | None = Field(default=None, ge=1, le=100)
    concurrency_hard_limit: Whole | None = Field(default=None, ge=0)
    scale_down_delay_seconds: Whole | None = Field(default=None, ge=0, le=3600)
    scale_to_zero_retention_seconds: Whole | None = Field(default=None, ge=0, le=3600)
    initialization_timeout_seconds: Whole | None = Field(
        default=None, ge=1, description="Ignored, as in Run:ai: it moved to servingConfiguration."
    )


class ServingConfigurationBody(Body):
    """How long to wait."""

    initialization_timeout_seconds: Whole | None = Field(default=None, ge=1)
    request_timeout_seconds: Whole | None = Field(default=None, ge=1)


class NameValueBody(Body):
    """A label or an annotation."""

    name: str | None = Field(default=None, min_length=1, max_length=63)
    value: str | None = Field(default=None, max_length=4096)
    exclude: Flag | None = Field(default=None, description="True takes the item out.")


class EnvironmentVariableBody(Body):
    """One variable of the runtime's environment."""

    name: str | None = Field(default=None, min_length=1, max_length=128)
    value: str | None = Field(default=None, max_length=4096)
    secret: Unsupported = None
    config_map: Unsupported = None
    pod_field_ref: Unsupported = None
    user_credential: Unsupported = None
    exclude: Flag | None = Field(default=None, description="True takes the item out.")
    description: str | None = Field(default=None, max_length=1000, description="Not kept.")


class ComputeBody(Body):
    """What each replica's machine must have."""

    gpu_devices_request: Whole | None = Field(default=None, ge=0, le=1000)
    gpu_request_type: str | None = Field(default=None, max_length=20)
    gpu_portion_request: Number | None = Field(default=None, ge=0)
    gpu_portion_limit: Number | None = Field(default=None, ge=0)
    gpu_memory_request: Quantity | None = None
    gpu_memory_limit: Quantity | None = None
    cpu_core_request: Number | None = Field(default=None, ge=0)
    cpu_core_limit: Number | None = Field(default=None, ge=0)
    cpu_memory_request: Quantity | None = None
    cpu_memory_limit: Quantity | None = None
    large_shm_request: Unsupported = None
    extended_resources: Unsupported = None


class ServingPortBody(Body):
    """Where the container listens and who may call it."""

    container: Whole | None = Field(default=None, ge=1, le=65535)
    protocol: str | None = Field(default=None, max_length=20)
    authorization_type: str | None = Field(default=None, max_length=63)
    authorized_users: Unsupported = None
    authorized_groups: Unsupported = None
    cluster_local_access_only: Unsupported = None


class CommonSpecBody(Body):
    """What a creation says and a PATCH may change."""

    autoscaling: AutoscalingBody | None = None
    serving_configuration: ServingConfigurationBody | None = None
    args: str | None = Field(default=None, min_length=1, max_length=100_000)
    category: str | None = Field(default=None, max_length=63)
    command: Unsupported = None
    compute: ComputeBody | None = None
    create_home_dir: Unsupported = None
    environment_variables: tuple[EnvironmentVariableBody | None, ...] | None = Field(
        default=None, max_length=100
    )
    image: str | None = Field(default=None, min_length=1, max_length=500)
    image_pull_policy: Unsupported = None
    image_pull_secrets: Unsupported = None
    node_affinity_required: Unsupported = None
    node_pools: tuple[Annotated[str, Field(max_length=63)], ...] | None = Field(default=None, max_length=100)
    node_type: str | None = Field(default=None, min_length=1, max_length=63)
    pod_affinity: Unsupported = None
    preemptibility: str | None = Field(default=None, max_length=63)
    priority_class: str | None = Field(default=None, max_length=63)
    probes: Unsupported = None
    working_dir: Unsupported = None


class UpdateSpecBody(CommonSpecBody):
    """What shall be different; what is left out or null stays as it is."""

    annotations: Immutable = None
    exposed_urls: Immutable = None
    labels: Immutable = None
    ports: Immutable = None
    related_urls: Immutable = None
    security: Immutable = None
    serving_port: Immutable = None
    storage: Immutable = None
    tolerations: Immutable = None


class SpecBody(CommonSpecBody):
    """What a workload is."""

    annotations: tuple[NameValueBody | None, ...] | None = Field(default=None, max_length=25)
    labels: tuple[NameValueBody | None, ...] | None = Field(default=None, max_length=25)
    serving_port: ServingPortBody | None = None
    exposed_urls: Unsupported = None
    ports: Unsupported = None
    related_urls: Unsupported = None
    security: Unsupported = None
    storage: Unsupported = None
    tolerations: Unsupported = None


class CreationBody(Body):
    """A workload to create."""

    name: str = Field(min_length=1, max_length=63)
    use_given_name_as_prefix: Flag | None = False
    project_id: str = Field(min_length=1, max_length=63, description="The project's id or its name.")
    cluster_id: str = Field(max_length=63, description="The installation's, or all zeros.")
    template_id: Unsupported = None
    spec: SpecBody | None = None


class UpdateBody(Body):
    """A workload to change."""

    spec: UpdateSpecBody | None = None


class BatchAction(StrEnum):
    """What to do with several workloads."""

    DELETE = "delete"
    SUSPEND = "suspend"
    RESUME = "resume"


class BatchBody(Body):
    """Several workloads and what to do with each."""

    ids: tuple[Annotated[str, Field(max_length=63)], ...] = Field(max_length=100)
    action: BatchAction


class TokenBody(BaseModel):
    """A login. Run:ai's documents and its client disagree about capitals, so they don't matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    grant_type: Literal["app_token"] = Field(alias="grantType")
    app_id: str = Field(min_length=1, max_length=256, alias="AppId", description="The API key's id.")
    app_secret: SecretStr = Field(min_length=1, alias="AppSecret", description="The API key itself.")

    @model_validator(mode="before")
    @classmethod
    def _fold_case(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        spelling = {"granttype": "grantType", "appid": "AppId", "appsecret": "AppSecret"}
        return {spelling.get(str(name).lower(), str(name)): given for name, given in value.items()}
