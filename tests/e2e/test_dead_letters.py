"""Poison in the log of the whole stack: given up by who stumbles over it, no matter to anybody else, and replayed after the fix.

No service reads through a durable consumer yet, so the reader is the test's own, logged in as the operator.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from hostler_bus.consume import consume
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.port import ConsumerSpec, Message
from hostler_contracts import codec, subjects
from hostler_contracts.job_events import UnknownJobEventV0
from hostler_domain.errors import PermanentError
from hostler_kit.ids import new_id
from tests.e2e.conftest import Stack
from tests.support.builders import NOW, created, fold
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LEDGER = ConsumerSpec("ledger", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=5.0)
NEIGHBOUR = ConsumerSpec("neighbour", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=5.0)
EACH = 4
"""Messages of each kind of poison."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up("--scale", "api=2")
    yield stack
    stack.down()


@asynccontextmanager
async def operator(stack: Stack) -> AsyncIterator[NatsBus]:
    url = json.loads((stack.data_dir / "supervisor.json").read_text())["nats_url"]
    password = (stack.data_dir / "nats.password").read_text().strip()
    bus = await connect(url, user="operator", password=password, name="test", declare=False)
    yield bus
    await bus.drain()


class Ledger:
    """It understands what is written today; after the fix it passes over what it does not understand."""

    def __init__(self) -> None:
        self.fixed = False
        self.done: list[int] = []

    async def __call__(self, message: Message) -> None:
        try:
            known = not isinstance(codec.decode(message.data), UnknownJobEventV0)
        except codec.UndecodableEvent:
            known = False
        if not known and not self.fixed:
            raise PermanentError("nobody has written what this means")
        self.done.append(message.seq)


def poison() -> Iterator[tuple[str, bytes]]:
    """Bad JSON, an event of an unknown type, and one of a future version."""
    change = created()
    good = codec.event_for(change, fold(change), event_id="e", source="/hostler/test", time=NOW)
    for _ in range(EACH):
        yield "job.created", b'{"not": json'
        yield "job.created", codec.encode(good).replace(b"job.created.v1", b"job.blessed.v1")
        yield "job.created", codec.encode(good).replace(b"job.created.v1", b"job.created.v9")


def letters(stack: Stack, *options: str) -> list[dict[str, object]]:
    done = stack.hostler("events", "dead-letters", "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def deploy(stack: Stack, name: str) -> None:
    body = {"model": "made-up/model", "name": name, "runtime": "simulated", "hardware_profile": "cpu.small"}
    assert stack.http("POST", "/v1/jobs", json=body).status_code == 202


def serves(stack: Stack, name: str) -> None:
    with stack.api as client:
        assert client.jobs.wait(name, timeout_seconds=90).status.ready_replicas == 1


async def test_poison_is_given_up_by_its_reader_harms_nobody_and_is_replayed_after_the_fix(
    stack: Stack,
) -> None:
    ledger, neighbour_done = Ledger(), list[int]()

    async def neighbour(message: Message) -> None:
        neighbour_done.append(message.seq)

    async with operator(stack) as bus:
        logger = structlog.get_logger()
        tasks = [
            asyncio.create_task(consume(bus, LEDGER, ledger, logger)),
            asyncio.create_task(consume(bus, NEIGHBOUR, neighbour, logger)),
        ]
        await asyncio.to_thread(deploy, stack, "before")
        poisoned = [
            (await bus.append(subjects.job_event("default", new_id(), event), data, msg_id=new_id())).seq
            for event, data in poison()
        ]
        await asyncio.to_thread(deploy, stack, "after")
        for name in ("before", "after"):
            await asyncio.to_thread(serves, stack, name)
        last = await bus.last(subjects.JOBS, subjects.JOBS_SUBJECTS)
        assert last is not None

        # Every neighbour has come as far as the log has.
        await eventually(lambda: bool(neighbour_done) and neighbour_done[-1] >= last.seq, timeout_seconds=30)
        assert neighbour_done == list(range(1, neighbour_done[-1] + 1))
        await eventually(lambda: last.seq in ledger.done, timeout_seconds=30)

        found: list[dict[str, object]] = []
        async with asyncio.timeout(30):
            while len(found) < len(poisoned):
                found = await asyncio.to_thread(letters, stack)
                await asyncio.sleep(0.1)
        assert sorted(str(each["id"]) for each in found) == sorted(f"JOBS.ledger.{seq}" for seq in poisoned)
        assert {each["state"] for each in found} == {"Waiting"}

        shown = await asyncio.to_thread(
            stack.hostler, "events", "dead-letters", "show", f"JOBS.ledger.{poisoned[0]}"
        )
        assert '{"not": json' in shown.stdout

        # Unmended it fails again, and is the same letter once more.
        one = f"JOBS.ledger.{poisoned[0]}"
        again = await asyncio.to_thread(stack.hostler, "events", "dead-letters", "replay", one)
        assert again.returncode == 0, again.stderr
        async with asyncio.timeout(30):
            while True:
                (letter,) = [each for each in await asyncio.to_thread(letters, stack) if each["id"] == one]
                if (letter["state"], letter["failures"]) == ("Waiting", 2):
                    break
                await asyncio.sleep(0.1)

        log_length = len([message async for message in bus.history(subjects.JOBS, ">")])
        ledger.fixed = True
        replayed = await asyncio.to_thread(
            stack.hostler, "events", "dead-letters", "replay", "--all", "--consumer", "ledger"
        )
        assert replayed.returncode == 0, replayed.stderr
        await eventually(lambda: set(poisoned) <= set(ledger.done), timeout_seconds=30)
        assert sorted(ledger.done) == sorted(set(ledger.done))
        assert {each["state"] for each in await asyncio.to_thread(letters, stack)} == {"Replayed"}
        # Nothing was appended to the log, and no other reader got anything.
        assert len([message async for message in bus.history(subjects.JOBS, ">")]) == log_length
        assert len(neighbour_done) == len(set(neighbour_done))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_nats_refused_no_service_anything(stack: Stack) -> None:
    assert "Permissions Violation" not in (stack.data_dir / "logs" / "nats.log").read_text()
