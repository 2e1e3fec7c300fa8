"""API keys, their usage, projects and the audit, as the API takes and answers them.

Answers are read leniently, requests are strict, as in `models` and `new_job`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Answer):
    """How much inference may be used; None is no bound."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class ApiKey(_Answer):
    """An API key; its secret is not in it."""

    key_id: str
    name: str
    project: str
    prefix: str
    scopes: tuple[str, ...]
    status: str
    created_at: datetime
    allowed_jobs: tuple[str, ...] | None = None
    limits: Limits | None = None
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    overlap_ends_at: datetime | None = None
    last_used_at: datetime | None = None


class IssuedApiKey(ApiKey):
    """An API key with its new secret, which nobody can read again."""

    secret: SecretStr


class ApiKeyPage(_Answer):
    """One page of keys."""

    data: tuple[ApiKey, ...]
    has_more: bool = False
    next: str | None = None


class KeyUsage(_Answer):
    """What one key used from `start` up to `end`."""

    key_id: str
    start: datetime
    end: datetime
    requests: int
    failed_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: float = 0.0


class KeyUsageReport(_Answer):
    """Usage per key and bucket of time; empty buckets are left out."""

    granularity: str
    start: datetime
    end: datetime
    data: tuple[KeyUsage, ...]


class Project(_Answer):
    """A project; None is no bound."""

    name: str
    project_id: str
    description: str = ""
    gpu_quota: int | None = None
    gpu_limit: int | None = None
    limits: Limits | None = None
    created_at: datetime


class ProjectPage(_Answer):
    """One page of projects."""

    data: tuple[Project, ...]
    has_more: bool = False
    next: str | None = None


class AuditRecord(_Answer):
    """One deed. It was written down before it was done, so a deed that failed may be among them."""

    sequence: int
    at: datetime
    action: str
    project: str | None = None
    actor_key_id: str | None = None
    target: str = ""
    count: int = 1
    details: Mapping[str, str] = Field(default_factory=dict)
    request_id: str | None = None
    source: str = ""


class AuditPage(_Answer):
    """One page of the audit, newest first."""

    data: tuple[AuditRecord, ...]
    has_more: bool = False
    next: int | None = None


class NewLimits(_Request):
    """Limits to set; in changes what is left out stays, and None takes a bound away."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class NewApiKey(_Request):
    """A key to make; what is left out is as of the key that asks."""

    name: str
    scopes: Sequence[str]
    project: str | None = None
    allowed_jobs: Sequence[str] | None = None
    expires_at: datetime | None = None
    limits: NewLimits | None = None

    def body(self) -> bytes:
        """As it is sent."""
        return self.model_dump_json(exclude_none=True).encode()


class KeyChanges(_Request):
    """What shall be different of a key; what is left out stays, None for `limits` takes all of them away."""

    name: str | None = None
    limits: NewLimits | None = None

    def body(self) -> bytes:
        """As it is sent."""
        return self.model_dump_json(exclude_unset=True).encode()


class NewProject(_Request):
    """A project to make."""

    name: str
    description: str = ""
    gpu_quota: int | None = None
    gpu_limit: int | None = None
    limits: NewLimits | None = None

    def body(self) -> bytes:
        """As it is sent."""
        return self.model_dump_json().encode()


class ProjectChanges(_Request):
    """What shall be different; what is left out stays, None takes a bound away."""

    description: str | None = None
    gpu_quota: int | None = None
    gpu_limit: int | None = None
    limits: NewLimits | None = None

    def body(self) -> bytes:
        """As it is sent."""
        return self.model_dump_json(exclude_unset=True).encode()
