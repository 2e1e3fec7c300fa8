"""What can be done with API keys, apart from HTTP: make, list, rename, limit, rotate, revoke, and log in for a while.

A secret is shown in the answer that made it and nowhere else; its SHA-256 is stored, as the name of its record. Records are never
taken away: a revoked key stays readable. Every change is on the audit before it is made. The routers watch the records, so
what is written here holds there as soon as the bucket has told them.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from hostler_api.access import Caller
from hostler_api.audit import AuditLog
from hostler_api.catalogues import Catalogues
from hostler_api.key_rules import (
    KeyFamily,
    KeyStatus,
    families,
    is_wider,
    key_limit_errors,
    name_errors,
    new_key_errors,
)
from hostler_api.problem_catalogue import Forbidden
from hostler_api.sessions import Sessions
from hostler_bus.errors import RevisionConflict
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.errors import Conflict, FieldError, HostlerError, InvalidFields, NotFound, TemporaryError
from hostler_domain.limits import Limits, limits_text, merged_limits
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id

SESSION_TTL_SECONDS: Final = 3600
IDEMPOTENCY_KEPT_SECONDS: Final = 24 * 3600
_SECRET_BYTES: Final = 32
"""Of which people see 8 characters, 48 bits, in lists."""
_RACES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that is asked for; what is None is as the maker's own."""

    name: str
    scopes: tuple[Scope, ...]
    project: str | None = None
    allowed_jobs: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its new secret, this once."""

    family: KeyFamily
    secret: str = field(repr=False)


class KeyService:
    """Commands and queries on keys."""

    def __init__(
        self,
        bus: Bus,
        catalogues: Catalogues,
        audit: AuditLog,
        sessions: Sessions,
        clock: Clock,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._bucket = bus.bucket(subjects.BUCKET_API_KEYS)
        self._project_bucket = bus.bucket(subjects.BUCKET_PROJECTS)
        self._idempotency = bus.bucket(subjects.BUCKET_IDEMPOTENCY)
        self._keys = catalogues.keys
        self._uses = catalogues.key_uses
        self._catalogues = catalogues
        self._audit = audit
        self._sessions = sessions
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(self, caller: Caller, wanted: Wanted, idempotency_key: str | None) -> Issued:
        """Make a key.

        Raises:
            InvalidFields: it makes no sense, or would be wider than the caller's own.
            Forbidden: it is for another project, and the caller is no admin.
            Conflict: the idempotency key made one already, whose secret was shown then.
        """
        now = self._clock.now()
        project = caller.project(wanted.project)
        secret = make_key(self._random_bytes(_SECRET_BYTES))
        made = ApiKey(
            key_id=new_id(),
            name=wanted.name,
            project=project,
            key_hash=hash_key(secret),
            prefix=display_prefix(secret),
            scopes=tuple(dict.fromkeys(wanted.scopes)),
            created_at=now,
            expires_at=wanted.expires_at,
            allowed_jobs=caller.key.allowed_jobs if wanted.allowed_jobs is None else wanted.allowed_jobs,
            created_by=caller.key.key_id,
            # An admin's own limits bound nobody else.
            limits=wanted.limits or (None if caller.key.allows("admin") else caller.key.limits),
        )
        errors = list(new_key_errors(made, caller.key, now))
        if not await self._catalogues.project_exists(project, self._project_bucket):
            errors.append(FieldError("project", "does not exist"))
        if errors:
            raise InvalidFields(*errors)
        if idempotency_key is not None:
            await self._claim(project, idempotency_key, made.key_id)
        details = {
            "name": made.name,
            "scopes": " ".join(made.scopes),
            "limits": limits_text(made.limits),
        }
        await self._audit.record(caller, "key.created", project=project, target=made.key_id, details=details)
        self._keys.apply(made.key_hash, made, await self._bucket.create(made.key_hash, API_KEYS.encode(made)))
        return Issued(KeyFamily(made), secret)

    def get(self, caller: Caller, key_id: str) -> KeyFamily:
        """One key.

        Raises:
            NotFound: there is none, or not for this caller.
        """
        found = families(each for each in self._keys.records.values() if each.key_id == key_id).get(key_id)
        if found is None or not caller.sees(found.latest.project):
            raise NotFound("there is no such API key")
        return found

    def list(
        self,
        caller: Caller,
        *,
        project: str | None,
        status: KeyStatus | None,
        oldest_first: bool,
        after: str | None,
        limit: int,
    ) -> tuple[tuple[KeyFamily, ...], bool]:
        """One page of keys by the time they were made, and whether there are more; `after` is the last id of the page before."""
        now = self._clock.now()
        visible = (
            each
            for each in self._keys.records.values()
            if caller.sees(each.project) and project in (None, each.project)
        )
        found = sorted(
            (each for each in families(visible).values() if status in (None, each.status(now))),
            key=lambda each: each.key_id,
            reverse=not oldest_first,
        )
        if after is not None:
            found = [each for each in found if (each.key_id > after) == oldest_first and each.key_id != after]
        return tuple(found[:limit]), len(found) > limit

    def visible_ids(self, caller: Caller) -> tuple[str, ...]:
        """Ids of all keys that the caller sees, oldest first."""
        return tuple(
            sorted({each.key_id for each in self._keys.records.values() if caller.sees(each.project)})
        )

    def used_at(self, key_id: str) -> datetime | None:
        """The hour in which a key was last used; None where it never was."""
        use = self._uses.records.get(key_id)
        return None if use is None else use.used_at

    async def rename(self, caller: Caller, key_id: str, name: str) -> KeyFamily:
        """Give an active key another name.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it is revoked or expired.
        """
        family = self._active(caller, key_id)
        if errors := list(name_errors(name)):
            raise InvalidFields(*errors)
        if name != family.latest.name:
            await self._audit.record(
                caller, "key.renamed", project=family.latest.project, target=key_id, details={"name": name}
            )
            await self._change(
                family.latest.key_hash, lambda stored: stored.model_copy(update={"name": name})
            )
        return self.get(caller, key_id)

    async def limit(self, caller: Caller, key_id: str, changes: Mapping[str, int | None] | None) -> KeyFamily:
        """Change the limits of an active key, for all of its secrets.

        Args:
            caller: Who asks.
            key_id: Of the key.
            changes: Bounds by name, None for no bound; None takes all of them away.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it is revoked or expired.
            InvalidFields: a bound makes no sense, or leaves more room than the caller's own.
        """
        family, now = self._active(caller, key_id), self._clock.now()

        def changed(stored: ApiKey) -> ApiKey:
            limits = merged_limits(stored.limits, changes)
            if errors := list(key_limit_errors(limits, caller.key)):
                raise InvalidFields(*errors)
            return stored.model_copy(update={"limits": limits})

        limited = changed(family.latest)
        if limited != family.latest:
            await self._audit.record(
                caller,
                "key.limited",
                project=family.latest.project,
                target=key_id,
                details={"limits": limits_text(limited.limits)},
            )
            for each in (family.latest, *family.earlier):
                if each.valid_at(now):
                    await self._change(each.key_hash, changed)
        return self.get(caller, key_id)

    async def rotate(self, caller: Caller, key_id: str, overlap_seconds: int) -> Issued:
        """Give an active key a new secret; the present one works for `overlap_seconds` more.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it is revoked or expired, or is being rotated by somebody else.
            Forbidden: the key may do more than the caller's.
        """
        family, now = self._active(caller, key_id), self._clock.now()
        present = family.latest
        secret = make_key(self._random_bytes(_SECRET_BYTES))
        renewed = present.model_copy(
            update={
                "key_hash": hash_key(secret),
                "prefix": display_prefix(secret),
                "issued_at": now,
                "issued": present.issued + 1,
            }
        )
        ends = now + timedelta(seconds=overlap_seconds)
        superseded = present.model_copy(
            update={
                "superseded_at": now,
                "expires_at": ends if present.expires_at is None else min(ends, present.expires_at),
            }
        )
        details = {"overlap_seconds": str(overlap_seconds)}
        await self._audit.record(
            caller, "key.rotated", project=present.project, target=key_id, details=details
        )
        stored = await self._bucket.get(present.key_hash)
        if stored is None or API_KEYS.decode(stored.value) != present:
            raise Conflict("the API key is being changed by somebody else; read it again")
        # The new one first: a crash between the two leaves a secret that nobody knows, never a key that nobody can use.
        created = await self._bucket.create(renewed.key_hash, API_KEYS.encode(renewed))
        try:
            updated = await self._bucket.update(
                present.key_hash, API_KEYS.encode(superseded), revision=stored.revision
            )
        except RevisionConflict:
            await self._bucket.delete(renewed.key_hash)
            raise Conflict("the API key is being changed by somebody else; read it again") from None
        self._keys.apply(present.key_hash, superseded, updated)
        self._keys.apply(renewed.key_hash, renewed, created)
        return Issued(self.get(caller, key_id), secret)

    async def revoke(self, caller: Caller, key_id: str) -> KeyFamily:
        """End a key with all of its secrets; again is harmless.

        Raises:
            NotFound: there is none, or not for this caller.
        """
        family, now = self._own(caller, key_id), self._clock.now()
        living = [each for each in (family.latest, *family.earlier) if each.revoked_at is None]
        if living:
            await self._audit.record(caller, "key.revoked", project=family.latest.project, target=key_id)
        for each in living:
            await self._change(
                each.key_hash,
                lambda stored: stored.model_copy(update={"revoked_at": stored.revoked_at or now}),
            )
        return self.get(caller, key_id)

    def mint_session(self, key: ApiKey, ttl_seconds: int = SESSION_TTL_SECONDS) -> tuple[str, datetime]:
        """A token that stands for `key` for a while, and when it ends; the gate takes it where it takes the key."""
        return self._sessions.mint(key, now=self._clock.now(), ttl_seconds=ttl_seconds)

    def _own(self, caller: Caller, key_id: str) -> KeyFamily:
        """A key that the caller may change: whoever could rotate a wider one than its own would get that one's secret."""
        family = self.get(caller, key_id)
        if is_wider(family.latest, caller.key):
            raise Forbidden("the API key may do more than the one that asks")
        return family

    def _active(self, caller: Caller, key_id: str) -> KeyFamily:
        family = self._own(caller, key_id)
        status = family.status(self._clock.now())
        if status is not KeyStatus.ACTIVE:
            raise Conflict(f"the API key is {status}; make a new one")
        return family

    async def _change(self, key_hash: str, change: Callable[[ApiKey], ApiKey]) -> None:
        for _ in range(_RACES_MAX):
            entry = await self._bucket.get(key_hash)
            if entry is None:
                raise NotFound("there is no such API key")
            changed = change(API_KEYS.decode(entry.value))
            try:
                revision = await self._bucket.update(
                    key_hash, API_KEYS.encode(changed), revision=entry.revision
                )
            except RevisionConflict:
                continue
            self._keys.apply(key_hash, changed, revision)
            return
        raise TemporaryError("the API key is being changed by others all the time; try again")

    async def _claim(self, project: str, idempotency_key: str, key_id: str) -> None:
        if not 1 <= len(idempotency_key) <= 255:
            raise InvalidFields(FieldError("Idempotency-Key", "must have 1 to 255 characters"))
        name = hashlib.sha256(f"api-keys\n{project}\n{idempotency_key}".encode()).hexdigest()
        claim = json.dumps({"key_id": key_id}).encode()
        try:
            await self._idempotency.create(name, claim, ttl_seconds=IDEMPOTENCY_KEPT_SECONDS)
        except RevisionConflict:
            stored = await self._idempotency.get(name)
            if stored is None:
                raise HostlerError(
                    "the idempotency key expired this moment; send the request again"
                ) from None
            first = json.loads(stored.value)["key_id"]
            raise Conflict(
                f"this Idempotency-Key was used for the API key {first}, whose secret was in that answer alone; rotate it for a new one"
            ) from None
