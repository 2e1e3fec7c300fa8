"""The JOBS log as a service uses it: load a job, decide, append what follows by compare-and-set.

No lock and no second store: a writer that lost the race folds what is new and decides again. An append whose outcome was
not heard is settled inside the bus, by its message id, so it is never done twice.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from hostler_bus.errors import SequenceConflict
from hostler_bus.port import Bus, Expect, Message
from hostler_contracts import codec, subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.job_events import JobEvent
from hostler_domain.changes import Change
from hostler_domain.errors import TemporaryError
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id as make_id

_RACES_MAX = 20
"""A writer that loses this often in a row meets a bug, not a race."""


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job as of one message of its log.

    Attributes:
        job: The record after that message.
        seq: The message's sequence in the stream, which the next append expects to find.
        trace: The trace that the message is a part of.
    """

    job: Job
    seq: int
    trace: TraceContext | None = None


def entry_of(message: Message) -> JobEntry:
    """The job that a message of the log carries.

    Raises:
        UndecodableEvent: it carries none.
    """
    event = codec.decode(message.data)
    return JobEntry(event.data.job, message.seq, event.trace)


def carried_on(entry: JobEntry | None) -> TraceContext | None:
    """The trace of a change that nobody asked for: that of the event before it, until what was asked for is done.

    What befalls a job afterwards has nothing to do with the request that made it, be it months ago.
    """
    return None if entry is None or entry.job.settled else entry.trace


class JobLog:
    """Reading and appending, for one writer."""

    def __init__(self, bus: Bus, *, source: str, clock: Clock, new_id: Callable[[], str] = make_id) -> None:
        """Make the log of a writer.

        Args:
            bus: Where the log is.
            source: Name of the writer in every event, such as `/hostler/api/api-1`.
            clock: For the events' time.
            new_id: For the events' ids.
        """
        self._bus = bus
        self._source = source
        self._clock = clock
        self._new_id = new_id

    async def load(self, project: str, job_id: str) -> JobEntry | None:
        """The job as it is now, straight from the log; None where there is none."""
        message = await self._bus.last(subjects.JOBS, subjects.job_events(project, job_id))
        return None if message is None else entry_of(message)

    async def find(self, job_id: str) -> JobEntry | None:
        """Like `load`, for one whose project is not known."""
        message = await self._bus.last(subjects.JOBS, subjects.job_events_any_project(job_id))
        return None if message is None else entry_of(message)

    async def append(
        self,
        entry: JobEntry | None,
        change: Change,
        *,
        correlation_id: str | None = None,
        trace: TraceContext | None = None,
    ) -> JobEntry:
        """Append one change to the job that the writer last saw as `entry`.

        Args:
            entry: As it was seen; None for a job that is new.
            change: What is appended.
            correlation_id: Of the request that asked for it, where one did.
            trace: Of that request, where it is part of one. Without a request the change belongs to the trace of the event before it.

        Raises:
            SequenceConflict: somebody else was faster; nothing was appended.
            StreamFull: there is no room; nothing was appended.
            BusUnavailable: the outcome could not be learnt in time; trying again later is safe.
            IllegalTransition: the change does not fit the job.
        """
        job = evolve(entry.job if entry else None, change)
        if trace is None and correlation_id is None:
            trace = carried_on(entry)
        event = codec.event_for(
            change,
            job,
            event_id=self._new_id(),
            source=self._source,
            time=self._clock.now(),
            correlation_id=correlation_id,
            trace=trace,
        )
        project, job_id = job.spec.project, job.job_id
        appended = await self._bus.append(
            subjects.job_event(project, job_id, codec.name_of(event)),
            codec.encode(event),
            msg_id=event.id,
            expect=Expect(seq=entry.seq if entry else 0, subjects=subjects.job_events(project, job_id)),
        )
        return JobEntry(job, appended.seq, trace)

    async def execute(
        self,
        project: str,
        job_id: str,
        decide: Callable[[Job | None], tuple[Change, ...]],
        *,
        correlation_id: str | None = None,
        trace: TraceContext | None = None,
    ) -> JobEntry | None:
        """Load the job, decide, append every change; after a lost race, again from the start. `append` says what the last two are.

        Gives the job afterwards, None where there is none and nothing was decided. What `decide` raises passes through.
        """
        for _ in range(_RACES_MAX):
            entry = await self.load(project, job_id)
            try:
                for change in decide(entry.job if entry else None):
                    entry = await self.append(entry, change, correlation_id=correlation_id, trace=trace)
            except SequenceConflict:
                continue
            return entry
        raise TemporaryError(f"job {job_id} is being changed by others all the time; try again")

    async def history(
        self, project: str, job_id: str, *, after_seq: int = 0
    ) -> AsyncIterator[tuple[int, JobEvent]]:
        """Every event of the job that is stored now, oldest first, with its sequence."""
        filtered = subjects.job_events(project, job_id)
        async for message in self._bus.history(subjects.JOBS, filtered, after_seq=after_seq):
            yield message.seq, codec.decode(message.data)
