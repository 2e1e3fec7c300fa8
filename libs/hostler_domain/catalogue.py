"""What an admin keeps: model masters, hardware profiles and projects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler_domain.errors import FieldError
from hostler_domain.limits import Limits


@dataclass(frozen=True, slots=True)
class Parameter:
    """A serving parameter that a model master knows.

    Attributes:
        value: As the runtime takes it.
        tunable: A job may give another value; a change to one that is not tunable is refused.
    """

    value: str
    tunable: bool = True


@dataclass(frozen=True, slots=True)
class ModelMaster:
    """What is known about one model; a job made from it is prefilled and keeps a snapshot.

    Attributes:
        model: Hugging Face id.
        runtime: Kind of inference server, such as `vllm`.
        runtime_image: What the machine boots; None where the cluster's backend needs none.
        parameters: Serving parameters by name.
        env: Environment variables merged into every job.
        root_disk_gb: Size of the root disk, for backends that make one.
        hardware_profile: Recommended; used when the request names none.
        gpu_count: Recommended.
        context_length_tokens: Longest prompt and answer together; None where unknown.
    """

    model: str
    runtime: str
    runtime_image: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    root_disk_gb: int | None = None
    hardware_profile: str | None = None
    gpu_count: int = 0
    context_length_tokens: int | None = None

    def merged_args(self, given: Mapping[str, str]) -> dict[str, str]:
        """The master's parameters with the ones `given` in their place."""
        return {name: parameter.value for name, parameter in self.parameters.items()} | dict(given)

    def override_errors(self, given: Mapping[str, str], prefix: str = "serving.args") -> Iterator[FieldError]:
        """A refusal for every argument in `given` that the master holds fixed at another value."""
        for name, value in given.items():
            known = self.parameters.get(name)
            if known is not None and not known.tunable and known.value != value:
                yield FieldError(
                    f"{prefix}.{name}", f"is fixed at {known.value!r} by the model master of {self.model}"
                )


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """A named kind of machine that a replica asks for.

    Attributes:
        name: Such as `gpu.a100` or `cpu.small`.
        gpu_model: What the GPU must be; None for a machine without one.
        device_name: KubeVirt device that claims the GPU; None where there is none.
        cpu_cores: Per GPU, or of the whole replica where there is no GPU.
        memory_bytes: Likewise.
        price_per_hour: For one replica with one GPU (or none), in the platform's currency.
    """

    name: str
    gpu_model: str | None
    device_name: str | None
    cpu_cores: float
    memory_bytes: int
    price_per_hour: float


@dataclass(frozen=True, slots=True)
class Project:
    """Whose jobs and keys belong together, and how much they may hold.

    Attributes:
        name: Its id in subjects and requests; it can't be changed.
        project_id: UUIDv7, for dialects whose clients expect one.
        description: For people.
        gpu_quota: GPUs that its non-preemptible replicas may hold; None for no bound.
        gpu_limit: GPUs that all its replicas may hold; None for no bound.
        created_at: When it was made.
        limits: How much of inference all of its keys together may use; None for no bound.
    """

    name: str
    project_id: str
    created_at: datetime
    description: str = ""
    gpu_quota: int | None = None
    gpu_limit: int | None = None
    limits: Limits | None = None
