"""The runtimes that a KubeVirt cluster can start, by name. Pure; the backend asks it for every launch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.guests import machine_only, nim, parakeet, vllm
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings, Wanted

RUNTIMES: Mapping[str, Callable[[Wanted, GuestSettings], Guest]] = MappingProxyType(
    {
        vllm.RUNTIME: vllm.vllm,
        parakeet.RUNTIME: parakeet.parakeet,
        nim.RUNTIME: nim.nim,
        machine_only.RUNTIME: machine_only.machine_only,
    }
)
MODELS_BY_RUNTIME: Mapping[str, tuple[str, ...] | None] = MappingProxyType(
    {
        vllm.RUNTIME: None,
        parakeet.RUNTIME: tuple(parakeet.MODELS),
        nim.RUNTIME: None,
        machine_only.RUNTIME: None,
    }
)
"""What each can serve; None means any. For the inventory."""


def guest_of(wanted: Wanted, settings: GuestSettings) -> Guest:
    """What runs in a replica's machine.

    Raises:
        PermanentError: it can't; the message names the field.
    """
    make = RUNTIMES.get(wanted.runtime)
    if make is None:
        raise PermanentError(
            f"runtime must be one of {', '.join(RUNTIMES)} on this cluster, not {wanted.runtime!r}"
        )
    return make(wanted, settings)
