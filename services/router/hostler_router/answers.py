"""Requests that were answered alike, added up once for all who count them: many at a time, most of it in C.

Pure. Made by `notes`, read by the figures (`metrics`) and by the load windows (`windows`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hostler_router.exchange import Exchange

Ended = tuple[Exchange, float]
"""What is known of a request that ended, and how many seconds it took."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Requests of one route and job that one replica answered with a 200, and that were no streams.

    Attributes:
        seconds: How long each took, ascending.
        overheads: How much longer than its replica each took, in seconds, ascending.
        prompt_tokens: That all of them used, like the next three.
        completion_tokens: Likewise.
        cached_tokens: Likewise.
        audio_seconds: Likewise.
        timed_seconds: How long those took whose runtime said how many tokens it wrote, which are `completion_tokens`.
    """

    seconds: Sequence[float]
    overheads: Sequence[float]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    audio_seconds: int
    timed_seconds: float


def added_up(ended: Sequence[Ended]) -> Answers:
    """What these are together."""
    seconds = [took for _, took in ended]
    overheads = [
        took - exchange.body_seconds - exchange.replica_seconds - exchange.queue_seconds
        for exchange, took in ended
    ]
    usages = [exchange.usage for exchange, _ in ended]
    used = [usage for usage in usages if usage is not None]
    written = [usage.completion_tokens for usage in used]
    if len(written) == len(seconds) and 0 not in written:
        timed = sum(seconds)
    else:
        timed = sum(
            [
                took
                for took, usage in zip(seconds, usages, strict=True)
                if usage is not None and usage.completion_tokens
            ]
        )
    seconds.sort()
    overheads.sort()
    return Answers(
        seconds,
        [max(overhead, 0.0) for overhead in overheads] if overheads and overheads[0] < 0 else overheads,
        prompt_tokens=sum([usage.prompt_tokens for usage in used]),
        completion_tokens=sum(written),
        cached_tokens=sum([usage.cached_tokens or 0 for usage in used]),
        audio_seconds=sum([usage.audio_seconds for usage in used]),
        timed_seconds=timed,
    )
