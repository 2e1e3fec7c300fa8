"""The native API's routes under `/v1/model-masters` and `/v1/hardware-profiles`: everyone reads, admins write."""

from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field

from hostler_api.access import AdminCaller, Reader
from hostler_api.catalogues import Catalogues
from hostler_api.documents import Document
from hostler_api.numbers import Flag, Number, Whole
from hostler_api.openapi import headers
from hostler_api.problems import answered, described
from hostler_api.records import RecordService
from hostler_api.request_body import RequestBody
from hostler_api.routes import revision_of
from hostler_api.shipped import RUNTIMES
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Parameter
from hostler_domain.catalogue_rules import master_errors, profile_errors
from hostler_domain.errors import FieldError, InvalidFields

DocumentT = TypeVar("DocumentT", bound=Document)

After = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500)]
IfMatch = Annotated[
    str | None, Header(description="The ETag that the change is meant for; anything by default.")
]


class ParameterBody(RequestBody):
    """A serving parameter; a job may give another value for one that is tunable."""

    value: str = Field(max_length=4096)
    tunable: Flag = True


class OverridesBody(RequestBody):
    """What is merged into every job of the model."""

    root_disk_gb: Whole | None = None
    env: Mapping[str, str] = Field(default_factory=dict, max_length=100)


class MasterFields(RequestBody):
    """What is known about a model, but for its id."""

    runtime: str = Field(max_length=63, examples=["vllm"])
    runtime_image: str | None = Field(default=None, max_length=500)
    parameters: Mapping[str, ParameterBody] = Field(default_factory=dict, max_length=100)
    overrides: OverridesBody = OverridesBody()
    hardware_profile: str | None = Field(default=None, max_length=63, description="Recommended.")
    gpu_count: Whole = Field(default=0, description="Recommended, for each replica.")
    context_length_tokens: Whole | None = None


class MasterBody(MasterFields):
    """A model master to make."""

    model: str = Field(max_length=200, examples=["Qwen/Qwen3-32B"])


class ParameterDocument(Document):
    """A serving parameter."""

    value: str
    tunable: bool


class OverridesDocument(Document):
    """What is merged into every job of the model."""

    root_disk_gb: int | None
    env: Mapping[str, str]


class MasterDocument(Document):
    """A model master."""

    model: str
    runtime: str
    runtime_image: str | None
    parameters: Mapping[str, ParameterDocument]
    overrides: OverridesDocument
    hardware_profile: str | None
    gpu_count: int
    context_length_tokens: int | None


class ProfileFields(RequestBody):
    """A kind of machine, but for its name. CPUs and memory are per GPU, or of the whole replica where it has none."""

    gpu_model: str | None = Field(default=None, examples=["A100-SXM4-80GB"])
    device_name: str | None = Field(default=None, examples=["nvidia.com/GA100_A100_SXM4_80GB"])
    cpu_cores: Number
    memory_bytes: Whole
    price_per_hour: Number = 0.0


class ProfileBody(ProfileFields):
    """A hardware profile to make."""

    name: str = Field(max_length=63, examples=["gpu.a100"])


class ProfileDocument(Document):
    """A hardware profile."""

    name: str
    gpu_model: str | None
    device_name: str | None
    cpu_cores: float
    memory_bytes: int
    price_per_hour: float


class Page(Document, Generic[DocumentT]):
    """One page by name; `next` goes into `after` for the page behind it."""

    data: tuple[DocumentT, ...]
    has_more: bool
    next: str | None


ModelPath = Annotated[str, Path(max_length=200, description="Hugging Face id; its slash needs no escape.")]
ProfilePath = Annotated[str, Path(max_length=63)]

router = APIRouter(prefix="/v1")
FOUND = answered(200, "It, with its revision", "ETag")


