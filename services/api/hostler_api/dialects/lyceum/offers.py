"""Lyceum's answers about what there is to be had: models, machines, prices, orgs; made from the catalogues.

Pure; called by the routes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

from hostler_api.dialects.lyceum.documents import Answer
from hostler_api.dialects.lyceum.requests import gpu_type
from hostler_api.requests import DEFAULT_HARDWARE_PROFILE
from hostler_domain.capacity import Allocation, Node, free, requirement
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Project
from hostler_domain.job import Timeouts

REPLICA_METER: Final = "replica_running"
"""Lyceum names its meters as it likes; this one counts the hours of a replica."""


class ModelAnswer(Answer):
    """A model that can be deployed, on its recommended hardware. The price is per replica and hour."""

    serving_name: str
    hf_model_id: str
    gpu_type: str
    gpu_count: int
    price_per_hour: str | None
    is_gpu_available: bool | None
    ready_timeout_s: int


class ModelList(Answer):
    """Every model that a model master knows."""

    models: tuple[ModelAnswer, ...]


class MachineType(Answer):
    """A hardware profile and what a replica on it costs."""

    hardware_profile: str
    price_per_hour: float


class MachineTypeList(Answer):
    """Every hardware profile."""

    machine_types: tuple[MachineType, ...]


class AppliesTo(Answer):
    """What a price is for; null where it is the same for every deployment."""

    deployment_id: str | None = None


class GroupBy(Answer):
    """What a price depends on."""

    hardware_profile: str


class Price(Answer):
    """The price of one unit of a meter: here of one hour of one replica."""

    meter_slug: str = REPLICA_METER
    unit_price: str
    unit_price_per_hour: str
    applies_to: AppliesTo = AppliesTo()
    group_by: GroupBy


class PriceList(Answer):
    """Every price."""

    prices: tuple[Price, ...]


class HardwareList(Answer):
    """Hardware profiles that the caller may use."""

    available_hardware_profiles: tuple[str, ...]


class UserOrg(Answer):
    """The org that a request acts for."""

    org_id: str
    slug: str
    name: str
    is_personal: bool
    is_key_scoped: bool


class Org(Answer):
    """An org, which is a project; nobody has one to themselves, so none is anybody's default."""

    id: str
    slug: str
    name: str
    is_default: bool = False
    role: Literal["owner", "member"]
    billing_email: str | None = None
    created_at: datetime


def model_list(
    masters: Mapping[str, ModelMaster],
    profiles: Mapping[str, HardwareProfile],
    nodes: Iterable[Node],
    allocations: Iterable[Allocation],
) -> ModelList:
    """What can be deployed, by name."""
    taken, known_nodes = tuple(allocations), tuple(nodes)
    return ModelList(
        models=tuple(_model(masters[name], profiles, known_nodes, taken) for name in sorted(masters))
    )


def machine_types(profiles: Mapping[str, HardwareProfile]) -> MachineTypeList:
    """Every hardware profile, by name."""
    return MachineTypeList(
        machine_types=tuple(
            MachineType(hardware_profile=name, price_per_hour=profiles[name].price_per_hour)
            for name in sorted(profiles)
        )
    )


def prices(profiles: Mapping[str, HardwareProfile]) -> PriceList:
    """What an hour of a replica costs on each hardware profile."""
    rows = []
    for name in sorted(profiles):
        per_hour = _amount(profiles[name].price_per_hour)
        rows.append(
            Price(unit_price=per_hour, unit_price_per_hour=per_hour, group_by=GroupBy(hardware_profile=name))
        )
    return PriceList(prices=tuple(rows))


def org(project: Project, *, admin: bool) -> Org:
    """A project as an org."""
    return Org(
        id=project.project_id,
        slug=project.name,
        name=project.name,
        role="owner" if admin else "member",
        created_at=project.created_at,
    )


def _model(
    master: ModelMaster,
    profiles: Mapping[str, HardwareProfile],
    nodes: tuple[Node, ...],
    allocations: tuple[Allocation, ...],
) -> ModelAnswer:
    name = master.hardware_profile or DEFAULT_HARDWARE_PROFILE
    profile = profiles.get(name)
    count = max(master.gpu_count, 1)
    return ModelAnswer(
        serving_name=master.model,
        hf_model_id=master.model,
        gpu_type=gpu_type(name),
        gpu_count=count,
        price_per_hour=_amount(profile.price_per_hour * count) if profile else None,
        is_gpu_available=_room(master, profile, count, nodes, allocations) if profile else None,
        ready_timeout_s=Timeouts().initialization_seconds,
    )


def _room(
    master: ModelMaster,
    profile: HardwareProfile,
    gpu_count: int,
    nodes: tuple[Node, ...],
    allocations: tuple[Allocation, ...],
) -> bool | None:
    """Whether some node has room for one more replica of it now; None while no node is known."""
    if not nodes:
        return None
    wanted = requirement(profile, gpu_count if profile.gpu_model else 0)
    return any(
        (profile.gpu_model is None or node.gpu_model == profile.gpu_model)
        and master.runtime in node.runtimes
        and node.can_serve(master.model, master.runtime)
        and not free(node, allocations).shortages(wanted)
        for node in nodes
    )


def _amount(price: float) -> str:
    """A price as a decimal number in text, as clients that count money want it."""
    return f"{price:.6f}".rstrip("0").rstrip(".")
