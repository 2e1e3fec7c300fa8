"""Where a follower of a stream stands, and from where it goes on: values only.

The NATS adapter loses its consumer now and then (a connection breaks, the server restarts) and asks this module from where to
read next, so that nothing is left out and nothing comes twice.

What `opening` answers:

    opened before | the same stream as then | stands somewhere | reads
    no            |                         |                  | as `start` says
    yes           | yes                     | yes              | from where it stands
    yes           | yes                     | no               | as `start` says
    yes           | no                      |                  | all of the new stream (of each subject the last for LastPerSubject)
"""

from dataclasses import dataclass, replace
from datetime import datetime

from hostler_bus.port import FromSequence, LastPerSubject, OnlyNew, SinceTime, Start


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream as it was just before a consumer was made on it.

    Attributes:
        created: When it was made; another time means that it is another stream under the old name.
        last_seq: Sequence of its last message.
    """

    created: datetime
    last_seq: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a follower stands.

    Attributes:
        start: What it was asked for.
        created: Of the stream that it has read so far; None before it was opened.
        next_seq: Everything below was delivered or not wanted; None where nothing of that kind is known.
        due: Messages that still have to come before it has caught up.
        caught_up: Whether it ever had; it is told once.
    """

    start: Start
    created: datetime | None = None
    next_seq: int | None = None
    due: int = 0
    caught_up: bool = False


def opening(cursor: Cursor, stream: StreamView) -> FromSequence | LastPerSubject | SinceTime:
    """From where the next consumer has to read."""
    if cursor.created is not None and cursor.created != stream.created:
        return LastPerSubject() if isinstance(cursor.start, LastPerSubject) else FromSequence(1)
    if cursor.next_seq is not None:
        return FromSequence(cursor.next_seq)
    if isinstance(cursor.start, OnlyNew):
        return FromSequence(stream.last_seq + 1)
    return cursor.start


def opened(cursor: Cursor, stream: StreamView, pending: int) -> tuple[Cursor, bool]:
    """The consumer was made and has `pending` messages to deliver. Also says whether this is the moment of having caught up."""
    known = cursor.next_seq if cursor.created == stream.created else None
    if pending == 0:
        # Nothing up to the stream's end is wanted, so a later consumer must not go back behind it.
        asked = cursor.start.seq if cursor.created is None and isinstance(cursor.start, FromSequence) else 0
        known = max(known or asked, stream.last_seq + 1)
    reached = not cursor.caught_up and pending == 0
    moved = replace(
        cursor,
        created=stream.created,
        next_seq=known,
        due=pending,
        caught_up=cursor.caught_up or reached,
    )
    return moved, reached


def delivered(cursor: Cursor, seq: int, pending: int) -> tuple[Cursor, bool]:
    """The message `seq` came, with `pending` behind it. Also says whether it was the last that was due.

    The count decides where new messages keep coming; `pending` decides where some that were due have been removed.
    """
    due = max(cursor.due - 1, 0)
    reached = not cursor.caught_up and (due == 0 or pending == 0)
    moved = Cursor(
        start=cursor.start,
        created=cursor.created,
        next_seq=seq + 1,
        due=due,
        caught_up=cursor.caught_up or reached,
    )
    return moved, reached
