"""What the server is told after a handler has ended, and that a consumer survives every kind of end."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from hostler_bus.consume import Ack, Nak, Term, answer_to, consume
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import ConsumerSpec, Message
from hostler_contracts import subjects
from hostler_domain.errors import PermanentError, TemporaryError
from tests.support.manual_clock import ManualClock, settle

CONSUMER = ConsumerSpec("worker", subjects.JOBS, subjects.JOBS_SUBJECTS, deliveries_max=3)


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        pytest.param(None, 1, Ack(), id="done"),
        pytest.param(TemporaryError("later", delay_seconds=7), 4, Nak(7), id="temporary"),
        pytest.param(PermanentError("nonsense"), 1, Term("nonsense"), id="permanent"),
        pytest.param(KeyError("x"), 1, Nak(1), id="a bug"),
        pytest.param(KeyError("x"), 4, Nak(8), id="a bug again"),
        pytest.param(KeyError("x"), 1000, Nak(300), id="a bug for ever"),
    ],
)
def test_the_answer_follows_from_how_the_handler_ended(
    error: Exception | None, attempt: int, expected: Ack | Nak | Term
) -> None:
    assert expected == answer_to(error, attempt)


async def test_a_poisonous_message_keeps_no_other_from_being_worked_off(manual_clock: ManualClock) -> None:
    bus = MemoryBus(MemoryServer(manual_clock))
    done: list[str] = []
    tried: list[str] = []

    async def work(message: Message) -> None:
        body = message.data.decode()
        tried.append(body)
        if body == "bug":
            raise KeyError(body)
        if body == "nonsense":
            raise PermanentError("it makes no sense")
        if body == "later" and tried.count("later") < 2:
            raise TemporaryError("not yet", delay_seconds=60)
        done.append(body)

    for number, body in enumerate(("bug", "nonsense", "later", "good")):
        await bus.append(subjects.job_event("p", "j", "replica.ready"), body.encode(), msg_id=str(number))
    with capture_logs() as told:
        running = asyncio.create_task(consume(bus, CONSUMER, work, structlog.get_logger()))
        await settle()
        assert done == ["good"]
        await manual_clock.advance(61)
        assert done == ["good", "later"]
    assert [tried.count(body) for body in ("bug", "nonsense", "later", "good")] == [3, 1, 2, 1]
    letters = [message async for message in bus.history(subjects.DEAD_LETTER_ADVISORIES, ">")]
    assert [letter.subject.split(".")[4] for letter in letters] == ["MSG_TERMINATED", "MAX_DELIVERIES"]
    events = [line["event"] for line in told]
    assert [events.count(f"consume.{event}") for event in ("failed", "dead_letter", "again", "done")] == [
        3,
        1,
        1,
        2,
    ]
    await bus.drain()
    await running
