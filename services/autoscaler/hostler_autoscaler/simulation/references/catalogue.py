"""The references by the names that a user gives them."""

from collections.abc import Callable

from hostler_autoscaler.simulation.interface import Policy
from hostler_autoscaler.simulation.references.aibrix import Apa
from hostler_autoscaler.simulation.references.cooldowns import Dstack, SkyServe
from hostler_autoscaler.simulation.references.dynamo import DynamoLike
from hostler_autoscaler.simulation.references.fixed import FixedAtMax
from hostler_autoscaler.simulation.references.hpa import Hpa
from hostler_autoscaler.simulation.references.knative import Kpa
from hostler_autoscaler.simulation.references.ray_serve import RayServe

REFERENCES: dict[str, Callable[[float], Policy]] = {
    "hpa": lambda _: Hpa(latency=False),
    "hpa-p95": lambda _: Hpa(latency=True),
    "knative": lambda _: Kpa(),
    "ray": RayServe,
    "dstack": lambda _: Dstack(),
    "skyserve": lambda _: SkyServe(),
    "aibrix": Apa,
    "dynamo": lambda _: DynamoLike(),
    "max": lambda _: FixedAtMax(),
}
"""Each is made from the number of requests that a replica is meant to have under way, which some of them scale on."""


def named(name: str, *, target_concurrency: float) -> Policy | None:
    """A new policy of that name; None if there is none.

    Args:
        name: One of REFERENCES.
        target_concurrency: The requests that a replica is meant to have under way: its target rate times the mean latency there.
    """
    make = REFERENCES.get(name)
    return make(target_concurrency) if make else None
