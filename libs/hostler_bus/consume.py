"""Working off what a durable consumer delivers, one message at a time, and saying what became of it.

A service that has to do something once for every message, and not only to know the latest state, runs `consume`; the handler
speaks through the errors of `hostler_domain.errors`. While it works the server is told so, so that nobody else gets the message.

What `answer_to` answers:

    the handler     | answer
    returned        | Ack
    TemporaryError  | Nak after the error's own delay
    PermanentError  | Term: a dead letter, with the error's words
    anything else   | Nak after a delay that doubles with every attempt: a bug, or something that nobody thought of

A message may come again although it was acknowledged: a server that is killed forgets the answers of its last moments. So what the
handler does has to be harmless when done twice.

After the consumer's last delivery a Nak makes a dead letter too. The server says so in an advisory, the stream
DEADLETTERS_ADVISORIES keeps it, and the collector of `dead_letters` copies the message. What is replayed then comes to this consumer
alone, as the message that it was: same subject, same sequence, same body.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hostler_bus.errors import BusUnavailable
from hostler_bus.port import Bus, ConsumerSpec, Delivery, Message
from hostler_bus.replays import original, replays_of
from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.logs import Logger

BACKOFF_SECONDS_MIN = 1.0
BACKOFF_SECONDS_MAX = 300.0
_SIGNS_PER_ACK_WAIT = 3

Work = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ack:
    """It is done."""


@dataclass(frozen=True, slots=True)
class Nak:
    """Again after so long."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Term:
    """Never again."""

    reason: str


def answer_to(error: Exception | None, attempt: int) -> Ack | Nak | Term:
    """What to tell the server after the delivery number `attempt` ended with `error`."""
    match error:
        case None:
            return Ack()
        case TemporaryError():
            return Nak(error.delay_seconds)
        case PermanentError():
            return Term(str(error))
        case _:
            doublings = min(attempt - 1, 30)
            return Nak(min(BACKOFF_SECONDS_MIN * 2**doublings, BACKOFF_SECONDS_MAX))


async def consume(
    bus: Bus, consumer: ConsumerSpec, work: Work, logger: Logger, *, replayed: bool = True
) -> None:
    """Work off messages until the bus is drained or this is cancelled.

    Args:
        bus: Where they come from.
        consumer: Whose they are.
        work: The handler; it is never called for two messages at once.
        logger: For what became of each.
        replayed: Whether dead letters of this consumer that are replayed come as well.
    """

    async def work_on_replay(message: Message) -> None:
        await work(await original(bus, message))

    turn = asyncio.Lock()
    async with asyncio.TaskGroup() as sources:
        sources.create_task(_work_off(bus, consumer, work, turn, logger))
        if replayed:
            sources.create_task(_work_off(bus, replays_of(consumer), work_on_replay, turn, logger))


async def _work_off(bus: Bus, consumer: ConsumerSpec, work: Work, turn: asyncio.Lock, logger: Logger) -> None:
    async with bus.deliveries(consumer) as deliveries:
        async for delivery in deliveries:
            error = await _done(delivery, consumer, work, turn)
            answer = answer_to(error, delivery.attempt)
            told = logger.bind(consumer=consumer.name, seq=delivery.message.seq, attempt=delivery.attempt)
            try:
                await _tell(delivery, answer)
            except BusUnavailable as lost:
                # It comes again, which whoever consumes has to be able to bear anyway.
                told.warning("consume.answer_lost", reason=str(lost))
            match answer:
                case Ack():
                    told.debug("consume.done", subject=delivery.message.subject)
                case Nak(delay_seconds) if isinstance(error, TemporaryError):
                    told.info("consume.again", delay_seconds=delay_seconds, reason=str(error))
                case Nak(delay_seconds):
                    told.error("consume.failed", delay_seconds=delay_seconds, exc_info=error)
                case Term(reason):
                    told.error("consume.dead_letter", subject=delivery.message.subject, reason=reason)


async def _done(
    delivery: Delivery, consumer: ConsumerSpec, work: Work, turn: asyncio.Lock
) -> Exception | None:
    # One that waits for its turn is under way too, so the signs begin before it.
    signs = asyncio.create_task(_signs_of_life(delivery, consumer.ack_wait_seconds / _SIGNS_PER_ACK_WAIT))
    try:
        async with turn:
            await work(delivery.message)
    except Exception as error:  # noqa: BLE001  # the outermost loop of a message: one poisonous message must not end the reader
        return error
    finally:
        signs.cancel()
        await asyncio.wait((signs,))
    return None


async def _signs_of_life(delivery: Delivery, every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await delivery.in_progress()
        except BusUnavailable:
            continue


async def _tell(delivery: Delivery, answer: Ack | Nak | Term) -> None:
    match answer:
        case Ack():
            await delivery.ack()
        case Nak(delay_seconds):
            await delivery.nak(delay_seconds)
        case Term(reason):
            await delivery.term(reason)
