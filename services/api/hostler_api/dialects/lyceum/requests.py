"""Lyceum's bodies, and the request for a job that they amount to.

Pure; called by the routes. Both of Lyceum's ways to name hardware are taken: a hardware profile (its first API and its command
line up to 1.0) and a GPU type with count and memory (its present API). Null means that a field was left out.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, SecretStr

from hostler_api.numbers import Number, Whole
from hostler_api.request_body import RequestBody
from hostler_api.requests import (
    DEFAULT_HARDWARE_PROFILE,
    JobRequest,
    ScalingRequest,
    ServingRequest,
)
from hostler_domain.catalogue import HardwareProfile, ModelMaster
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.scaling import REPLICAS_MAX, STABILISATION_WINDOW_SECONDS_MAX

TARGET_RPS_DEFAULT: Final = 10.0
TARGET_LATENCY_P95_MS_DEFAULT: Final = 5000.0
STABILISATION_WINDOW_SECONDS_DEFAULT: Final = 300
RUNTIME_DEFAULT: Final = "vllm"
"""What serves a model that no model master knows: the only runtime that Lyceum has."""
FLAG: Final = "true"
"""Value of an argument that stands alone."""

_GPU_PREFIX: Final = "gpu."
# A comma ends an argument only before the name of another one, so that a value may be JSON.
_BETWEEN_ARGS: Final = re.compile(r",\s*(?=-{0,2}[A-Za-z])")
_AFTER_NAME: Final = re.compile(r"\s*=\s*|\s+")
_GPU_MEMORY: Final = re.compile(r"(\d+)GB\b", re.ASCII)

Replicas = Annotated[Whole, Field(ge=1, le=REPLICAS_MAX)]
Threshold = Annotated[Number, Field(gt=0, lt=1e9, allow_inf_nan=False)]


class CreateBody(RequestBody):
    """A deployment to create. Only `hf_model_id` is needed where a model master knows it."""

    hf_model_id: str = Field(max_length=200, examples=["HuggingFaceTB/SmolLM2-135M-Instruct"])
    hardware_profile: str | None = Field(default=None, max_length=63, examples=["gpu.a100"])
    gpu_type: str | None = Field(
        default=None, max_length=63, description="A hardware profile with or without `gpu.` before it."
    )
    gpu_count: Annotated[Whole, Field(ge=1, le=64)] | None = None
    gpu_vram_gb: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None, description="What the GPU type must have; never chooses one."
    )
    vllm_args: str | None = Field(
        default=None,
        max_length=8192,
        description="Arguments of the runtime, separated by commas, without dashes before them.",
        examples=["max-model-len=8192,enable-prefix-caching"],
    )
    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None
    target_rps: Threshold | None = None
    target_latency_p95_ms: Threshold | None = None
    stabilisation_window: Annotated[Whole, Field(ge=0, le=STABILISATION_WINDOW_SECONDS_MAX)] | None = None
    hf_token: Annotated[SecretStr, Field(max_length=512)] | None = Field(
        default=None, description="Kept sealed; never shown again."
    )


class StopBody(RequestBody):
    """A deployment to end."""

    deployment_id: str = Field(min_length=1, max_length=200)


def job_request(
    body: CreateBody,
    *,
    project: str,
    master: ModelMaster | None,
    profiles: Mapping[str, HardwareProfile],
) -> JobRequest:
    """The job that `body` asks for.

    Raises:
        InvalidFields: its hardware makes no sense; all of it is named.
    """
    errors: list[FieldError] = []
    profile = _profile(body, profiles, errors)
    effective = profiles.get(
        profile or (master.hardware_profile if master else None) or DEFAULT_HARDWARE_PROFILE
    )
    if effective is not None:
        errors.extend(_gpu_errors(body, effective))
    if errors:
        raise InvalidFields(*errors)
    minimum = body.min_replicas or 1
    return JobRequest(
        model=body.hf_model_id,
        project=project,
        runtime=None if master else RUNTIME_DEFAULT,
        serving=ServingRequest(args=runtime_args(body.vllm_args or "")),
        hardware_profile=profile,
        gpu_count=body.gpu_count if effective is None or effective.gpu_model else None,
        scaling=ScalingRequest(
            min_replicas=minimum,
            max_replicas=body.max_replicas or minimum,
            stabilisation_window_seconds=STABILISATION_WINDOW_SECONDS_DEFAULT
            if body.stabilisation_window is None
            else body.stabilisation_window,
        ),
        target_rps=body.target_rps or TARGET_RPS_DEFAULT,
        target_latency_p95_ms=body.target_latency_p95_ms or TARGET_LATENCY_P95_MS_DEFAULT,
        hf_token=body.hf_token,
    )


def runtime_args(text: str) -> dict[str, str]:
    """The arguments in `text`: `name=value` or `name value`, or a name alone, which is then true."""
    args: dict[str, str] = {}
    for each in _BETWEEN_ARGS.split(text):
        name, *value = _AFTER_NAME.split(each.strip(" ,").lstrip("-"), maxsplit=1)
        if name:
            args[name] = value[0] if value else FLAG
    return args


def gpu_type(profile: str) -> str:
    """How Lyceum would call the GPU type of a hardware profile: `gpu.a100` is `a100`, and `cpu.small` itself."""
    return profile.removeprefix(_GPU_PREFIX)


def _profile(
    body: CreateBody, profiles: Mapping[str, HardwareProfile], errors: list[FieldError]
) -> str | None:
    if body.gpu_type is None:
        return body.hardware_profile
    if body.hardware_profile is not None:
        errors.append(FieldError("gpu_type", "can't be given together with hardware_profile"))
        return body.hardware_profile
    wanted = body.gpu_type.strip().lower()
    found = next((name for name in (wanted, _GPU_PREFIX + wanted) if name in profiles), None)
    if found is None:
        known = ", ".join(sorted(gpu_type(name) for name in profiles))
        errors.append(FieldError("gpu_type", f"must be one of {known}, got {body.gpu_type!r}"))
    return found


def _gpu_errors(body: CreateBody, profile: HardwareProfile) -> list[FieldError]:
    errors: list[FieldError] = []
    # 1 is what the client sends who does not care, so a machine without a GPU takes it.
    if profile.gpu_model is None and (body.gpu_count or 1) > 1:
        errors.append(FieldError("gpu_count", f"must be 1 or left out: {profile.name} has no GPU"))
    if body.gpu_vram_gb is None:
        return errors
    memory = _GPU_MEMORY.search(profile.gpu_model or "")
    if memory is None:
        errors.append(
            FieldError("gpu_vram_gb", f"can't be checked: the memory of {profile.name} is not known here")
        )
    elif int(memory[1]) != body.gpu_vram_gb:
        errors.append(
            FieldError("gpu_vram_gb", f"must be {memory[1]} for {profile.name}, got {body.gpu_vram_gb}")
        )
    return errors
