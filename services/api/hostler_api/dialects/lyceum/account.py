"""Routes around deployments that Lyceum's clients ask before and beside them: machines, prices, orgs."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from hostler_api.catalogues import Catalogues
from hostler_api.dialects.lyceum.offers import (
    HardwareList,
    MachineTypeList,
    Org,
    PriceList,
    UserOrg,
    machine_types,
    org,
    prices,
)
from hostler_api.dialects.lyceum.org import OrgReader
from hostler_api.dialects.lyceum.refusals import refusals
from hostler_domain.errors import NotFound

router = APIRouter(tags=["lyceum: account"])


class SharedModels(BaseModel):
    """Models that are served to everybody and paid by the token."""

    object: str = "list"
    data: tuple[str, ...] = ()


def _catalogues(request: Request) -> Catalogues:
    catalogues: Catalogues = request.app.state.catalogues
    return catalogues


@router.get("/machine-types", responses=refusals())
async def list_machine_types(request: Request, caller: OrgReader) -> MachineTypeList:
    """Every hardware profile and what a replica on it costs. Clients check their key with this."""
    del caller  # the same for every org
    return machine_types(_catalogues(request).profiles.records)


@router.get("/pricing", responses=refusals())
async def list_prices(request: Request, caller: OrgReader) -> PriceList:
    """What an hour of a replica costs on each hardware profile."""
    del caller  # the same for every org
    return prices(_catalogues(request).profiles.records)


@router.get("/user/quotas/available-hardware", responses=refusals())
async def list_available_hardware(request: Request, caller: OrgReader) -> HardwareList:
    """Hardware profiles that may be asked for: all of them."""
    del caller  # the same for every org
    return HardwareList(available_hardware_profiles=tuple(sorted(_catalogues(request).profiles.records)))


@router.get("/user/org", responses=refusals())
async def get_user_org(request: Request, caller: OrgReader) -> UserOrg:
    """The org that requests with this key and `X-Org-Slug` act for."""
    known = _catalogues(request).projects.records.get(caller.project)
    return UserOrg(
        org_id=known.project_id if known else caller.project,
        slug=caller.project,
        name=caller.project,
        is_personal=False,
        is_key_scoped=not caller.caller.admin,
    )


@router.get("/orgs", responses=refusals())
async def list_orgs(request: Request, caller: OrgReader) -> tuple[Org, ...]:
    """Orgs that the key may act for."""
    key = caller.caller
    return tuple(
        org(each, admin=key.admin)
        for _, each in sorted(_catalogues(request).projects.records.items())
        if key.sees(each.name)
    )


@router.get("/orgs/{slug}", responses=refusals())
async def get_org(request: Request, slug: str, caller: OrgReader) -> Org:
    """One org."""
    key = caller.caller
    found = _catalogues(request).projects.records.get(slug)
    if found is None or not key.sees(found.name):
        raise NotFound(f"there is no org {slug!r} for this API key")
    return org(found, admin=key.admin)


@router.get("/serverless/models", responses=refusals())
async def list_shared_models(caller: OrgReader) -> SharedModels:
    """None: Hostler serves deployments only."""
    del caller  # the same for every org
    return SharedModels()
