"""Model masters and hardware profiles, as the API takes and answers them.

Answers are read leniently, requests are strict, as in `models` and `new_job`. A document that was read can be sent back.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MasterParameter(_Answer):
    """A serving parameter; a job may give another value for one that is tunable."""

    value: str
    tunable: bool = True


class MasterOverrides(_Answer):
    """What is merged into every job of the model."""

    root_disk_gb: int | None = None
    env: Mapping[str, str] = Field(default_factory=dict)


class ModelMaster(_Answer):
    """What is known about a model. `revision` is of the answer's ETag, so that a list has none."""

    model: str
    runtime: str
    runtime_image: str | None = None
    parameters: Mapping[str, MasterParameter] = Field(default_factory=dict)
    overrides: MasterOverrides = MasterOverrides()
    hardware_profile: str | None = None
    gpu_count: int = 0
    context_length_tokens: int | None = None
    revision: int | None = Field(default=None, exclude=True)


class ModelMasterPage(_Answer):
    """One page of masters."""

    data: tuple[ModelMaster, ...]
    has_more: bool = False
    next: str | None = None


class HardwareProfile(_Answer):
    """A kind of machine; CPUs and memory are per GPU, or of the whole replica where it has none. `revision` as of a master."""

    name: str
    gpu_model: str | None = None
    device_name: str | None = None
    cpu_cores: float
    memory_bytes: int
    price_per_hour: float = 0.0
    revision: int | None = Field(default=None, exclude=True)


class HardwareProfilePage(_Answer):
    """One page of profiles."""

    data: tuple[HardwareProfile, ...]
    has_more: bool = False
    next: str | None = None


class NewMasterParameter(_Request):
    """A serving parameter."""

    value: str
    tunable: bool = True


class NewMasterOverrides(_Request):
    """What shall be merged into every job of the model."""

    root_disk_gb: int | None = None
    env: Mapping[str, str] = Field(default_factory=dict)


class NewModelMaster(_Request):
    """A model master to make, or to put in the place of another."""

    model: str
    runtime: str
    runtime_image: str | None = None
    parameters: Mapping[str, NewMasterParameter] = Field(default_factory=dict)
    overrides: NewMasterOverrides = NewMasterOverrides()
    hardware_profile: str | None = None
    gpu_count: int = 0
    context_length_tokens: int | None = None

    def body(self, *, named: bool) -> bytes:
        """As it is sent; without its name where that is in the path."""
        return self.model_dump_json(exclude=set() if named else {"model"}).encode()


class NewHardwareProfile(_Request):
    """A hardware profile to make, or to put in the place of another."""

    name: str
    gpu_model: str | None = None
    device_name: str | None = None
    cpu_cores: float
    memory_bytes: int
    price_per_hour: float = 0.0

    def body(self, *, named: bool) -> bytes:
        """As it is sent; without its name where that is in the path."""
        return self.model_dump_json(exclude=set() if named else {"name"}).encode()
