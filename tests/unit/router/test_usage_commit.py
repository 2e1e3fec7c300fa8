"""When a finished request leaves, with whom, and when whoever waits for it is told: on virtual time, with a bus that answers when told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path

import looptime
import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_bus.errors import BusError, BusUnavailable, MessageTooLarge, StreamFull
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


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Runs a story on virtual time."""

    def run(story: Story, **options: float) -> None:
        async def whole() -> None:
            world = World(tmp_path / "spool", **options)
            await story(world)
            world.reporter.backlog.close()
            for _, future in world.bus.sent:
                future.cancel()

        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            runner.run(whole())

    return run


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_alone_leaves_at_once_and_is_told_when_it_is_stored(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        assert world.bus.batches == []
        await turns()
        assert (world.bus.batches, world.told) == ([["a"]], [])
        world.bus.answer()
        await turns()
        assert world.told == [("a", world.begun)]
        await asyncio.sleep(1)
        assert (world.names_told, world.kept, world.bus.sent) == (["a"], [], [])

    play(story)


def test_those_of_one_turn_leave_together_by_job(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        world.commit("x", job="k")
        await turns()
        assert world.bus.batches == [["a", "b"], ["x"]]
        world.bus.answer(1)
        await turns()
        assert world.names_told == ["x"]

    play(story)


def test_those_that_end_meanwhile_wait_for_the_answer_and_leave_together(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await turns()
        world.commit("c")
        await turns()
        assert world.bus.batches == [["a"]]
        world.bus.answer()
        await turns()
        assert (world.bus.batches, world.names_told) == ([["b", "c"]], ["a"])

    play(story)


def test_those_that_wait_for_no_answer_leave_after_the_batch_time(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await asyncio.sleep(0.001)
        world.commit("c")
        await asyncio.sleep(0.0005)
        assert world.bus.batches == [["a"]]
        await asyncio.sleep(0.001)
        assert world.bus.batches == [["a"], ["b", "c"]]

    play(story)


def test_a_busy_job_gathers_on_while_others_of_its_batches_are_on_their_way(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(0)
        world.commit("b")
        await asyncio.sleep(0.0021)
        assert world.bus.batches == [["a"], ["b"]]
        world.commit("c")
        world.bus.answer()
        await asyncio.sleep(0.001)
        assert (world.names_told, world.bus.batches) == (["a"], [["b"]])
        world.commit("d")
        world.bus.answer()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (world.names_told, world.bus.batches) == (["a", "b"], [["c", "d"]])

    play(story)


def test_no_more_than_four_batches_of_a_job_are_on_their_way(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        for number in range(8):
            world.commit(str(number))
            await asyncio.sleep(0.005)
        assert world.bus.batches == [["0"], ["1"], ["2"], ["3"]]
        world.bus.answer(2)
        await turns()
        assert world.bus.batches[-1] == ["4", "5", "6", "7"]

    play(story)


def test_who_is_not_stored_in_time_is_on_the_disk_when_told(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(BOUND_SECONDS - 0.001)
        assert (world.told, world.kept) == ([], [])
        await asyncio.sleep(0.002)
        assert (world.told, world.kept) == ([("a", world.begun + BOUND_SECONDS)], ["a"])

    play(story)


def test_one_that_is_stored_late_after_all_is_not_sent_again(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(1)
        world.bus.answer()
        await turns()
        assert (world.names_told, world.kept, list(world.folder.iterdir())) == (["a"], [], [])
        await world.reporter.publish()
        assert len(world.bus.ids) == 1

    play(story)


def test_those_that_waited_behind_a_late_one_are_told_within_their_own_bound(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for number in range(40):
            world.commit(str(number))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        times = dict(world.told)
        assert len(world.told) == len(times) == 40
        for number in range(40):
            assert times[str(number)] <= world.begun + number * 0.01 + BOUND_SECONDS + 0.003
        assert sorted(world.kept, key=int) == [str(number) for number in range(40)]

    play(story)


def test_while_nothing_answers_nobody_is_held_back_for_the_whole_bound(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(1)
        begun = world.now
        world.commit("b")
        await asyncio.sleep(0.003)
        assert world.told[1][1] - begun < 0.003
        assert world.kept == ["a", "b"]

    play(story)


def test_without_a_connection_requests_are_kept_in_groups_and_sent_when_it_is_back(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.bus.up = False
        world.commit("a")
        await turns()
        world.commit("b")
        await asyncio.sleep(0.003)
        assert (world.names_told, world.kept, world.bus.ids) == (["a", "b"], ["a", "b"], [])
        world.bus.up = world.bus.answer_at_once = True
        await world.reporter.publish()
        assert (world.kept, len(world.bus.ids)) == ([], 1)
        world.commit("c")
        await turns()
        assert (world.names_told, len(world.bus.ids), world.kept) == (["a", "b", "c"], 2, [])

    play(story)


@pytest.mark.parametrize(
    "error", [BusUnavailable("no answer"), StreamFull("no room")], ids=["unknown", "full"]
)
def test_one_that_failed_is_told_when_it_is_kept_and_sent_again_under_its_id(
    play: Callable[..., None], error: BusError
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.bus.answer(error=error)
        await turns()
        assert (world.told, world.kept) == ([("a", world.begun)], ["a"])
        world.bus.answer_at_once = True
        await world.reporter.publish()
        first, second = world.bus.ids
        assert (first == second, world.kept) == (True, [])

    play(story)


def test_one_that_can_never_be_stored_is_counted_as_lost_and_told(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        await turns()
        world.bus.answer(error=MessageTooLarge("it is"))
        await turns()
        assert (world.names_told, world.kept, world.reporter.figures.lost) == (["a", "b"], [], 2)
        assert world.registry.get_sample_value("hostler_router_usage_lost_total") == 2

    play(story)


def test_with_a_bound_of_zero_nobody_waits_and_it_is_stored_or_kept_all_the_same(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        assert world.names_told == ["a"]
        await asyncio.sleep(1)
        assert (world.names_told, world.kept) == (["a"], ["a"])

    play(story, timeout_seconds=0)


def test_one_whose_end_fails_does_not_keep_the_others_from_ending(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        def fails() -> None:
            raise RuntimeError("a bug")

        world.commit("a")
        world.reporter.committer.commit("p", "j", record(usage_id="b"), fails)
        world.commit("c")
        await turns()
        world.bus.answer()
        await turns()
        assert world.names_told == ["a", "c"]

    play(story)


def test_what_is_too_much_for_one_message_goes_in_several_with_numbers_of_their_own(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.bus.answer_at_once = True
        for number in range(20):
            values = record(usage_id=str(number), request_id="r" * 100_000)
            name = str(number)
            world.reporter.committer.commit("p", "j", values, lambda name=name: world.told.append((name, 0)))
        await turns()
        assert world.names_told == [str(number) for number in range(20)]
        assert list(chain(*world.bus.batches)) == world.names_told
        assert [event.data.number for event, _ in world.bus.sent] == list(range(1, len(world.bus.sent) + 1))
        assert {event.data.writer for event, _ in world.bus.sent} == {"w"}

    play(story)


def test_one_that_can_not_be_written_spoils_no_other(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        world.reporter.committer.commit(
            "p", "j", record(usage_id="bad"), lambda: world.told.append(("bad", 0))
        )
        lane = next(iter(world.reporter.committer._lanes.values()))
        lane.records[1].request_id = "\udc80"
        world.commit("c")
        world.bus.answer_at_once = True
        await turns()
        assert sorted(world.names_told) == ["a", "bad", "c"]
        assert sorted(chain(*world.bus.batches)) == ["a", "c"]
        assert world.reporter.figures.lost == 1

    play(story)


@pytest.mark.parametrize("how", ["no connection", "no answer", "failed", "the end"])
def test_when_somebody_is_told_it_is_on_the_disk_already(play: Callable[..., None], how: str) -> None:
    async def story(world: World) -> None:
        on_the_disk: list[bool] = []

        def told() -> None:
            data = b"".join(path.read_bytes() for path in world.folder.iterdir())
            on_the_disk.append(b'"usage_id":"a"' in data)

        world.bus.up = how != "no connection"
        world.reporter.committer.commit("p", "j", record(usage_id="a"), told)
        await turns()
        if how == "failed":
            world.bus.answer(error=BusUnavailable("no answer"))
        elif how == "the end":
            world.reporter.committer.keep_all()
        await asyncio.sleep(1)
        assert on_the_disk == [True]

    play(story)


def test_at_the_end_what_is_not_answered_is_on_the_disk(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await world.reporter.close()
        assert sorted(world.names_told) == ["a", "b"]
        spool = UsageSpool(
            world.folder, writer="next", bytes_max=2**20, now=time.time, logger=structlog.get_logger()
        )
        assert spool.adopt() == 1
        world.reporter.backlog = type(world.reporter.backlog)(spool, lambda *_: None, lambda _: None)
        assert sorted(world.kept) == ["a", "b"]

    play(story)


def test_what_is_stored_is_counted_with_its_time_and_what_goes_to_the_disk_by_requests(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        figure = world.registry.get_sample_value
        world.commit("a", "b")
        await asyncio.sleep(0.1)
        world.bus.answer()
        await asyncio.sleep(0)
        assert figure("hostler_router_usage_commit_seconds_count") == 1
        assert figure("hostler_router_usage_commit_seconds_sum") == pytest.approx(0.1)
        assert figure("hostler_router_usage_spooled_total") == 0
        world.bus.up = False
        world.commit("c", "d", "e")
        await asyncio.sleep(0.01)
        assert figure("hostler_router_usage_spooled_total") == 3
        assert figure("hostler_router_usage_commit_seconds_count") == 1

    play(story)


def test_with_a_journal_those_of_a_turn_are_written_at_once_and_told_before_the_stream_answers(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        assert world.told == []
        await turns()
        assert (world.names_told, world.journalled, world.bus.batches) == (["a", "b"],) * 2 + ([["a", "b"]],)
        world.commit("c")
        await turns()
        assert (world.names_told, world.bus.batches) == (["a", "b", "c"], [["a", "b"], ["c"]])
        world.bus.answer()
        await turns()
        assert world.journalled == ["c"]
        world.bus.answer()
        await turns()
        assert (world.journalled, world.kept, world.reporter.figures.stored) == ([], [], 3)
        await world.reporter.close()
        assert list(world.folder.iterdir()) == []

    play(story, journal=True)


@pytest.mark.parametrize("error", [None, BusUnavailable("no answer")], ids=["no answer", "an error"])
def test_what_the_journal_has_and_the_stream_does_not_is_kept_and_sent_again_under_its_id(
    play: Callable[..., None], error: BusError | None
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        if error is not None:
            world.bus.answer(error=error)
        await asyncio.sleep(BOUND_SECONDS + 0.01)
        assert (world.journalled, world.kept) == ([], ["a"])
        world.bus.answer_at_once = True
        await world.reporter.publish()
        first, second = world.bus.ids
        assert (first == second, world.kept, world.names_told) == (True, [], ["a"])

    play(story, journal=True)


def test_where_the_journal_takes_nothing_the_end_waits_for_the_stream(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        monkeypatch.setattr(world.journal, "keep", lambda batches: None)
        world.commit("a")
        await turns()
        assert (world.told, world.bus.batches) == ([], [["a"]])
        world.bus.answer()
        await turns()
        assert world.names_told == ["a"]

    play(story, journal=True)


def test_a_slow_stream_gets_only_so_many_batches_and_the_rest_waits_on_the_disk(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for number in range(70):
            world.commit(str(number))
            await turns()
        assert len(world.names_told) == 70
        assert len(world.bus.sent) == 64
        assert world.kept == [str(number) for number in range(64, 70)]

    play(story, journal=True)
