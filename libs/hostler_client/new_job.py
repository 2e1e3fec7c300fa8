"""What the API takes, as pydantic models: strict, because a mistyped field should fail where it was written."""

import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SecretStr


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewTarget(_Request):
    """A scaling target: `throughput` in requests/s per replica, `concurrency`, or `latency_p95` in ms."""

    metric: str
    threshold: float
    percentage: int = 100


class NewWindow(_Request):
    """A window of time in which narrower bounds hold: `start` is a cron expression, `time_zone` an IANA name."""

    start: str
    duration_seconds: int
    time_zone: str = "UTC"
    min_replicas: int | None = None
    max_replicas: int | None = None


class NewShadow(_Request):
    """What a second policy goes by, whose decisions are written down and not carried out."""

    targets: tuple[NewTarget, ...] | None = None
    stabilisation_window_seconds: int | None = None
    mode: str | None = None


class NewScaling(_Request):
    """Bounds and targets; what is left out follows from `min_replicas`."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    initial_replicas: int | None = None
    activation_replicas: int | None = None
    targets: tuple[NewTarget, ...] | None = None
    stabilisation_window_seconds: int | None = None
    scale_to_zero_after_seconds: int | None = None
    mode: str | None = None
    schedule: tuple[NewWindow, ...] | None = None
    shadow: NewShadow | None = None


class NewServing(_Request):
    """Arguments and environment of the runtime."""

    args: Mapping[str, str] | None = None
    env: Mapping[str, str] | None = None


class NewTimeouts(_Request):
    """How long to wait for a replica's start and for one request."""

    initialization_seconds: int | None = None
    request_seconds: int | None = None


class NewExternal(_Request):
    """Servers that run already, for the runtime `external`."""

    endpoints: tuple[str, ...]
    served_model: str | None = None
    api_key: SecretStr | None = None
    """The key that they ask for. Sent once, kept sealed, never shown again."""


class NewRouting(_Request):
    """How requests reach the replicas; what is left out is the router's to choose."""

    balancing: str | None = None
    """`least-outstanding`, `prefix` or `session`."""
    prefix_chars: int | None = None
    session_header: str | None = None
    concurrency_per_replica: int | None = None
    queue_max: int | None = None
    queue_timeout_seconds: int | None = None
    resume_streams: bool | None = None
    extra_routes: tuple[str, ...] | None = None
    """Of `responses`, `rerank`, `score`, `tokenize`, `detokenize`."""


class NewJob(_Request):
    """A job to create; what is left out is decided by the model master and the API's defaults."""

    model: str | None = None
    """Needed for an inference, and for nothing else."""
    kind: str | None = None
    """`inference` by default, `workspace` or `training`."""
    ssh_keys: tuple[str, ...] | None = None
    """OpenSSH public keys that open the machine of a workspace or training."""
    name: str | None = None
    project: str | None = None
    runtime: str | None = None
    runtime_image: str | None = None
    serving: NewServing | None = None
    hardware_profile: str | None = None
    gpu_count: int | None = None
    root_disk_gb: int | None = None
    scaling: NewScaling | None = None
    target_rps: float | None = None
    target_latency_p95_ms: float | None = None
    location: str | None = None
    locations: tuple[str, ...] | None = None
    """Several sites instead of one, the preferred first."""
    labels: Mapping[str, str] | None = None
    priority: int | str | None = None
    """A number, or the name of a class such as `high`."""
    preemptible: bool | None = None
    endpoint_auth: str | None = None
    timeouts: NewTimeouts | None = None
    hf_token: SecretStr | None = None
    """Sent once, kept sealed, never shown again."""
    external: NewExternal | None = None
    routing: NewRouting | None = None

    def body(self) -> bytes:
        """What is sent: the given fields only. The one place where secrets leave their wrapping."""
        fields = self.model_dump(mode="json", exclude_none=True)
        if self.hf_token is not None:
            fields["hf_token"] = self.hf_token.get_secret_value()
        if self.external is not None and self.external.api_key is not None:
            fields["external"]["api_key"] = self.external.api_key.get_secret_value()
        return json.dumps(fields).encode()
