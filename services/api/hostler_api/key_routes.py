"""The native API's routes under `/v1/api-keys`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AwareDatetime, Field

from hostler_api.access import Caller, KeyReader, KeyWriter
from hostler_api.documents import Document
from hostler_api.key_rules import NAME_LENGTH_MAX, OVERLAP_SECONDS_MAX, KeyFamily, KeyStatus, name_errors
from hostler_api.keys import KeyService, Wanted
from hostler_api.limit_bodies import LimitsRequest
from hostler_api.numbers import Whole
from hostler_api.problems import answered, described
from hostler_api.request_body import RequestBody
from hostler_api.usage import UsageTotals
from hostler_api.usage_times import Granularity, span
from hostler_contracts.catalogue import Scope
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.limits import Limits
from hostler_kit.clock import Clock


class NewKeyRequest(RequestBody):
    """An API key to make. It can hold no more than the key that asks for it."""

    name: str = Field(max_length=NAME_LENGTH_MAX, examples=["ci"])
    scopes: tuple[Scope, ...] = Field(max_length=10, examples=[["jobs:read", "inference"]])
    project: str | None = Field(
        default=None, max_length=63, description="The asking key's by default; another one for admins."
    )
    allowed_jobs: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] | None = Field(
        default=None,
        description="Ids or names of the only jobs that it may touch; all of the project by default.",
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="When it stops working; never by default."
    )
    limits: LimitsRequest | None = Field(
        default=None, description="How much inference it may use; as much as the asking key by default."
    )


class KeyPatch(RequestBody):
    """What shall be different."""

    name: str | None = Field(default=None, max_length=NAME_LENGTH_MAX, description="It can't be null.")
    limits: LimitsRequest | None = Field(default=None, description="null takes all of them away.")


class RotateRequest(RequestBody):
    """How to give a key a new secret."""

    overlap_seconds: Whole = Field(
        default=3600,
        ge=0,
        le=OVERLAP_SECONDS_MAX,
        description="For how long the present secret works beside the new one.",
    )


class StatusFilter(StrEnum):
    """Which keys to list."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ALL = "all"


class Order(StrEnum):
    """How to sort a list."""

    NEWEST = "-created_at"
    OLDEST = "created_at"


class KeyDocument(Document):
    """An API key without its secret; `prefix` is how people recognise it."""

    key_id: str
    name: str
    project: str
    prefix: str
    scopes: tuple[Scope, ...]
    allowed_jobs: tuple[str, ...] | None
    status: KeyStatus
    created_at: datetime
    created_by: str
    limits: Limits | None
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    overlap_ends_at: datetime | None = Field(
        description="Until when the secret before the last rotation works too."
    )
    last_used_at: datetime | None = Field(description="The hour of the last use.")


class IssuedKeyDocument(KeyDocument):
    """An API key with its new secret, which is shown in this answer and never again."""

    secret: str


class KeyList(Document):
    """One page of keys; `next` goes into `after` for the page behind it."""

    data: tuple[KeyDocument, ...]
    has_more: bool
    next: str | None


class KeyUsageDocument(Document):
    """What one key used in one bucket of time."""

    key_id: str
    start: datetime
    end: datetime
    requests: int
    failed_requests: int
    prompt_tokens: int
    completion_tokens: int
    audio_seconds: float


class KeyUsageList(Document):
    """Usage per key and bucket, empty buckets left out."""

    granularity: Granularity
    start: datetime
    end: datetime
    data: tuple[KeyUsageDocument, ...]


router = APIRouter(prefix="/v1/api-keys", tags=["api-keys"])

Start = Annotated[AwareDatetime | None, Query(description="30 days before the end by default.")]
End = Annotated[AwareDatetime | None, Query(description="Now by default.")]
_NO_STORE = "no-store"


@router.post(
    "",
    status_code=201,
    responses=answered(201, "The key and its secret", "Location") | described(400, 401, 403, 409, 503),
)
async def create_key(
    request: Request,
    response: Response,
    body: NewKeyRequest,
    caller: KeyWriter,
    idempotency_key: Annotated[
        str | None, Header(description="The same key makes no second API key for 24 hours; it answers 409.")
    ] = None,
) -> IssuedKeyDocument:
    """Make an API key. Its secret is in this answer alone."""
    limits = body.limits.limits() if body.limits else None
    wanted = Wanted(body.name, body.scopes, body.project, body.allowed_jobs, body.expires_at, limits)
    issued = await _service(request).create(caller, wanted, idempotency_key)
    response.headers["Location"] = f"/v1/api-keys/{issued.family.key_id}"
    response.headers["Cache-Control"] = _NO_STORE
    return IssuedKeyDocument(secret=issued.secret, **_fields(request, issued.family))


