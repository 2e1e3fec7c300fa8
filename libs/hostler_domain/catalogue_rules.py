"""What makes a model master or a hardware profile valid. The api names fields by it."""

import re
from collections.abc import Iterator

from hostler_domain.catalogue import HardwareProfile, ModelMaster
from hostler_domain.errors import FieldError
from hostler_domain.spec_rules import (
    ARG_NAME,
    ENV_NAME,
    IMAGE_REFERENCE,
    MODEL_ID,
    ROOT_DISK_GB_MAX,
    mapping_errors,
)

GPUS_PER_REPLICA_MAX = 64
_PROFILE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)
_DEVICE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}/[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_TEXT_LENGTH_MAX = 200


def master_errors(master: ModelMaster) -> Iterator[FieldError]:
    """Everything that does not make sense in `master`, whatever the catalogues have."""
    if not MODEL_ID.fullmatch(master.model):
        yield FieldError("model", "must be a Hugging Face id such as 'Qwen/Qwen3-32B'")
    if master.runtime_image is not None and not IMAGE_REFERENCE.fullmatch(master.runtime_image):
        yield FieldError("runtime_image", "must be an image reference such as 'vllm/vllm-openai:v0.12.0'")
    values = {name: parameter.value for name, parameter in master.parameters.items()}
    yield from mapping_errors("parameters", values, ARG_NAME)
    yield from mapping_errors("overrides.env", master.env, ENV_NAME)
    if master.root_disk_gb is not None and not 1 <= master.root_disk_gb <= ROOT_DISK_GB_MAX:
        yield FieldError(
            "overrides.root_disk_gb", f"must be from 1 to {ROOT_DISK_GB_MAX}, got {master.root_disk_gb}"
        )
    if not 0 <= master.gpu_count <= GPUS_PER_REPLICA_MAX:
        yield FieldError("gpu_count", f"must be from 0 to {GPUS_PER_REPLICA_MAX}, got {master.gpu_count}")
    if master.context_length_tokens is not None and master.context_length_tokens < 1:
        yield FieldError("context_length_tokens", f"must be at least 1, got {master.context_length_tokens}")


def profile_errors(profile: HardwareProfile) -> Iterator[FieldError]:
    """Everything that does not make sense in `profile`."""
    if not _PROFILE_NAME.fullmatch(profile.name):
        yield FieldError("name", "must be 1 to 63 of a-z, 0-9, '.' and '-', such as 'gpu.a100'")
    if profile.gpu_model is not None and not 1 <= len(profile.gpu_model) <= _TEXT_LENGTH_MAX:
        yield FieldError("gpu_model", f"must have 1 to {_TEXT_LENGTH_MAX} characters")
    if profile.device_name is not None:
        if not _DEVICE_NAME.fullmatch(profile.device_name):
            yield FieldError(
                "device_name", "must be a resource name such as 'nvidia.com/GA100_A100_SXM4_80GB'"
            )
        if profile.gpu_model is None:
            yield FieldError("device_name", "goes with a gpu_model")
    if not 0 < profile.cpu_cores <= 4096:
        yield FieldError("cpu_cores", f"must be above 0 and at most 4096, got {profile.cpu_cores:g}")
    if not 2**20 <= profile.memory_bytes <= 2**50:
        yield FieldError("memory_bytes", f"must be from 1 MiB to 1 PiB, got {profile.memory_bytes}")
    if not 0 <= profile.price_per_hour <= 1e6:
        yield FieldError("price_per_hour", f"must be from 0 to 1000000, got {profile.price_per_hour:g}")
