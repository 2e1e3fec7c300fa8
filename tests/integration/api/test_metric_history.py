"""Load windows into a real Valkey and back out as series: nothing lost, nothing twice, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from hostler_api.history.reader import NoHistory, StoredHistory
from hostler_api.history.recorder import HistoryRecorder
from hostler_api.history.resolutions import RESOLUTIONS
from hostler_api.history.shapes import SeriesName
from hostler_api.history.store import SlotKey, SlotStore, SlotTaken
from hostler_bus.leases import Lease, hold
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, LoadWindowV1, ReplicaLoad, encode_window
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from hostler_kit.valkey import open_valkey
from tests.support.valkey_server import ValkeyServer

CLOCK = SystemClock()
JOB = "01939e00-0000-7000-8000-000000000001"
REPLICA = "01939e00-0000-7000-8000-00000000000a"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.remove()


@dataclass
class Place:
    """A bus, a store, and how many requests the windows on the bus told of."""

    bus: MemoryBus
    store: SlotStore
    told: int = 0
    windows: int = 0

    async def publish(self, arrivals: int = 1) -> None:
        begin = CLOCK.now() - timedelta(seconds=60) + timedelta(milliseconds=50 * self.windows)
        load = ReplicaLoad(completed=arrivals, latency_ms={20: arrivals})
        window = LoadWindow(
            router="router-1",
            job_id=JOB,
            started_at=begin,
            seconds=0.05,
            arrivals=arrivals,
            completed=arrivals,
            failed=0,
            in_flight=0,
            latency_ms={20: arrivals},
            replicas={REPLICA: load},
        )
        self.windows += 1
        self.told += arrivals
        event = LoadWindowV1(
            id=new_id(), source="/test", subject=JOB, time=CLOCK.now(), project="default", data=window
        )
        await self.bus.append(subjects.metrics("default", JOB), encode_window(event), msg_id=event.id)

    async def recorded(self, replica_id: str | None = None) -> float | None:
        now = CLOCK.now()
        history = await StoredHistory(self.store, CLOCK).query(
            JOB,
            replica_id,
            [SeriesName.REQUESTS],
            start=now - timedelta(minutes=30),
            end=now + timedelta(minutes=1),
            samples=1,
        )
        return history.series[0].samples[0].value

    async def all_recorded(self, replica_id: str | None = None) -> None:
        async with asyncio.timeout(20):
            while await self.recorded(replica_id) != self.told:  # noqa: ASYNC110  # the store tells nobody
                await asyncio.sleep(0.02)


@pytest.fixture
async def place(valkey: ValkeyServer) -> AsyncIterator[Place]:
    bus = MemoryBus(MemoryServer(clock=CLOCK))
    store = open_valkey(SecretStr(valkey.url))
    yield Place(bus, SlotStore(store))
    await bus.drain()
    await store.close()


class AlwaysHeld(Lease):
    """A lease whose holder never learns that it lost it."""

    @property
    def held(self) -> bool:
        return True


@asynccontextmanager
async def recording(place: Place, *, always: bool = False) -> AsyncIterator[None]:
    async with hold(place.bus, "metric-history", holder=new_id(), ttl_seconds=1, clock=CLOCK) as held:
        bucket = place.bus.bucket(subjects.BUCKET_LEASES)
        lease = AlwaysHeld(bucket, "other", "other", 1, CLOCK) if always else held
        recorder = HistoryRecorder(
            place.bus,
            JobProjection(),
            place.store,
            lease,
            period_seconds=0.01,
            clock=CLOCK,
            logger=structlog.get_logger(),
            registry=CollectorRegistry(),
        )
        task = asyncio.create_task(recorder.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_routers_report_can_be_read_back(place: Place) -> None:
    async with recording(place):
        for _ in range(5):
            await place.publish(arrivals=2)
        await place.all_recorded()
        await place.all_recorded(REPLICA)


async def test_nothing_is_lost_or_counted_twice_when_recorders_die(place: Place) -> None:
    for _ in range(8):
        async with recording(place):
            for _ in range(20):
                await place.publish()
                await asyncio.sleep(0.002)
    async with recording(place):
        await place.all_recorded()


async def test_two_recorders_at_once_count_nothing_twice(place: Place) -> None:
    async with recording(place, always=True), recording(place, always=True):
        for _ in range(60):
            await place.publish()
            await asyncio.sleep(0.005)
    async with recording(place):
        await place.all_recorded()


async def test_a_flushed_store_gets_back_what_the_stream_remembers(
    place: Place, valkey: ValkeyServer
) -> None:
    async with recording(place):
        await place.publish()
        await place.all_recorded()
        with valkey.client() as client:
            client.flushall()
        await place.publish()
        await place.all_recorded()


async def test_without_the_store_the_answer_says_so(place: Place, valkey: ValkeyServer) -> None:
    valkey.kill()
    now = CLOCK.now()
    history = await StoredHistory(place.store, CLOCK).query(
        JOB, None, [SeriesName.REQUESTS], start=now - timedelta(minutes=5), end=now, samples=3
    )
    assert not history.complete
    assert "Valkey" in history.reason
    assert [each.value for each in history.series[0].samples] == [None] * 3


async def test_no_store_at_all_is_an_answer_too() -> None:
    now = CLOCK.now()
    history = await NoHistory().query(JOB, None, [SeriesName.REQUESTS], start=now, end=_later(now), samples=2)
    assert not history.complete
    assert "HOSTLER_VALKEY_URL" in history.reason


def _later(now: datetime) -> datetime:
    return now + timedelta(minutes=1)


async def test_what_is_recorded_goes_by_itself_when_its_time_is_over(
    place: Place, valkey: ValkeyServer
) -> None:
    async with recording(place):
        await place.publish()
        await place.all_recorded(REPLICA)
    with valkey.client() as client:
        left = {key: client.ttl(key) for key in client.scan_iter("hostler:history:*")}
    for resolution in RESOLUTIONS:
        of_it = [seconds for key, seconds in left.items() if f":{resolution.name}:" in key]
        assert len(of_it) == 2, "one for the job, one for the replica"
        kept, chunk = resolution.kept_seconds, resolution.slot_seconds * resolution.slots_per_chunk
        assert all(kept < seconds <= kept + chunk for seconds in of_it)


async def test_a_recorder_that_slept_can_not_take_back_what_its_successor_wrote(place: Place) -> None:
    key = SlotKey(JOB, "", RESOLUTIONS[0], 178_000_000)
    slept, successor = await place.store.load([key]), await place.store.load([key])
    assert successor[key].slot.take_fleet(key.start_ms, 5, desired=2, ready=2)
    await place.store.replace(successor)
    assert slept[key].slot.take_fleet(key.start_ms, 5, desired=9, ready=9)
    with pytest.raises(SlotTaken):
        await place.store.replace(slept)
    stored = await place.store.load([key])
    assert stored[key].slot.desired_seconds == 10
