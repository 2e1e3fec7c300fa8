"""The api's parts put together on a bus: what `__main__` runs, and what tests run in its place.

Everything that reads or writes reaches outside through what is given in; nothing runs before its `work` is spawned.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass

from hostler_api.access import Gate
from hostler_api.app import Parts
from hostler_api.audit import AuditLog, RefusedLogins
from hostler_api.catalogues import Catalogues
from hostler_api.dead_letters import DeadLetters
from hostler_api.decisions import DecisionReader
from hostler_api.events import EventFeed
from hostler_api.history.reader import NoHistory
from hostler_api.history.shapes import MetricHistory
from hostler_api.jobs import JobService
from hostler_api.keys import KeyService
from hostler_api.projects import ProjectService
from hostler_api.record_kinds import master_service, profile_service
from hostler_api.sessions import Sessions
from hostler_api.simulations import Simulations
from hostler_api.usage import UsageTotals
from hostler_api.waits import JobWaits
from hostler_bus.dead_letters import DeadLetterBook, collect
from hostler_bus.job_log import JobLog
from hostler_bus.key_uses import KeyUses
from hostler_bus.letter_projection import LetterProjection
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey

EVENTS_IDLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an api is given.

    Attributes:
        bus: Where everything is kept.
        source: What its events name as their origin.
        secret_key: Of the installation.
        clock: The time.
        logger: For what is worth a line.
        stopping: Set when it was told to stop.
        readiness: Its checks.
        events_idle_seconds: See the setting of this name.
    """

    bus: Bus
    source: str
    secret_key: SecretKey
    clock: Clock
    logger: Logger
    stopping: asyncio.Event
    readiness: Readiness
    events_idle_seconds: float = EVENTS_IDLE_SECONDS


class Assembly:
    """The parts of one api; to be made within the event loop."""

    def __init__(self, given: Surroundings) -> None:
        bus, clock, logger = given.bus, given.clock, given.logger
        self._given = given
        self.log = JobLog(bus, source=given.source, clock=clock)
        self.jobs = JobProjection(logger)
        self.catalogues = Catalogues(logger)
        self.letters = LetterProjection(clock.now, logger)
        self.usage = UsageTotals(logger)
        self._book = DeadLetterBook(bus, source=given.source, clock=clock)
        self.audit = AuditLog(bus, source=given.source, clock=clock, logger=logger)
        self.refused = RefusedLogins(self.audit, clock, logger)
        self.uses = KeyUses(bus, clock, logger)
        self._sessions = Sessions(given.secret_key)
        self.keys = KeyService(bus, self.catalogues, self.audit, self._sessions, clock)

    @property
    def caught_up(self) -> bool:
        """Whether what it answers from has been read in full."""
        return self.jobs.caught_up and self.letters.caught_up and self.catalogues.caught_up

    def work(self) -> Iterator[tuple[str, Coroutine[object, object, None]]]:
        """What goes on beside the requests, each with its name; to be run until the api stops."""
        bus = self._given.bus
        yield "jobs", self.jobs.run(bus)
        for name, projection in self.catalogues.all():
            yield name, projection.run(bus)
        yield "letters", self.letters.run(bus)
        yield "collector", collect(bus, self._book, self._given.logger)
        yield "refused-logins", self.refused.run()
        yield "key-uses", self.uses.run()
        yield "usage", self.usage.run(bus)

    async def flush(self) -> None:
        """Write down what waits to be written; to be called when the api stops."""
        await self.refused.flush()
        await self.uses.flush()

    def parts(self, history: MetricHistory | None = None) -> Parts:
        """What the routes work with."""
        given, jobs, catalogues, audit = self._given, self.jobs, self.catalogues, self.audit
        bus, clock = given.bus, given.clock
        return Parts(
            jobs=JobService(bus, self.log, jobs, catalogues, given.secret_key, clock),
            feed=EventFeed(bus, idle_seconds=given.events_idle_seconds, stopping=given.stopping),
            gate=Gate(
                catalogues.keys.records,
                clock,
                caught_up=lambda: self.caught_up,
                sessions=self._sessions,
                on_admitted=lambda key: self.uses.note(key.key_id),
                on_refused=self.refused.note,
            ),
            waits=JobWaits(jobs, given.stopping),
            keys=self.keys,
            projects=ProjectService(bus, catalogues, jobs, audit, clock),
            masters=master_service(bus, catalogues, audit),
            profiles=profile_service(bus, catalogues, jobs, audit),
            audit=audit,
            usage=self.usage,
            dead_letters=DeadLetters(self._book, self.letters),
            catalogues=catalogues,
            history=history or NoHistory(),
            decisions=DecisionReader(bus, logger=given.logger),
            simulations=Simulations(bus),
            readiness=given.readiness,
        )
