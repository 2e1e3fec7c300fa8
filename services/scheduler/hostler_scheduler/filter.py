"""May this replica run on that node? Named predicates, each of which says no with a sentence.

A predicate is *lasting* when nothing that replicas do will change its answer: a job that a lasting predicate keeps from every
node waits for hardware, any other one waits for room.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from hostler_domain.capacity import Node, Resources
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.job import JobSpec


@dataclass(frozen=True, slots=True)
class Request:
    """What one replica asks of a node."""

    spec: JobSpec
    profile: HardwareProfile
    needed: Resources

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for requests that every predicate answers alike."""
        spec = self.spec
        return spec.runtime, spec.model, spec.sites, self.profile.name, self.needed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, what is left of it, and the moment after which a report of it counts as fresh."""

    node: Node
    free: Resources
    fresh_since: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not take a replica.

    Attributes:
        predicate: Which one said no.
        reason: As a sentence. It never holds an age, so that waiting alone makes no new sentence.
        lasting: Whether it would say no on an empty node too.
    """

    predicate: str
    reason: str
    lasting: bool


HINTS = MappingProxyType({"whisper": " (`make setup-speech` adds it)"})
"""What to do about a runtime that the local backend does not bring along by itself."""


def refusals(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """Everything that speaks against the node; empty when it may take the replica."""
    return tuple(refusal for predicate in PREDICATES for refusal in predicate(request, candidate))


def runtime_supported(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The node can start this kind of inference server."""
    if request.spec.runtime in candidate.node.runtimes:
        return ()
    can = ", ".join(sorted(candidate.node.runtimes)) or "nothing"
    hint = HINTS.get(request.spec.runtime, "")
    return (
        Refusal("runtime_supported", f"can't run {request.spec.runtime}, only {can}{hint}", lasting=True),
    )


def model_available(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The node can get the weights; a job without a model needs none."""
    if not request.spec.model or candidate.node.can_serve(request.spec.model, request.spec.runtime):
        return ()
    return (Refusal("model_available", f"does not have the model {request.spec.model}", lasting=True),)


def at_location(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The node stands at one of the sites that the job asks for."""
    wanted, there = request.spec.sites, candidate.node.location
    if not wanted or there in wanted:
        return ()
    at = f"is at {there or 'no named location'}, not at {' or '.join(wanted)}"
    return (Refusal("at_location", at, lasting=True),)


def gpu_model_matches(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The node's GPUs are those that the hardware profile names; a profile without GPUs takes any node."""
    wanted, there = request.profile.gpu_model, candidate.node.gpu_model
    if wanted is None or wanted == there:
        return ()
    return (
        Refusal(
            "gpu_model_matches", f"has {f'{there} GPUs' if there else 'no GPU'}, not {wanted}", lasting=True
        ),
    )


def device_matches(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The node's cluster hands its GPUs out by the name that the hardware profile knows; asked only where both give one."""
    wanted, there = request.profile.device_name, candidate.node.device_name
    if wanted is None or there is None or wanted == there:
        return ()
    return (Refusal("device_matches", f"hands out {there}, not {wanted}", lasting=True),)


def large_enough(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The replica would fit if the node were empty."""
    return tuple(
        Refusal("large_enough", f"{shortage} even when empty", lasting=True)
        for shortage in _without_free(candidate.node.capacity.shortages(request.needed))
    )


def room_left(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:
    """The replica fits beside those that are there; asked only of a node that is large enough."""
    if candidate.node.capacity.shortages(request.needed):
        return ()
    return tuple(
        Refusal("room_left", shortage, lasting=False) for shortage in candidate.free.shortages(request.needed)
    )


def reported_lately(request: Request, candidate: Candidate) -> tuple[Refusal, ...]:  # noqa: ARG001  # all predicates are called alike
    """The node's provisioner has been heard of, so that the node is likely to be there."""
    if candidate.node.reported_at >= candidate.fresh_since:
        return ()
    at = candidate.node.reported_at.isoformat(timespec="seconds")
    return (Refusal("reported_lately", f"has not been heard of since {at}", lasting=False),)


Predicate = Callable[[Request, Candidate], tuple[Refusal, ...]]
PREDICATES: tuple[Predicate, ...] = (
    runtime_supported,
    model_available,
    at_location,
    gpu_model_matches,
    device_matches,
    large_enough,
    room_left,
    reported_lately,
)


def _without_free(shortages: tuple[str, ...]) -> tuple[str, ...]:
    """The sentences of an empty node: all of it is free, so it *has* that much."""
    return tuple(shortage.removesuffix(" free") for shortage in shortages)
