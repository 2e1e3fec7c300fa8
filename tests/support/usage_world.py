"""A usage reporter on virtual time, with a bus that answers when the test says so."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import looptime
import structlog
from prometheus_client import CollectorRegistry

from hostler_bus.errors import BusError
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import Appended
from hostler_contracts.usage import FinishedRequest, UsageRecordedV1, decode_usage
from hostler_kit.clock import SystemClock
from hostler_router.metrics import RouterMetrics
from hostler_router.usage_batches import Batch
from hostler_router.usage_reporting import UsageReporter
from hostler_router.usage_spool import UsageSpool
from tests.support.usage import record

BOUND_SECONDS = 0.25
GATHER_SECONDS = 0.1


class HeldBus(MemoryBus):
    """A bus whose appends are answered when the test says so."""

    def __init__(self) -> None:
        super().__init__(MemoryServer())
        self.up = True
        self.sent: list[tuple[UsageRecordedV1, asyncio.Future[Appended]]] = []
        self.answer_at_once = False
        self.ids: list[str] = []

    @property
    def connected(self) -> bool:
        return self.up

    def append_soon(self, subject: str, data: bytes, *, msg_id: str) -> asyncio.Future[Appended]:
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        event = decode_usage(data)
        assert (event.id, subject) == (msg_id, f"hostler.usage.{event.project}.{event.subject}")
        self.sent.append((event, future))
        self.ids.append(msg_id)
        if self.answer_at_once:
            future.set_result(Appended(len(self.sent), duplicate=False))
        return future

    def answer(self, index: int = 0, error: BusError | None = None) -> None:
        _, future = self.sent.pop(index)
        if error is None:
            future.set_result(Appended(1, duplicate=False))
        else:
            future.set_exception(error)

    @property
    def batches(self) -> list[list[str]]:
        """The ids of the requests in each unanswered batch."""
        return [ids(event.data.requests) for event, _ in self.sent]


def ids(requests: tuple[FinishedRequest, ...]) -> list[str]:
    return [each.usage_id for each in requests]


class World:
    """A reporter, its bus, and what it told."""

    def __init__(
        self, folder: Path, timeout_seconds: float = BOUND_SECONDS, *, journal: bool = False
    ) -> None:
        logger = structlog.get_logger()
        self.folder = folder
        self.bus = HeldBus()
        self.spool = UsageSpool(folder, writer="w", bytes_max=2**20, now=time.time, logger=logger)
        self.journal = (
            UsageSpool(folder, writer="j", bytes_max=2**20, now=time.time, logger=logger, journal=True)
            if journal
            else None
        )
        self.registry = CollectorRegistry()
        self.reporter = UsageReporter(
            self.bus,
            name="router-1",
            period_seconds=1.0,
            clock=SystemClock(),
            metrics=RouterMetrics(self.registry),
            logger=logger,
            writer="w",
            spool=self.spool,
            journal=self.journal,
            commit_timeout_seconds=timeout_seconds,
            batch_seconds=0.002,
            journal_gather_seconds=GATHER_SECONDS,
        )
        self.told: list[tuple[str, float]] = []
        self.begun = self.now

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def commit(self, *names: str, job: str = "j") -> None:
        for name in names:
            self.reporter.committer.commit(
                "p", job, record(usage_id=name), lambda name=name: self.told.append((name, self.now))
            )

    @property
    def names_told(self) -> list[str]:
        return [name for name, _ in self.told]

    @property
    def kept(self) -> list[str]:
        """What is on the disk."""
        return [
            name
            for _, batch in self.reporter.backlog.waiting()
            for name in ids(decode_usage(batch.data).data.requests)
        ]

    @property
    def journalled(self) -> list[str]:
        """What is in the journal and not stored."""
        assert self.journal is not None
        return [
            name
            for segment in self.journal.segments
            for batch in segment.unsettled()
            if isinstance(batch, Batch)
            for name in ids(decode_usage(batch.data).data.requests)
        ]


Story = Callable[[World], Awaitable[None]]


def played(story: Story, folder: Path, **options: float) -> None:
    """Run a story on virtual time, in a world whose spool lies in this folder."""

    async def whole() -> None:
        world = World(folder, **options)
        await story(world)
        world.reporter.backlog.close()
        for _, future in world.bus.sent:
            future.cancel()

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(whole())


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
