"""What can be done with jobs, apart from HTTP: create, find, list, change, delete, read the history.

A thin shell around the domain: load, decide, append. Reads come from the projection; what it does not have yet is looked up
in the log itself, so that a job can be read at once after it was made, at whichever api.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from hostler_api.access import Caller
from hostler_api.catalogues import Catalogues
from hostler_api.patches import JobPatch, patched_spec
from hostler_api.problem_catalogue import Forbidden, IdempotencyMismatch, Overtaken
from hostler_api.requests import JobRequest, Known, free_name, job_spec, name_from_model
from hostler_api.shipped import RUNTIMES
from hostler_bus.errors import RevisionConflict, SequenceConflict
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import codec, subjects
from hostler_contracts.job_events import JobEvent, JobScaledV1
from hostler_domain.changes import JobScaled
from hostler_domain.commands import Command, CreateJob, DeleteJob, decide
from hostler_domain.errors import Conflict, FieldError, HostlerError, InvalidFields, NotFound, TemporaryError
from hostler_domain.lifecycle import RestartJob, ResumeJob, StopJob, UpdateJob
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.secret_key import SecretKey

IDEMPOTENCY_KEPT_SECONDS = 24 * 3600
_UPDATE_RACES_MAX = 20
"""An update that loses this often in a row meets a bug, not a race."""


class JobService:
    """The api's commands and queries."""

    def __init__(
        self,
        bus: Bus,
        log: JobLog,
        jobs: JobProjection,
        catalogues: Catalogues,
        secret_key: SecretKey,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._log = log
        self._jobs = jobs
        self._masters = catalogues.masters
        self._profiles = catalogues.profiles
        self._secret_key = secret_key
        self._clock = clock
        self._secrets = bus.bucket(subjects.BUCKET_SECRETS)
        self._idempotency = bus.bucket(subjects.BUCKET_IDEMPOTENCY)

    async def create(self, caller: Caller, request: JobRequest, idempotency_key: str | None) -> JobEntry:
        """Make a job; with an idempotency key, the same one however often it is asked for.

        Raises:
            InvalidFields: the request makes no sense.
            Forbidden: it adopts servers, and the key is not an admin's.
            Conflict: a living job of the project has this name.
            IdempotencyMismatch: the key came before with another request.
        """
        project = caller.project(request.project)
        if request.external is not None and not caller.admin:
            # The routers would send requests to any address of the network that they stand in.
            raise Forbidden("only an admin's API key may name the addresses of external servers")
        job_id = new_id()
        if idempotency_key is not None:
            job_id = await self._claim(project, idempotency_key, request, job_id)
            known = await self._log.load(project, job_id)
            if known is not None:
                return known
        name = self._name(project, request)
        # The name is fixed by the job's id before the token is stored, so a retry finds the same secret.
        secret = f"hf-token.{job_id}" if request.hf_token else None
        upstream_key = request.external.api_key if request.external else None
        upstream_secret = f"upstream-key.{job_id}" if upstream_key else None
        spec = job_spec(
            request,
            Known(self._masters.records.get(request.model), self._profiles.records, RUNTIMES),
            project=project,
            name=name,
            hf_token_secret=secret,
            upstream_key_secret=upstream_secret,
        )
        command = CreateJob(
            self._clock.now(), job_id, spec, self._masters.records.get(request.model), caller.key.key_id
        )
        (change,) = decide(None, command)
        for sealed_name, value in ((secret, request.hf_token), (upstream_secret, upstream_key)):
            if sealed_name and value:
                sealed = self._secret_key.seal(sealed_name, value.get_secret_value())
                await self._secrets.put(sealed_name, sealed)
        try:
            entry = await self._log.append(None, change, correlation_id=caller.request_id)
        except SequenceConflict:
            # The same idempotent request won on another connection a moment ago.
            existing = await self._log.load(project, job_id)
            if existing is None:
                raise
            return existing
        self._jobs.apply(entry)
        return entry

    async def get(self, caller: Caller, job: str, project: str | None = None) -> JobEntry:
        """The job with this id, or the living one with this name in the caller's (or the given) project.

        Raises:
            NotFound: there is none, or not for this caller.
        """
        entry = self._jobs.get(job)
        if entry is None:
            with suppress(subjects.BadToken):
                entry = await self._log.find(job)
        if entry is None:
            entry = self._named(project or caller.key.project, job)
        if entry is None or not caller.sees(entry.job.spec.project):
            raise NotFound(f"there is no job {job!r}")
        return entry

    def known(self, caller: Caller, job_id: str) -> JobEntry | None:
        """The job with this id, if it is known here already and exists for this caller."""
        entry = self._jobs.get(job_id)
        return entry if entry is not None and caller.sees(entry.job.spec.project) else None

    def list(
        self,
        caller: Caller,
        *,
        project: str | None,
        phase: str | None,
        include_deleted: bool,
        after: str | None,
        limit: int,
    ) -> tuple[tuple[JobEntry, ...], bool]:
        """One page of jobs, newest first, and whether there are more."""
        found = sorted(
            (
                entry
                for entry in self._jobs.jobs.values()
                if caller.sees(entry.job.spec.project)
                and (project is None or entry.job.spec.project == project)
                and (phase is None or entry.job.status.phase == phase)
                and (include_deleted or not entry.job.deleted)
                and (after is None or entry.job.job_id < after)
            ),
            key=lambda entry: entry.job.job_id,
            reverse=True,
        )
        return tuple(found[:limit]), len(found) > limit

    async def delete(self, caller: Caller, job: str) -> JobEntry:
        """Ask for a job to go; one that is going or gone already stays as it is.

        Raises:
            NotFound: there is none, or not for this caller.
        """
        return await self._execute(caller, job, DeleteJob(self._clock.now(), caller.key.key_id))

    async def stop(self, caller: Caller, job: str) -> JobEntry:
        """Ask for all replicas of a job to go, and for the job to stay.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it was deleted.
        """
        return await self._execute(caller, job, StopJob(self._clock.now(), caller.key.key_id))

    async def resume(self, caller: Caller, job: str) -> JobEntry:
        """Ask for a stopped or failed job to start over; one that runs stays as it is.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it was deleted, or has not stopped yet.
        """
        return await self._execute(caller, job, ResumeJob(self._clock.now(), caller.key.key_id))

    async def restart(self, caller: Caller, job: str, of_generation: int | None) -> JobEntry:
        """Ask for every replica (up to a generation) to be replaced, one at a time; a failed job starts over.

        Raises:
            NotFound: there is none, or not for this caller.
            Conflict: it was deleted or stopped.
        """
        command = RestartJob(self._clock.now(), caller.key.key_id, of_generation)
        return await self._execute(caller, job, command)

    async def update(self, caller: Caller, job: str, patch: JobPatch, if_match: int | None) -> JobEntry:
        """Change what a job is; what is so already stays as it is, whatever revision the caller knows.

        Raises:
            NotFound: there is none, or not for this caller.
            InvalidFields: the job can't be like that.
            Overtaken: its revision is not `if_match`.
            Conflict: it was deleted.
        """
        found = await self.get(caller, job)
        for _ in range(_UPDATE_RACES_MAX):
            entry = await self._log.load(found.job.spec.project, found.job.job_id)
            if entry is None:
                raise NotFound(f"there is no job {job!r}")
            known = Known(entry.job.master, self._profiles.records, RUNTIMES)
            spec = patched_spec(entry.job, patch, known)
            changes = decide(entry.job, UpdateJob(self._clock.now(), spec, caller.key.key_id))
            if changes and if_match is not None and entry.seq != if_match:
                raise Overtaken(f"the job is at revision {entry.seq}, not {if_match}; read it again")
            try:
                for change in changes:
                    entry = await self._log.append(entry, change, correlation_id=caller.request_id)
            except SequenceConflict:
                continue
            self._jobs.apply(entry)
            return entry
        raise TemporaryError(f"job {found.job.job_id} is being changed by others all the time; try again")

    async def last_scaling(self, entry: JobEntry) -> JobScaled | None:
        """The latest change of the number of replicas, and its reasons; None where there was none."""
        project, job_id = entry.job.spec.project, entry.job.job_id
        message = await self._bus.last(subjects.JOBS, subjects.job_event(project, job_id, "job.scaled"))
        if message is None:
            return None
        event = codec.decode(message.data)
        return event.data.change if isinstance(event, JobScaledV1) else None

    async def _execute(self, caller: Caller, job: str, command: Command) -> JobEntry:
        found = await self.get(caller, job)
        entry = await self._log.execute(
            found.job.spec.project,
            found.job.job_id,
            lambda present: decide(present, command),
            correlation_id=caller.request_id,
        )
        if entry is None:
            raise NotFound(f"there is no job {job!r}")
        self._jobs.apply(entry)
        return entry

    def history(self, entry: JobEntry, after_seq: int) -> AsyncIterator[tuple[int, JobEvent]]:
        """Stored events of a job, oldest first."""
        return self._log.history(entry.job.spec.project, entry.job.job_id, after_seq=after_seq)

    def _name(self, project: str, request: JobRequest) -> str:
        taken = frozenset(
            entry.job.spec.name
            for entry in self._jobs.jobs.values()
            if entry.job.spec.project == project and not entry.job.deleted
        )
        if request.name is None:
            return free_name(name_from_model(request.model), taken)
        if request.name in taken:
            raise Conflict(f"the project {project!r} has a job named {request.name!r} already")
        return request.name

    def _named(self, project: str, name: str) -> JobEntry | None:
        return next(
            (
                entry
                for entry in self._jobs.jobs.values()
                if entry.job.spec.name == name and entry.job.spec.project == project and not entry.job.deleted
            ),
            None,
        )

    async def _claim(self, project: str, idempotency_key: str, request: JobRequest, job_id: str) -> str:
        """The job id that belongs to the idempotency key: `job_id` for the first, the first one's for all others.

        The claim is made before the job: a crash between the two leaves a claim whose job the next try makes.
        """
        if not 1 <= len(idempotency_key) <= 255:
            raise InvalidFields(FieldError("Idempotency-Key", "must have 1 to 255 characters"))
        name = hashlib.sha256(f"{project}\n{idempotency_key}".encode()).hexdigest()
        fingerprint = hashlib.sha256(
            request.model_dump_json(exclude={"hf_token": True, "external": {"api_key"}}).encode()
        ).hexdigest()
        claim = json.dumps({"job_id": job_id, "fingerprint": fingerprint}).encode()
        try:
            await self._idempotency.create(name, claim, ttl_seconds=IDEMPOTENCY_KEPT_SECONDS)
        except RevisionConflict:
            stored = await self._idempotency.get(name)
            if stored is None:
                raise HostlerError(
                    "the idempotency key expired this moment; send the request again"
                ) from None
            first = json.loads(stored.value)
            if first["fingerprint"] != fingerprint:
                raise IdempotencyMismatch(
                    "this Idempotency-Key came before with another request; use a new one"
                ) from None
            return str(first["job_id"])
        return job_id