@router.get("/model-masters", tags=["model masters"], responses=described(400, 401, 403))
async def list_masters(
    request: Request, caller: Reader, after: After = None, limit: Limit = 50
) -> Page[MasterDocument]:
    """What is known about models."""
    del caller  # every key may read the catalogues
    found, more = _masters(request).list(after=after, limit=limit)
    return Page(
        data=tuple(master_document(each) for each in found),
        has_more=more,
        next=found[-1].model if more else None,
    )


@router.post(
    "/model-masters",
    tags=["model masters"],
    status_code=201,
    responses=answered(201, "It is made", "ETag", "Location") | described(400, 401, 403, 409, 503),
)
async def create_master(
    request: Request, response: Response, body: MasterBody, caller: AdminCaller
) -> MasterDocument:
    """Add what is known about a model. Jobs made from now on are prefilled by it."""
    master = _checked_master(request, body.model, body)
    stored = await _masters(request).create(caller, master)
    response.headers["Location"] = f"/v1/model-masters/{master.model}"
    return _tagged(response, stored.revision, master_document(stored.record))


@router.get(
    "/model-masters/{model:path}",
    tags=["model masters"],
    responses=FOUND | described(400, 401, 403, 404, 503),
)
async def get_master(
    request: Request, response: Response, model: ModelPath, caller: Reader
) -> MasterDocument:
    """What is known about one model."""
    del caller  # as above
    stored = await _masters(request).get(model)
    return _tagged(response, stored.revision, master_document(stored.record))


@router.put(
    "/model-masters/{model:path}",
    tags=["model masters"],
    responses={
        **answered(200, "It is replaced", "ETag"),
        **described(400, 401, 403, 412, 503),
        201: {"model": MasterDocument, "description": "It is new", "headers": headers("ETag")},
    },
)
async def put_master(
    request: Request,
    response: Response,
    model: ModelPath,
    body: MasterFields,
    caller: AdminCaller,
    if_match: IfMatch = None,
) -> MasterDocument:
    """Add or replace what is known about a model. Jobs that exist keep what they were made from."""
    master = _checked_master(request, model, body)
    stored, new = await _masters(request).put(caller, master, revision_of(if_match))
    response.status_code = 201 if new else 200
    return _tagged(response, stored.revision, master_document(stored.record))


@router.delete(
    "/model-masters/{model:path}",
    tags=["model masters"],
    status_code=204,
    responses=described(400, 401, 403, 404, 412, 503),
)
async def delete_master(
    request: Request, model: ModelPath, caller: AdminCaller, if_match: IfMatch = None
) -> None:
    """Forget what is known about a model. Jobs that exist keep what they were made from."""
    await _masters(request).delete(caller, model, revision_of(if_match))


@router.get("/hardware-profiles", tags=["hardware profiles"], responses=described(400, 401, 403))
async def list_profiles(
    request: Request, caller: Reader, after: After = None, limit: Limit = 50
) -> Page[ProfileDocument]:
    """The kinds of machine that replicas can ask for."""
    del caller  # as above
    found, more = _profiles(request).list(after=after, limit=limit)
    return Page(
        data=tuple(ProfileDocument.model_validate(each) for each in found),
        has_more=more,
        next=found[-1].name if more else None,
    )


@router.post(
    "/hardware-profiles",
    tags=["hardware profiles"],
    status_code=201,
    responses=answered(201, "It is made", "ETag", "Location") | described(400, 401, 403, 409, 503),
)
async def create_profile(
    request: Request, response: Response, body: ProfileBody, caller: AdminCaller
) -> ProfileDocument:
    """Add a kind of machine."""
    stored = await _profiles(request).create(caller, _checked_profile(body.name, body))
    response.headers["Location"] = f"/v1/hardware-profiles/{stored.record.name}"
    return _tagged(response, stored.revision, ProfileDocument.model_validate(stored.record))


@router.get(
    "/hardware-profiles/{name}",
    tags=["hardware profiles"],
    responses=FOUND | described(400, 401, 403, 404, 503),
)
async def get_profile(
    request: Request, response: Response, name: ProfilePath, caller: Reader
) -> ProfileDocument:
    """One kind of machine."""
    del caller  # as above
    stored = await _profiles(request).get(name)
    return _tagged(response, stored.revision, ProfileDocument.model_validate(stored.record))