@router.get("", responses=described(400, 401, 403))
async def list_keys(
    request: Request,
    caller: KeyReader,
    project: Annotated[str | None, Query(max_length=63)] = None,
    status: StatusFilter = StatusFilter.ALL,
    sort: Order = Order.NEWEST,
    after: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> KeyList:
    """The project's keys, revoked and expired ones too; every project's for an admin."""
    found, more = _service(request).list(
        caller,
        project=project,
        status=None if status is StatusFilter.ALL else KeyStatus(status.value),
        oldest_first=sort is Order.OLDEST,
        after=after,
        limit=limit,
    )
    return KeyList(
        data=tuple(_document(request, each) for each in found),
        has_more=more,
        next=found[-1].key_id if more else None,
    )


@router.get("/usage", responses=described(400, 401, 403, 503))
async def all_usage(
    request: Request,
    caller: KeyReader,
    granularity: Granularity = Granularity.DAY,
    start: Start = None,
    end: End = None,
) -> KeyUsageList:
    """What every key that the caller sees used, by time."""
    return _usage(request, _service(request).visible_ids(caller), granularity, start, end)


@router.get("/{key_id}", responses=described(401, 403, 404))
async def get_key(request: Request, key_id: str, caller: KeyReader) -> KeyDocument:
    """One key."""
    return _document(request, _service(request).get(caller, key_id))


@router.patch("/{key_id}", responses=described(400, 401, 403, 404, 409, 503))
async def update_key(request: Request, key_id: str, body: KeyPatch, caller: KeyWriter) -> KeyDocument:
    """Give an active key another name or other limits by a JSON merge patch. What it may do can't be changed: make another one."""
    service, named = _service(request), body.model_fields_set
    if "name" in named and body.name is None:
        raise InvalidFields(FieldError("name", "can't be null"))
    if body.name is not None and (errors := list(name_errors(body.name))):
        raise InvalidFields(*errors)
    if "limits" in named:
        await service.limit(caller, key_id, body.limits.changes() if body.limits else None)
    if body.name is not None:
        await service.rename(caller, key_id, body.name)
    return _document(request, service.get(caller, key_id))


@router.delete("/{key_id}", responses=described(401, 403, 404, 503))
async def delete_key(request: Request, key_id: str, caller: KeyWriter) -> KeyDocument:
    """Revoke a key; it stays in the list."""
    return await _revoked(request, key_id, caller)


@router.post("/{key_id}/revoke", responses=described(401, 403, 404, 503))
async def revoke_key(request: Request, key_id: str, caller: KeyWriter) -> KeyDocument:
    """End a key with all of its secrets, here at once and at every router within seconds."""
    return await _revoked(request, key_id, caller)


@router.post("/{key_id}/rotate", responses=described(400, 401, 403, 404, 409, 503))
async def rotate_key(
    request: Request, response: Response, key_id: str, caller: KeyWriter, body: RotateRequest | None = None
) -> IssuedKeyDocument:
    """Give an active key a new secret, which is in this answer alone; the present one works on for a while."""
    overlap_seconds = (body or RotateRequest()).overlap_seconds
    issued = await _service(request).rotate(caller, key_id, overlap_seconds)
    response.headers["Cache-Control"] = _NO_STORE
    return IssuedKeyDocument(secret=issued.secret, **_fields(request, issued.family))


@router.get("/{key_id}/usage", responses=described(400, 401, 403, 404, 503))
async def key_usage(
    request: Request,
    key_id: str,
    caller: KeyReader,
    granularity: Granularity = Granularity.DAY,
    start: Start = None,
    end: End = None,
) -> KeyUsageList:
    """What one key used, by time."""
    family = _service(request).get(caller, key_id)
    return _usage(request, (family.key_id,), granularity, start, end)


async def _revoked(request: Request, key_id: str, caller: Caller) -> KeyDocument:
    return _document(request, await _service(request).revoke(caller, key_id))


def _service(request: Request) -> KeyService:
    service: KeyService = request.app.state.keys
    return service


def _document(request: Request, family: KeyFamily) -> KeyDocument:
    return KeyDocument.model_validate(_fields(request, family))


def _fields(request: Request, family: KeyFamily) -> dict[str, object]:
    clock: Clock = request.app.state.clock
    now, key = clock.now(), family.latest
    return {
        "key_id": key.key_id,
        "name": key.name,
        "project": key.project,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "allowed_jobs": key.allowed_jobs,
        "status": family.status(now),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "limits": key.limits,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_at": key.issued_at,
        "overlap_ends_at": family.overlap_ends(now),
        "last_used_at": _service(request).used_at(key.key_id),
    }


def _usage(
    request: Request,
    key_ids: tuple[str, ...],
    granularity: Granularity,
    start: datetime | None,
    end: datetime | None,
) -> KeyUsageList:
    clock: Clock = request.app.state.clock
    totals: UsageTotals = request.app.state.usage
    since, until = span(start, end, clock.now())
    return KeyUsageList(
        granularity=granularity,
        start=since,
        end=until,
        data=tuple(
            KeyUsageDocument(
                key_id=each.key_id,
                start=each.start,
                end=each.end,
                requests=each.totals.requests,
                failed_requests=each.totals.failed_requests,
                prompt_tokens=each.totals.prompt_tokens,
                completion_tokens=each.totals.completion_tokens,
                audio_seconds=each.totals.audio_seconds,
            )
            for each in totals.between(key_ids, granularity, since, until)
        ),
    )
