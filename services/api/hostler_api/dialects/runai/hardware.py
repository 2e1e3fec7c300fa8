"""`compute`, `nodePools` and `nodeType`, and the hardware profile that they lead to; and back.

A profile is a whole machine. So a request is met by the machine that the user named, or by the cheapest one that has at least
what was requested and no more than what was set as a limit; parts of GPUs can't be had.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hostler_api.dialects.runai.bodies import ComputeBody
from hostler_api.dialects.runai.ids import NODE_POOL
from hostler_api.requests import DEFAULT_HARDWARE_PROFILE
from hostler_domain.capacity import requirement
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.errors import FieldError
from hostler_domain.job import JobSpec

_QUANTITY = re.compile(r"\+?([0-9]+(?:\.[0-9]+)?)([eE][-+]?[0-9]{1,2})?([A-Za-z]*)")
_SUFFIXES = {"": 1.0, "m": 0.001, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15} | {
    f"{letter}i": float(1024**power) for power, letter in enumerate("KMGTP", start=1)
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a request means; None leaves the choice to the model master or the default."""

    profile: str | None
    gpu_count: int | None


def machine(
    compute: ComputeBody | None,
    node_pools: tuple[str, ...] | None,
    node_type: str | None,
    preferred: str | None,
    profiles: Mapping[str, HardwareProfile],
    errors: list[FieldError],
) -> Machine:
    """The machine for a request.

    Args:
        compute: What it must have.
        node_pools: Profiles by name, the first one counts.
        node_type: A profile, or its GPU.
        preferred: The profile to take where the request leaves it open and this one fits.
        profiles: All that there are.
        errors: Where mistakes go.
    """
    compute = compute or ComputeBody()
    errors.extend(_fractions(compute))
    gpus = compute.gpu_devices_request
    if gpus is None and compute.gpu_portion_request == 1:
        gpus = 1
    fitting = [each for each in profiles.values() if _fits(each, compute, gpus)]
    named = _named(node_pools, node_type, profiles, errors)
    if named is not None:
        if named.name not in {each.name for each in fitting}:
            errors.append(FieldError("compute", f"asks for another machine than {named.name}"))
        return Machine(named.name, gpus)
    if compute == ComputeBody():
        return Machine(None, None)
    if preferred in {each.name for each in fitting}:
        return Machine(preferred, gpus)
    # Whoever names cores or memory and no GPU means a machine without one.
    fitting = [each for each in fitting if gpus or each.gpu_model is None]
    if not fitting:
        known = ", ".join(sorted(profiles))
        errors.append(FieldError("compute", f"no hardware profile has this; there are {known}"))
        return Machine(None, gpus)
    best = min(
        fitting,
        key=lambda each: (each.name != DEFAULT_HARDWARE_PROFILE, each.price_per_hour, each.name),
    )
    return Machine(best.name, gpus)


def compute_body(spec: JobSpec, profiles: Mapping[str, HardwareProfile]) -> ComputeBody:
    """What a job's machines have, as `compute` says it."""
    profile = profiles.get(spec.hardware_profile)
    if profile is None:
        return ComputeBody(gpu_devices_request=spec.gpu_count)
    needed = requirement(profile, spec.gpu_count)
    return ComputeBody(
        gpu_devices_request=spec.gpu_count,
        cpu_core_request=needed.cpu_cores,
        cpu_memory_request=quantity(needed.memory_bytes),
    )


def quantity(size_bytes: int) -> str:
    """A number of bytes as Kubernetes writes it, in the largest unit that leaves a whole number."""
    for power, letter in reversed(tuple(enumerate("KMGT", start=1))):
        if size_bytes and size_bytes % 1024**power == 0:
            return f"{size_bytes // 1024**power}{letter}i"
    return str(size_bytes)


def parsed_quantity(text: str) -> float | None:
    """The number that a quantity of Kubernetes stands for; None where it is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found.group(3) not in _SUFFIXES:
        return None
    return float(found.group(1) + (found.group(2) or "")) * _SUFFIXES[found.group(3)]


def _fractions(compute: ComputeBody) -> Iterator[FieldError]:
    whole = "only whole GPUs can be had: use gpuDevicesRequest"
    if compute.gpu_request_type not in (None, "portion"):
        yield FieldError("compute.gpuRequestType", whole)
    for name, portion in (
        ("gpuPortionRequest", compute.gpu_portion_request),
        ("gpuPortionLimit", compute.gpu_portion_limit),
    ):
        if portion is not None and portion != 1:
            yield FieldError(f"compute.{name}", whole)
    for name, amount in (
        ("gpuMemoryRequest", compute.gpu_memory_request),
        ("gpuMemoryLimit", compute.gpu_memory_limit),
    ):
        if amount is not None:
            yield FieldError(f"compute.{name}", whole)
    for name, text in (
        ("cpuMemoryRequest", compute.cpu_memory_request),
        ("cpuMemoryLimit", compute.cpu_memory_limit),
    ):
        if text is not None and parsed_quantity(text) is None:
            yield FieldError(f"compute.{name}", "must be a quantity such as 16Gi")


def _fits(profile: HardwareProfile, compute: ComputeBody, gpus: int | None) -> bool:
    if gpus is not None and (gpus > 0) != (profile.gpu_model is not None):
        return False
    needed = requirement(profile, max(gpus or 0, 1))
    memory = compute.cpu_memory_request, compute.cpu_memory_limit
    memory_request, memory_limit = (None if text is None else parsed_quantity(text) for text in memory)
    return _within(needed.cpu_cores, compute.cpu_core_request, compute.cpu_core_limit) and _within(
        needed.memory_bytes, memory_request, memory_limit
    )


def _within(amount: float, request: float | None, limit: float | None) -> bool:
    return (request is None or amount >= request) and (limit is None or amount <= limit)


def _named(
    node_pools: tuple[str, ...] | None,
    node_type: str | None,
    profiles: Mapping[str, HardwareProfile],
    errors: list[FieldError],
) -> HardwareProfile | None:
    """The machine that the user named: the first pool that is one, else the type of node."""
    if node_type is not None:
        wanted = node_type.lower()
        by_type = [
            each
            for each in profiles.values()
            if wanted in (each.name.lower(), (each.gpu_model or "").lower())
        ]
        if not by_type:
            known = ", ".join(sorted(profiles))
            errors.append(FieldError("nodeType", f"must be a hardware profile or its GPU: {known}"))
        elif not node_pools or node_pools == (NODE_POOL,):
            return min(by_type, key=lambda each: (each.price_per_hour, each.name))
    for number, pool in enumerate(node_pools or ()):
        if pool != NODE_POOL and pool not in profiles:
            known = ", ".join((NODE_POOL, *sorted(profiles)))
            errors.append(FieldError(f"nodePools.{number}", f"must be one of {known}, got {pool!r}"))
            return None
    first = next(iter(node_pools or ()), NODE_POOL)
    return profiles.get(first)
