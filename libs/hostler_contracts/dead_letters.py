"""Dead letters on the wire: what the server says, the letters' own events, and the wish that a consumer takes a message again.

As with jobs, each event of a letter carries the whole letter after it, with the message that was given up, so the last event under
a letter's subject is the letter. A large body is not copied; it is read where it lies when it is wanted.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Base64Bytes, Field, TypeAdapter, ValidationError

from hostler_contracts.envelope import CloudEvent, Contract
from hostler_domain.dead_letters import DeadLetter, Source
from hostler_domain.errors import PermanentError

BODY_BYTES_MAX = 128 * 1024
"""A larger body is not copied: twice encoded it would not fit into one message."""


class Advisory(Contract):
    """What a NATS server publishes when a message was delivered too often or its consumer called it hopeless.

    Attributes:
        stream: Where the message is.
        consumer: Who gave it up.
        stream_seq: The message's sequence there.
        deliveries: How often it was delivered.
        reason: In the consumer's words, where it gave any.
    """

    stream: str
    consumer: str
    stream_seq: int
    deliveries: int = 0
    reason: str = ""


class Copied(Contract):
    """A message that was given up.

    Attributes:
        headers: As it was sent.
        body: Its body; None where it is too large to be copied, or was gone.
    """

    headers: Mapping[str, str] = Field(default_factory=dict)
    body: Base64Bytes | None = None


class LetterFact(Contract):
    """A letter after something happened to it."""

    letter: DeadLetter
    message: Copied


class DeadLetterGivenUpV1(CloudEvent):
    """`dead_letter.given_up`, version 1."""

    type: Literal["dev.hostler.dead_letter.given_up.v1"] = "dev.hostler.dead_letter.given_up.v1"
    data: LetterFact


class DeadLetterReplayedV1(CloudEvent):
    """`dead_letter.replayed`, version 1."""

    type: Literal["dev.hostler.dead_letter.replayed.v1"] = "dev.hostler.dead_letter.replayed.v1"
    data: LetterFact


class DeadLetterDiscardedV1(CloudEvent):
    """`dead_letter.discarded`, version 1."""

    type: Literal["dev.hostler.dead_letter.discarded.v1"] = "dev.hostler.dead_letter.discarded.v1"
    data: LetterFact


class Replay(Contract):
    """A message that its consumer is to take again.

    Attributes:
        source: Which message of which stream, and whose it is.
        subject: Of the message.
        stored_at: When it was stored.
        message: The message; without a body it is to be read where it lies.
    """

    source: Source
    subject: str
    stored_at: datetime
    message: Copied


class ReplayRequestedV1(CloudEvent):
    """`replay.requested`, version 1."""

    type: Literal["dev.hostler.replay.requested.v1"] = "dev.hostler.replay.requested.v1"
    data: Replay


LetterEventV1 = DeadLetterGivenUpV1 | DeadLetterReplayedV1 | DeadLetterDiscardedV1

LETTER_MODELS: tuple[type[CloudEvent], ...] = (
    DeadLetterGivenUpV1,
    DeadLetterReplayedV1,
    DeadLetterDiscardedV1,
    ReplayRequestedV1,
)

_LETTER: TypeAdapter[LetterEventV1] = TypeAdapter(Annotated[LetterEventV1, Field(discriminator="type")])


class UndecodableLetter(PermanentError):
    """Bytes that say nothing about a dead letter."""


def decode_advisory(data: bytes) -> Advisory:
    """The advisory in `data`.

    Raises:
        UndecodableLetter: there is none in it.
    """
    try:
        return Advisory.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableLetter(f"no advisory: {error.error_count()} fields are wrong") from None


def decode_letter(data: bytes) -> LetterEventV1:
    """The letter's event in `data`.

    Raises:
        UndecodableLetter: there is none in it.
    """
    try:
        return _LETTER.validate_json(data)
    except ValidationError as error:
        raise UndecodableLetter(f"no dead letter: {error.error_count()} fields are wrong") from None


def decode_replay(data: bytes) -> ReplayRequestedV1:
    """The wish in `data`.

    Raises:
        UndecodableLetter: there is none in it.
    """
    try:
        return ReplayRequestedV1.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableLetter(f"no replay: {error.error_count()} fields are wrong") from None
