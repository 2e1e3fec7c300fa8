"""Requests about dead letters and how their answers are read: the part that both clients share. No I/O."""

from urllib.parse import quote

from hostler_client.jobs_api import Call, given, reader
from hostler_client.models import DeadLetter, DeadLetterPage, DeadLetterWithMessage


def page(
    *,
    stream: str | None = None,
    consumer: str | None = None,
    state: str | None = None,
    after: str | None = None,
) -> Call[DeadLetterPage]:
    """Read one page of letters."""
    params = given(stream=stream, consumer=consumer, state=state, after=after)
    return Call("GET", "/v1/dead-letters", reader(DeadLetterPage), params=params)


def get(letter: str) -> Call[DeadLetterWithMessage]:
    """Read one letter and its message."""
    return Call("GET", _path(letter), reader(DeadLetterWithMessage))


def replay(letter: str) -> Call[DeadLetter]:
    """Hand the message to its consumer again; one that is on its way stays so."""
    return Call("POST", f"{_path(letter)}/replay", reader(DeadLetter))


def discard(letter: str) -> Call[DeadLetter]:
    """Note that a letter needs nothing."""
    return Call("POST", f"{_path(letter)}/discard", reader(DeadLetter))


def _path(letter: str) -> str:
    return f"/v1/dead-letters/{quote(letter, safe='')}"
