"""What the policy remembers survives: in the bucket, in the log, and not beyond the lease."""

from datetime import timedelta

import pytest
import structlog

from hostler_autoscaler.memory import PolicyMemory
from hostler_autoscaler.policy_state import PolicyState
from hostler_bus.errors import BusUnavailable
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import Bucket
from hostler_contracts import subjects
from tests.support.builders import JOB_ID, NOW, at
from tests.support.manual_clock import ManualClock

CALM = PolicyState(valid_since=1.5, ready=2)


class Stored:
    """A memory on a bus of its own."""

    def __init__(self) -> None:
        self.bus = MemoryBus(MemoryServer(ManualClock()))
        self.memory = self.another()

    def another(self) -> PolicyMemory:
        return PolicyMemory(self.bus, save_seconds=20, logger=structlog.get_logger())

    @property
    def bucket(self) -> Bucket:
        return self.bus.bucket(subjects.BUCKET_AUTOSCALER)

    async def state(self) -> PolicyState | None:
        entry = await self.bucket.get(JOB_ID)
        return None if entry is None else PolicyState.from_json(entry.value)


@pytest.fixture
def stored() -> Stored:
    return Stored()


async def test_another_process_goes_on_with_what_was_stored(stored: Stored) -> None:
    stored.memory.keep(JOB_ID, CALM, now=NOW, at_once=False)
    await stored.memory.save(now=NOW)
    other = stored.another()
    await other.load()
    assert await other.get("default", JOB_ID) == CALM


async def test_what_was_stored_a_moment_ago_is_not_stored_again_unless_it_must_be(stored: Stored) -> None:
    stored.memory.keep(JOB_ID, CALM, now=NOW, at_once=False)
    await stored.memory.save(now=NOW)
    for seconds, at_once, valid_since in [
        (10, False, 1.5),
        (11, True, 11.0),
        (20, False, 11.0),
        (31, False, 31.0),
    ]:
        now = at(seconds)
        state = PolicyState(valid_since=float(seconds))
        stored.memory.keep(JOB_ID, state, now=now, at_once=at_once)
        await stored.memory.save(now=now)
        found = await stored.state()
        assert found is not None
        assert found.valid_since == valid_since
        assert await stored.memory.get("default", JOB_ID) == state


async def test_what_could_not_be_stored_is_stored_with_the_next(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise BusUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(stored.memory._bucket, "put", away)
        stored.memory.keep(JOB_ID, CALM, now=NOW, at_once=False)
        await stored.memory.save(now=NOW)
    assert await stored.state() is None
    await stored.memory.save(now=NOW + timedelta(seconds=1))
    assert await stored.state() == CALM


@pytest.mark.parametrize("value", [b"", b"null", b'{"version": 999}', b'{"ready": "many"}'])
async def test_what_nobody_can_read_counts_as_nothing(stored: Stored, value: bytes) -> None:
    await stored.bucket.put(JOB_ID, value)
    await stored.memory.load()
    assert await stored.memory.get("default", JOB_ID) == PolicyState()


async def test_the_memory_of_jobs_that_are_gone_goes(stored: Stored) -> None:
    stored.memory.keep(JOB_ID, CALM, now=NOW, at_once=True)
    await stored.memory.save(now=NOW)
    assert await stored.memory.drop(lambda job_id: job_id == JOB_ID) == (JOB_ID,)
    assert await stored.state() is None
    assert await stored.memory.drop(lambda _: True) == ()


async def test_the_memory_of_a_shadow_goes_with_its_job_also_where_nothing_else_was_stored(
    stored: Stored,
) -> None:
    shadow = f"{JOB_ID}.shadow"
    await stored.bucket.put(shadow, b"{}")
    await stored.memory.load()
    assert await stored.memory.drop(lambda job_id: job_id == JOB_ID) == (JOB_ID,)
    assert await stored.bucket.get(shadow) is None
