"""Requests about model masters and hardware profiles and how their answers are read: the part that both clients share. No I/O."""

from collections.abc import Mapping
from urllib.parse import quote

from hostler_client.catalogue_models import (
    HardwareProfile,
    HardwareProfilePage,
    ModelMaster,
    ModelMasterPage,
    NewHardwareProfile,
    NewModelMaster,
)
from hostler_client.jobs_api import Call, given, nothing, reader

_JSON = {"Content-Type": "application/json"}


def masters_page(*, after: str | None = None, limit: int | None = None) -> Call[ModelMasterPage]:
    """Read one page of masters."""
    params = given(after=after, limit=None if limit is None else str(limit))
    return Call("GET", "/v1/model-masters", reader(ModelMasterPage), params=params)


def get_master(model: str) -> Call[ModelMaster]:
    """Read one master."""
    return Call("GET", _master_path(model), reader(ModelMaster), tag=_tagged_master)


def create_master(master: NewModelMaster) -> Call[ModelMaster]:
    """Add a master; its model keeps a second one from being made."""
    body = master.body(named=True)
    return Call(
        "POST", "/v1/model-masters", reader(ModelMaster), headers=_JSON, body=body, tag=_tagged_master
    )


def put_master(master: NewModelMaster, *, revision: int | None) -> Call[ModelMaster]:
    """Add or replace a master."""
    return Call(
        "PUT",
        _master_path(master.model),
        reader(ModelMaster),
        headers=_JSON | if_match(revision),
        body=master.body(named=False),
        tag=_tagged_master,
    )


def delete_master(model: str, *, revision: int | None) -> Call[None]:
    """Forget a master."""
    return Call("DELETE", _master_path(model), nothing, headers=if_match(revision))


def profiles_page(*, after: str | None = None, limit: int | None = None) -> Call[HardwareProfilePage]:
    """Read one page of profiles."""
    params = given(after=after, limit=None if limit is None else str(limit))
    return Call("GET", "/v1/hardware-profiles", reader(HardwareProfilePage), params=params)


def get_profile(name: str) -> Call[HardwareProfile]:
    """Read one profile."""
    return Call("GET", _profile_path(name), reader(HardwareProfile), tag=_tagged_profile)


def create_profile(profile: NewHardwareProfile) -> Call[HardwareProfile]:
    """Add a profile; its name keeps a second one from being made."""
    return Call(
        "POST",
        "/v1/hardware-profiles",
        reader(HardwareProfile),
        headers=_JSON,
        body=profile.body(named=True),
        tag=_tagged_profile,
    )


def put_profile(profile: NewHardwareProfile, *, revision: int | None) -> Call[HardwareProfile]:
    """Add or replace a profile."""
    return Call(
        "PUT",
        _profile_path(profile.name),
        reader(HardwareProfile),
        headers=_JSON | if_match(revision),
        body=profile.body(named=False),
        tag=_tagged_profile,
    )


def delete_profile(name: str, *, revision: int | None) -> Call[None]:
    """Take a profile away."""
    return Call("DELETE", _profile_path(name), nothing, headers=if_match(revision))


def if_match(revision: int | None) -> dict[str, str]:
    """The header that ties a change to the revision that was read."""
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _tagged_master(master: ModelMaster, headers: Mapping[str, str]) -> ModelMaster:
    return master.model_copy(update={"revision": _revision(headers)})


def _tagged_profile(profile: HardwareProfile, headers: Mapping[str, str]) -> HardwareProfile:
    return profile.model_copy(update={"revision": _revision(headers)})


def _revision(headers: Mapping[str, str]) -> int | None:
    tag = headers.get("etag", "").removeprefix("W/").strip('"')
    return int(tag) if tag.isdecimal() else None


def _master_path(model: str) -> str:
    return f"/v1/model-masters/{quote(model, safe='/')}"


def _profile_path(name: str) -> str:
    return f"/v1/hardware-profiles/{quote(name, safe='')}"