@router.put(
    "/hardware-profiles/{name}",
    tags=["hardware profiles"],
    responses={
        **answered(200, "It is replaced", "ETag"),
        **described(400, 401, 403, 412, 503),
        201: {"model": ProfileDocument, "description": "It is new", "headers": headers("ETag")},
    },
)
async def put_profile(
    request: Request,
    response: Response,
    name: ProfilePath,
    body: ProfileFields,
    caller: AdminCaller,
    if_match: IfMatch = None,
) -> ProfileDocument:
    """Add or replace a kind of machine. Replicas that are placed keep what they hold."""
    profile = _checked_profile(name, body)
    stored, new = await _profiles(request).put(caller, profile, revision_of(if_match))
    response.status_code = 201 if new else 200
    return _tagged(response, stored.revision, ProfileDocument.model_validate(stored.record))


@router.delete(
    "/hardware-profiles/{name}",
    tags=["hardware profiles"],
    status_code=204,
    responses=described(400, 401, 403, 404, 409, 412, 503),
)
async def delete_profile(
    request: Request, name: ProfilePath, caller: AdminCaller, if_match: IfMatch = None
) -> None:
    """Take a kind of machine away that no job asks for any more."""
    await _profiles(request).delete(caller, name, revision_of(if_match))


def master_document(master: ModelMaster) -> MasterDocument:
    """The document of a model master."""
    return MasterDocument(
        model=master.model,
        runtime=master.runtime,
        runtime_image=master.runtime_image,
        parameters={name: ParameterDocument.model_validate(each) for name, each in master.parameters.items()},
        overrides=OverridesDocument(root_disk_gb=master.root_disk_gb, env=master.env),
        hardware_profile=master.hardware_profile,
        gpu_count=master.gpu_count,
        context_length_tokens=master.context_length_tokens,
    )


def _checked_master(request: Request, model: str, body: MasterFields) -> ModelMaster:
    catalogues: Catalogues = request.app.state.catalogues
    master = ModelMaster(
        model=model,
        runtime=body.runtime,
        runtime_image=body.runtime_image,
        parameters={name: Parameter(each.value, each.tunable) for name, each in body.parameters.items()},
        env=dict(body.overrides.env),
        root_disk_gb=body.overrides.root_disk_gb,
        hardware_profile=body.hardware_profile,
        gpu_count=body.gpu_count,
        context_length_tokens=body.context_length_tokens,
    )
    errors = list(master_errors(master))
    if master.runtime not in RUNTIMES:
        errors.append(FieldError("runtime", f"must be one of {', '.join(RUNTIMES)}"))
    if master.hardware_profile is not None and master.hardware_profile not in catalogues.profiles.records:
        errors.append(
            FieldError("hardware_profile", f"must be one of {', '.join(sorted(catalogues.profiles.records))}")
        )
    if errors:
        raise InvalidFields(*errors)
    return master


def _checked_profile(name: str, body: ProfileFields) -> HardwareProfile:
    profile = HardwareProfile(
        name=name,
        gpu_model=body.gpu_model,
        device_name=body.device_name,
        cpu_cores=body.cpu_cores,
        memory_bytes=body.memory_bytes,
        price_per_hour=body.price_per_hour,
    )
    errors = list(profile_errors(profile))
    if errors:
        raise InvalidFields(*errors)
    return profile


def _tagged(response: Response, revision: int, document: DocumentT) -> DocumentT:
    response.headers["ETag"] = f'"{revision}"'
    return document


def _masters(request: Request) -> RecordService[ModelMaster]:
    service: RecordService[ModelMaster] = request.app.state.masters
    return service


def _profiles(request: Request) -> RecordService[HardwareProfile]:
    service: RecordService[HardwareProfile] = request.app.state.profiles
    return service
