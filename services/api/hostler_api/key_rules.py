"""API keys as people see them, and what a key may pass on to a key that is made with it. Pure.

A key is a family of stored secrets with one id: the latest, and those before it that still work for a while after a rotation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hostler_contracts.catalogue import ApiKey
from hostler_domain.errors import FieldError
from hostler_domain.limits import Limits, limit_errors, wider_fields

NAME_LENGTH_MAX = 100
ALLOWED_JOBS_MAX = 100
OVERLAP_SECONDS_MAX = 30 * 24 * 3600


class KeyStatus(StrEnum):
    """Whether a key works."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """One key with all of its secrets.

    Attributes:
        latest: The secret that nothing superseded.
        earlier: The others, latest first.
    """

    latest: ApiKey
    earlier: tuple[ApiKey, ...] = ()

    @property
    def key_id(self) -> str:
        """Its id."""
        return self.latest.key_id

    def status(self, now: datetime) -> KeyStatus:
        """Whether it works."""
        if self.latest.revoked_at is not None:
            return KeyStatus.REVOKED
        return KeyStatus.ACTIVE if self.latest.valid_at(now) else KeyStatus.EXPIRED

    def overlap_ends(self, now: datetime) -> datetime | None:
        """Until when an earlier secret works beside the latest; None where none does."""
        ends = [
            each.expires_at for each in self.earlier if each.valid_at(now) and each.expires_at is not None
        ]
        return max(ends, default=None)


def families(records: Iterable[ApiKey]) -> dict[str, KeyFamily]:
    """Every key by its id."""
    secrets: dict[str, list[ApiKey]] = {}
    for record in records:
        secrets.setdefault(record.key_id, []).append(record)
    return {key_id: _family(found) for key_id, found in secrets.items()}


def _family(secrets: list[ApiKey]) -> KeyFamily:
    # After a crash in the middle of a rotation two are not superseded; the one that was issued last is the key.
    latest, *earlier = sorted(
        secrets, key=lambda each: (each.superseded_at is None, each.issued, each.key_hash), reverse=True
    )
    return KeyFamily(latest, tuple(earlier))


def new_key_errors(made: ApiKey, maker: ApiKey, now: datetime) -> Iterator[FieldError]:
    """Everything that `made` says and may not, `maker` being the key that it is made with."""
    yield from name_errors(made.name)
    if not made.scopes:
        yield FieldError("scopes", "must name at least one")
    for scope in made.scopes:
        if not maker.allows(scope):
            yield FieldError("scopes", f"may not hold {scope!r}, which the key that asks does not have")
    if made.expires_at is not None and made.expires_at <= now:
        yield FieldError("expires_at", "must be in the future")
    if maker.expires_at is not None and (made.expires_at is None or made.expires_at > maker.expires_at):
        yield FieldError(
            "expires_at", f"must not be after {maker.expires_at.isoformat()}, when the key that asks expires"
        )
    if made.allowed_jobs is not None:
        if not 1 <= len(made.allowed_jobs) <= ALLOWED_JOBS_MAX:
            yield FieldError(
                "allowed_jobs", f"must name from 1 to {ALLOWED_JOBS_MAX} jobs, or be left out for all"
            )
        if "admin" in made.scopes:
            yield FieldError("allowed_jobs", "can't be given to an admin's key, which may do everything")
    if maker.allowed_jobs is not None and not set(made.allowed_jobs or ("*",)) <= set(maker.allowed_jobs):
        yield FieldError("allowed_jobs", "must be among the jobs of the key that asks")
    yield from key_limit_errors(made.limits, maker)


def key_limit_errors(limits: Limits | None, maker: ApiKey) -> Iterator[FieldError]:
    """What is wrong with the limits that `maker` gives to a key."""
    yield from limit_errors(limits)
    if not maker.allows("admin"):
        bounds = dict(maker.limits.items() if maker.limits else ())
        for field in wider_fields(limits, maker.limits):
            yield FieldError(
                f"limits.{field}", f"must be at most {bounds[field]}, which bounds the key that asks"
            )


def is_wider(key: ApiKey, than: ApiKey) -> bool:
    """Whether `key` may do anything that `than` may not."""
    if any(not than.allows(scope) for scope in key.scopes):
        return True
    if not than.allows("admin") and any(wider_fields(key.limits, than.limits)):
        return True
    return than.allowed_jobs is not None and not set(key.allowed_jobs or ("*",)) <= set(than.allowed_jobs)


def name_errors(name: str) -> Iterator[FieldError]:
    """What is wrong with the name of a key."""
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable() or name != name.strip():
        yield FieldError(
            "name", f"must be 1 to {NAME_LENGTH_MAX} printable characters without spaces at its ends"
        )
