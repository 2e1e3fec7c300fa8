"""`/v1/dead-letters`: what consumers have given up, for an admin to look at, replay or discard.

A list has no bodies; one letter has its message's. A body holds what events hold, and no event holds a secret. Letters belong to
no project, so all of this takes the scope `admin`.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from hostler_api.access import AdminCaller
from hostler_api.problems import described
from hostler_bus.dead_letters import DeadLetterBook
from hostler_bus.letter_projection import LetterProjection
from hostler_contracts.dead_letters import Copied
from hostler_domain.dead_letters import DeadLetter, LetterState


class DeadLetterDocument(BaseModel):
    """A message that a consumer has given up, and what was done about it."""

    id: str
    """Stream, consumer and sequence."""
    stream: str
    consumer: str
    sequence: int
    subject: str
    stored_at: datetime | None
    state: LetterState
    reason: str
    deliveries: int
    """Before it was given up the last time."""
    failures: int
    """How often it was given up, replays included."""
    given_up_at: datetime
    replays: int
    handled_at: datetime | None
    handled_by: str | None
    """Id of the API key that replayed or discarded it last."""

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """The document of a letter."""
        return cls.model_validate(_fields(letter))


class DeadLetterWithMessage(DeadLetterDocument):
    """One letter with its message."""

    headers: Mapping[str, str]
    body: str | None
    """Null where it was too large to be copied, or was gone."""
    body_encoding: str
    """`utf-8`, or `base64` for bytes that are no text."""


class DeadLetterList(BaseModel):
    """One page of letters, latest given up first."""

    data: tuple[DeadLetterDocument, ...]
    has_more: bool
    next: str | None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What the routes below work with."""

    book: DeadLetterBook
    known: LetterProjection


router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


def _parts(request: Request) -> DeadLetters:
    parts: DeadLetters = request.app.state.dead_letters
    return parts


@router.get("", responses=described(400, 401, 403))
async def list_dead_letters(
    request: Request,
    caller: AdminCaller,
    stream: str | None = None,
    consumer: str | None = None,
    state: LetterState | None = None,
    after: Annotated[str | None, Query(max_length=300, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeadLetterList:
    """Letters of the last 30 days, latest given up first, without the messages' bodies."""
    del caller
    place = None if after is None else _place(after)
    found = [
        letter
        for letter in _parts(request).known.letters()
        if (stream is None or letter.source.stream == stream)
        and (consumer is None or letter.source.consumer == consumer)
        and (state is None or letter.state is state)
        and (place is None or _key(letter) < place)
    ]
    more = len(found) > limit
    return DeadLetterList(
        data=tuple(DeadLetterDocument.of(letter) for letter in found[:limit]),
        has_more=more,
        next="/".join(_key(found[limit - 1])) if more else None,
    )


@router.get("/{letter}", responses=described(401, 403, 404, 503))
async def get_dead_letter(request: Request, letter: str, caller: AdminCaller) -> DeadLetterWithMessage:
    """One letter, with the message that was given up."""
    del caller
    entry = await _parts(request).book.load(letter)
    body, encoding = _text(entry.message)
    return DeadLetterWithMessage.model_validate(
        _fields(entry.letter) | {"headers": entry.message.headers, "body": body, "body_encoding": encoding}
    )


@router.post("/{letter}/replay", status_code=202, responses=described(401, 403, 404, 409, 503))
async def replay_dead_letter(request: Request, letter: str, caller: AdminCaller) -> DeadLetterDocument:
    """Hand the message to the consumer that gave it up, and to no other; again is harmless. What fails again is a dead letter again."""
    return DeadLetterDocument.of(await _parts(request).book.replay(letter, by=caller.key.key_id))


@router.post("/{letter}/discard", status_code=200, responses=described(401, 403, 404, 409, 503))
async def discard_dead_letter(request: Request, letter: str, caller: AdminCaller) -> DeadLetterDocument:
    """Note that a letter needs nothing. It stays readable and can still be replayed."""
    return DeadLetterDocument.of(await _parts(request).book.discard(letter, by=caller.key.key_id))


def _fields(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.source.letter_id,
        "stream": letter.source.stream,
        "consumer": letter.source.consumer,
        "sequence": letter.source.seq,
        "subject": letter.subject,
        "stored_at": letter.stored_at,
        "state": letter.state,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "failures": letter.failures,
        "given_up_at": letter.given_up_at,
        "replays": letter.replays,
        "handled_at": letter.handled_at,
        "handled_by": letter.handled_by,
    }


def _key(letter: DeadLetter) -> tuple[str, str]:
    """By which a page begins where the one before ended; times in one form sort as text."""
    return f"{letter.given_up_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}", letter.source.letter_id


def _place(after: str) -> tuple[str, str]:
    time, _, letter_id = after.partition("/")
    return time, letter_id


def _text(message: Copied) -> tuple[str | None, str]:
    if message.body is None:
        return None, "utf-8"
    try:
        return message.body.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(message.body).decode(), "base64"
