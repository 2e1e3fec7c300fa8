"""Changes to a job, as pydantic models: what is left out stays as it is, None gives a field its default back."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from hostler_client.new_job import NewShadow, NewTarget, NewWindow


class _Changes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScalingChanges(_Changes):
    """Bounds and targets; `targets`, `schedule` and `shadow` are replaced as a whole."""

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


class ServingChanges(_Changes):
    """Arguments and environment of the runtime, name by name; None takes one away."""

    args: Mapping[str, str | None] | None = None
    env: Mapping[str, str | None] | None = None


class TimeoutsChanges(_Changes):
    """How long to wait."""

    initialization_seconds: int | None = None
    request_seconds: int | None = None


class RoutingChanges(_Changes):
    """How requests reach the replicas; `extra_routes` is replaced as a whole."""

    balancing: str | None = None
    prefix_chars: int | None = None
    session_header: str | None = None
    concurrency_per_replica: int | None = None
    queue_max: int | None = None
    queue_timeout_seconds: int | None = None
    resume_streams: bool | None = None
    extra_routes: tuple[str, ...] | None = None


class JobChanges(_Changes):
    """What shall be different about a job."""

    scaling: ScalingChanges | None = None
    target_rps: float | None = None
    target_latency_p95_ms: float | None = None
    serving: ServingChanges | None = None
    labels: Mapping[str, str | None] | None = None
    priority: int | str | None = None
    timeouts: TimeoutsChanges | None = None
    hardware_profile: str | None = None
    gpu_count: int | None = None
    runtime_image: str | None = None
    endpoint_auth: str | None = None
    routing: RoutingChanges | None = None

    def body(self) -> bytes:
        """What is sent: the fields that were given, None among them."""
        return self.model_dump_json(exclude_unset=True).encode()
