"""What can be done with jobs, apart from HTTP: create, find, list, change, delete, read the history.

A thin shell around the domain: load, decide, append. Reads come from the projection; what it does not have yet is looked up
in the log itself, so that a job can be read at once after it was made, at whichever api.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from hostler_api.access import Caller
from hostler_api.catalogues import Catalogues
from hostler_api.names import Claim, Names, NameTaken, NameUndecided
from hostler_api.patches import JobPatch, patched_spec
from hostler_api.placements import placement
from hostler_api.problem_catalogue import Forbidden, IdempotencyMismatch, Overtaken
from hostler_api.replica_logs import LogDocument, replica_log
from hostler_api.requests import JobRequest, Known, free_name, job_spec, name_from_model
from hostler_api.shipped import RUNTIMES
from hostler_bus.errors import (
    MessageTooLarge,
    RevisionConflict,
    SequenceConflict,
    StreamFull,
)
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import codec, subjects
from hostler_contracts.job_events import JobEvent, JobScaledV1
from hostler_contracts.placements import PlacementAnswer
from hostler_contracts.replica_logs import LogQuestion
from hostler_domain.capacity import Allocation
from hostler_domain.changes import JobScaled
from hostler_domain.commands import Command, CreateJob, DeleteJob, ScaleJob, decide, held_until
from hostler_domain.errors import FieldError, HostlerError, InvalidFields, NotFound, TemporaryError
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
        self._catalogues = catalogues
        self._secret_key = secret_key
        self._clock = clock
        self._secrets = bus.bucket(subjects.BUCKET_SECRETS)
        self._project_bucket = bus.bucket(subjects.BUCKET_PROJECTS)
        self._idempotency = bus.bucket(subjects.BUCKET_IDEMPOTENCY)
        self._names = Names(bus.bucket(subjects.BUCKET_NAMES), log, clock)

    async def create(self, caller: Caller, request: JobRequest, idempotency_key: str | None) -> JobEntry:
        """Make a job; with an idempotency key, the same one however often it is asked for.

        Raises:
            InvalidFields: the request makes no sense.
            Forbidden: it adopts servers, and the key is not an admin's.
            Conflict: a living job of the project has this name.
            IdempotencyMismatch: the key came before with another request.
        """
        project = caller.project(request.project)
        if not await self._catalogues.project_exists(project, self._project_bucket):
            raise InvalidFields(FieldError("project", "does not exist; an admin makes projects"))
        if request.external is not None and not caller.admin:
            # The routers would send requests to any address of the network that they stand in.
            raise Forbidden("only an admin's API key may name the addresses of external servers")
        job_id = new_id()
        if idempotency_key is not None:
            job_id = await self._claim(project, idempotency_key, request, job_id)
            known = await self._log.load(project, job_id)
            if known is not None:
                return known
        # The secret's name follows from the job's id, so a retry finds the same secret.
        secret = f"hf-token.{job_id}" if request.hf_token else None
        upstream_key = request.external.api_key if request.external else None
        upstream_secret = f"upstream-key.{job_id}" if upstream_key else None
        spec = job_spec(
            request,
            Known(self._masters.records.get(request.model), self._profiles.records, RUNTIMES),
            project=project,
            name=_usual_name(request) if request.name is None else request.name,
            hf_token_secret=secret,
            upstream_key_secret=upstream_secret,
        )
        # After the request is known to make sense, so that a name is claimed for nothing only when an api dies.
        claim = await self._claim_name(project, request, job_id)
        if not caller.key.allows_job(job_id, claim.name):
            await self._names.give_up(claim)
            raise Forbidden("the API key may not make a job of this name")
        spec = replace(spec, name=claim.name)
        command = CreateJob(
            self._clock.now(), job_id, spec, self._masters.records.get(request.model), caller.key.key_id
        )
        (change,) = decide(None, command)
        for sealed_name, value in ((secret, request.hf_token), (upstream_secret, upstream_key)):
            if sealed_name and value:
                sealed = self._secret_key.seal(sealed_name, value.get_secret_value())
                await self._secrets.put(sealed_name, sealed)
        try:
            entry = await self._log.append(None, change, correlation_id=caller.request_id, trace=caller.trace)
        except SequenceConflict:
            # The same idempotent request won on another connection a moment ago.
            existing = await self._log.load(project, job_id)
            if existing is None:
                raise
            return existing
        except (StreamFull, MessageTooLarge):
            await self._names.give_up(claim)
            raise
        if not await self._names.confirm(claim):
            await self._log.execute(
                project,
                job_id,
                lambda job: decide(job, DeleteJob(self._clock.now(), caller.key.key_id)),
                correlation_id=caller.request_id,
                trace=caller.trace,
            )
            raise NameTaken(f"another job was named {claim.name!r} while this one was being made")
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
        if entry is None:
            entry = await self._names.holder(project or caller.key.project, job)
        if entry is None or not caller.sees_job(entry.job):
            raise NotFound(f"there is no job {job!r}")
        return entry

    def known(self, caller: Caller, job_id: str) -> JobEntry | None:
        """The job with this id, if it is known here already and exists for this caller."""
        entry = self._jobs.get(job_id)
        return entry if entry is not None and caller.sees_job(entry.job) else None

    def list(
        self,
        caller: Caller,
        *,
        project: str | None,
        phase: str | None,
        model: str | None = None,
        labels: Mapping[str, str] = MappingProxyType({}),
        include_deleted: bool,
        after: str | None,
        limit: int,
    ) -> tuple[tuple[JobEntry, ...], bool]:
        """One page of jobs that fit every wish, newest first, and whether there are more."""
        found = sorted(
            (
                entry
                for entry in self._jobs.jobs.values()
                if caller.sees_job(entry.job)
                and (project is None or entry.job.spec.project == project)
                and (phase is None or entry.job.status.phase == phase)
                and (model is None or entry.job.spec.model == model)
                and labels.items() <= entry.job.spec.labels.items()
                and (include_deleted or not entry.job.deleted)
                and (after is None or entry.job.job_id < after)
            ),
            key=lambda entry: entry.job.job_id,
            reverse=True,
        )
        return tuple(found[:limit]), len(found) > limit

    def with_replica(self, replica_id: str) -> JobEntry | None:
        """The job whose record has this replica, whoever it belongs to."""
        return next(
            (entry for entry in self._jobs.jobs.values() if entry.job.replica(replica_id) is not None), None
        )

    def allocations(self) -> Iterator[Allocation]:
        """What replicas of every project hold."""
        for entry in self._jobs.jobs.values():
            for replica in entry.job.replicas:
                if not replica.ended:
                    yield Allocation(replica.placement.node_key, replica.placement.taken)

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

    async def scale(
        self, caller: Caller, job: str, replicas: int, hold_seconds: int | None = None
    ) -> JobEntry:
        """Have another number of replicas, within the job's bounds; its autoscaler goes on from there, when the hold is over.

        Raises:
            NotFound: there is none, or not for this caller.
            InvalidFields: the bounds do not allow it.
            Conflict: it is not meant to run.
        """
        now = self._clock.now()
        reasons = (f"asked for by the API key {caller.key.key_id}",)
        until = None if hold_seconds is None else held_until(now, hold_seconds)
        return await self._execute(
            caller, job, ScaleJob(now, replicas, reasons, hold_until=until, by_owner=True)
        )

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
                    entry = await self._log.append(
                        entry, change, correlation_id=caller.request_id, trace=caller.trace
                    )
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

    async def placement(self, entry: JobEntry) -> PlacementAnswer | None:
        """What a scheduler says of a job that lacks replicas; None where none is lacking, or no scheduler answers."""
        return await placement(self._bus, entry.job)

    async def replica_log(self, entry: JobEntry, question: LogQuestion) -> LogDocument:
        """What a replica of the job wrote.

        Raises:
            NotFound: the job remembers no such replica, or its log is not there.
            TemporaryError: the provisioner does not answer.
        """
        return await replica_log(self._bus, entry.job, question)

    async def _execute(self, caller: Caller, job: str, command: Command) -> JobEntry:
        found = await self.get(caller, job)
        entry = await self._log.execute(
            found.job.spec.project,
            found.job.job_id,
            lambda present: decide(present, command),
            correlation_id=caller.request_id,
            trace=caller.trace,
        )
        if entry is None:
            raise NotFound(f"there is no job {job!r}")
        self._jobs.apply(entry)
        return entry

    def history(self, entry: JobEntry, after_seq: int) -> AsyncIterator[tuple[int, JobEvent]]:
        """Stored events of a job, oldest first."""
        return self._log.history(entry.job.spec.project, entry.job.job_id, after_seq=after_seq)

    async def _claim_name(self, project: str, request: JobRequest, job_id: str) -> Claim:
        """The name that was asked for, or a free one made from the model's."""
        if request.name is not None:
            known = self._named(project, request.name)
            if known is not None and known.job.job_id != job_id:
                # It is the log that knows whether that job is still there.
                present = await self._log.load(project, known.job.job_id)
                if present is not None and not present.job.deleted:
                    raise NameTaken(f"the project {project!r} has a job named {request.name!r} already")
            return await self._names.claim(project, request.name, job_id)
        taken = {
            entry.job.spec.name
            for entry in self._jobs.jobs.values()
            # The same request may have made this very job on another connection since the log was asked.
            if entry.job.spec.project == project and not entry.job.deleted and entry.job.job_id != job_id
        }
        while True:
            name = free_name(_usual_name(request), frozenset(taken))
            try:
                return await self._names.claim(project, name, job_id, patience_seconds=0)
            except (NameTaken, NameUndecided):
                taken.add(name)

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


def _usual_name(request: JobRequest) -> str:
    """What a job is called that was given no name: as its model, or as what it is for."""
    return name_from_model(request.model) if request.model else request.kind.value
