"""Handing a message that was given up to its consumer again, and to nobody else.

It is not stored in its own stream once more: there it would be news to every reader, and an old fact of a job would set the job back.
It goes to the stream REPLAYS under the consumer's own subject, and `consume` reads both.
"""

from dataclasses import replace

from hostler_bus.port import Bus, ConsumerSpec, Message
from hostler_bus.reading import message_at
from hostler_contracts import subjects
from hostler_contracts.dead_letters import decode_replay
from hostler_domain.errors import PermanentError


class MessageGone(PermanentError):
    """The message is not in its stream any more, and was too large to be copied when it was given up."""


def replays_of(consumer: ConsumerSpec) -> ConsumerSpec:
    """The consumer of the replays that are meant for `consumer`, as patient as it is."""
    return replace(
        consumer,
        # Consumers of several streams may have one name, and meet here.
        name=f"{consumer.stream}_{consumer.name}",
        stream=subjects.REPLAYS,
        subjects=subjects.replays(consumer.stream, consumer.name),
    )


async def original(bus: Bus, replay: Message) -> Message:
    """The message that a replay is about, as its consumer met it the first time.

    Raises:
        UndecodableLetter: it is no replay.
        MessageGone: there is no body any more.
        BusUnavailable: its stream could not be read.
    """
    wanted = decode_replay(replay.data).data
    if wanted.message.body is not None:
        return Message(
            wanted.subject,
            wanted.source.seq,
            wanted.message.body,
            wanted.message.headers,
            wanted.stored_at,
        )
    found = await message_at(bus, wanted.source.stream, wanted.source.seq)
    if found is None:
        raise MessageGone(f"message {wanted.source.seq} of {wanted.source.stream} is gone")
    return found
