"""Names of jobs: of one project at most one living job has a name, whichever api makes it.

A name is claimed in the bucket `names` before its job is appended, and looked at once more afterwards; `jobs` does both. The key is
the project and the name, the value the id of the job. Nobody takes claims away when jobs go: a claim whose job is gone is free, and
whoever wants the name next takes it over by compare-and-set. So is one whose job never came, because its api died in between.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from hostler_bus.errors import BadKey, BusError, RevisionConflict
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bucket, Entry
from hostler_contracts.subjects import BadToken
from hostler_domain.errors import Conflict, TemporaryError
from hostler_domain.job import Job
from hostler_kit.clock import Clock

UNBORN_SECONDS = 30.0
"""So long a claim holds without its job; several times what an append may take."""
PATIENCE_SECONDS = 2.0
"""So long the second to want a name waits to learn whether the first gets its job."""
_LOOK_SECONDS = 0.05


class NameTaken(Conflict):
    """A living job of the project has the name."""


class NameUndecided(TemporaryError):
    """Another job of this name is being made at this moment, or its api died over it; soon it is known which."""


class Standing(StrEnum):
    """How a claim of somebody else stands."""

    HELD = "held"
    FREE = "free"
    UNBORN = "unborn"


def standing(job: Job | None, name: str, *, age_seconds: float) -> Standing:
    """How the claim on `name` stands whose job is `job`.

    its job           | claim is old | standing
    ------------------|--------------|---------
    lives, so named   | any          | HELD
    lives, named else | any          | FREE
    is gone           | any          | FREE
    not there         | no           | UNBORN
    not there         | yes          | FREE
    """
    if job is not None:
        return Standing.HELD if job.spec.name == name and not job.deleted else Standing.FREE
    return Standing.FREE if age_seconds > UNBORN_SECONDS else Standing.UNBORN


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that is ours for now.

    Attributes:
        project: Of the job.
        name: The name.
        job_id: Of the job that is to have it.
        revision: Of the claim.
    """

    project: str
    name: str
    job_id: str
    revision: int


class Names:
    """The claims, as one api sees them."""

    def __init__(self, bucket: Bucket, log: JobLog, clock: Clock) -> None:
        self._bucket = bucket
        self._log = log
        self._clock = clock

    async def claim(
        self, project: str, name: str, job_id: str, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> Claim:
        """Claim a name for a job that is to be made. The same job may claim again.

        Raises:
            NameTaken: a living job has it.
            NameUndecided: a job that may yet come has it.
        """
        until = self._clock.monotonic() + patience_seconds
        while True:
            with suppress(RevisionConflict):
                revision = await self._bucket.create(_key(project, name), job_id.encode())
                return Claim(project, name, job_id, revision)
            found = await self._bucket.get(_key(project, name))
            if found is not None:
                match await self._standing(project, name, job_id, found):
                    case Standing.HELD:
                        raise NameTaken(f"the project {project!r} has a job named {name!r} already")
                    case Standing.FREE:
                        with suppress(RevisionConflict):
                            return await self._take_over(project, name, job_id, found)
                    case Standing.UNBORN:
                        pass
            if self._clock.monotonic() >= until:
                raise NameUndecided(f"another job named {name!r} is being made; send the request again")
            await self._clock.sleep(_LOOK_SECONDS)

    async def confirm(self, claim: Claim) -> bool:
        """Whether the name is still ours, now that its job is in the log.

        It is not when we were away for so long that somebody held us for dead.
        """
        found = await self._bucket.get(_key(claim.project, claim.name))
        return found is None or found.value.decode() == claim.job_id

    async def give_up(self, claim: Claim) -> None:
        """Free a name whose job could not be made; what can't be told now is free after a while by itself."""
        with suppress(BusError):
            await self._bucket.delete(_key(claim.project, claim.name), revision=claim.revision)

    async def holder(self, project: str, name: str) -> JobEntry | None:
        """The living job that has the name, straight from the log."""
        try:
            found = await self._bucket.get(_key(project, name))
            entry = None if found is None else await self._log.load(project, found.value.decode())
        except (BadKey, BadToken):
            return None
        if entry is None or standing(entry.job, name, age_seconds=0) is not Standing.HELD:
            return None
        return entry

    async def _standing(self, project: str, name: str, job_id: str, found: Entry) -> Standing:
        holder = found.value.decode()
        if holder == job_id:
            # An earlier try of this request, which may still be under way; the log lets only one make the job.
            return Standing.FREE
        entry = await self._log.load(project, holder)
        age_seconds = (self._clock.now() - found.time).total_seconds()
        return standing(None if entry is None else entry.job, name, age_seconds=age_seconds)

    async def _take_over(self, project: str, name: str, job_id: str, found: Entry) -> Claim:
        """Take a free claim.

        Its api may have slept and not died. If its job came after we looked, either we see it now, or it came after our claim and
        that api sees ours: each writes first and looks then.
        """
        revision = await self._bucket.update(_key(project, name), job_id.encode(), revision=found.revision)
        late = await self._log.load(project, found.value.decode())
        if late is None or late.job.job_id == job_id:
            return Claim(project, name, job_id, revision)
        if standing(late.job, name, age_seconds=0) is Standing.HELD:
            await self._bucket.update(_key(project, name), found.value, revision=revision)
            raise NameTaken(f"the project {project!r} has a job named {name!r} already")
        return Claim(project, name, job_id, revision)


def _key(project: str, name: str) -> str:
    return f"{project}.{name}"
