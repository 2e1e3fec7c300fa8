"""How limits are counted, and what a caller is told about them. Pure.

Every bound on a minute is a bucket that leaks: what is used goes in, and the limit's worth leaks out in a minute, evenly. A request fits
while the bucket does not overflow. So a caller may use a whole minute's worth at once and then goes on at the rate of its
limit; OpenAI's own waiting times follow the same rule. The Lua program in `limits_store` computes the same in Valkey, and a
property test holds the two against each other; `limits_local` computes with this where Valkey can't be asked.

Where several routers count by themselves, `routers` says between how many a limit is divided; it is 1 for Valkey.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

import msgspec

from hostler_domain.limits import Limits

MINUTE_SECONDS: Final = 60.0
BYTES_PER_TOKEN: Final = 4
Header: TypeAlias = tuple[bytes, bytes]
REQUEST_HEADERS: Final = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
)
TOKEN_HEADERS: Final = (
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
)
Left: TypeAlias = tuple[float, float, int]
"""What is left of a bound, minutes until all of it is there again, as a negative number, and the bound: the least is the tightest."""
_CONCURRENCY_WAIT_SECONDS: Final = 1.0
"""Nobody knows when one of the requests under way ends."""


class Bound(StrEnum):
    """What is bounded."""

    REQUESTS = "requests_per_minute"
    TOKENS = "tokens_per_minute"
    CONCURRENCY = "concurrency"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose use is counted.

    Attributes:
        kind: `key` or `project`.
        name: Where it is counted; unique among both kinds.
        limits: Its bounds, one at least.
    """

    kind: str
    name: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Level:
    """How full the buckets of a subject are, and how many requests it has under way."""

    requests: float = 0.0
    tokens: float = 0.0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that wants to begin.

    Attributes:
        request: Unique among all routers; the concurrency slot goes by it.
        subjects: Who has to have room for it; each has limits.
        tokens: That are set aside for it.
    """

    request: str
    subjects: tuple[Subject, ...]
    tokens: int


@dataclass(slots=True, eq=False, weakref_slot=True)
class Slot:
    """Counts against bounds on concurrency for as long as somebody holds it.

    Attributes:
        request: By which Valkey knows it: the first request's that held it.
        subjects: Whose concurrency is bounded.
    """

    request: str
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: whether all subjects had room, and how full each is now."""

    admitted: bool
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The bound that keeps a request out longest.

    Attributes:
        subject: Whose.
        bound: Which.
        limit: Its value.
        used: Of it.
        wanted: By the request.
        wait_seconds: Until there is room; infinite where there will never be.
    """

    subject: Subject
    bound: Bound
    limit: int
    used: int
    wanted: int
    wait_seconds: float


class Lease(Protocol):
    """What an admitted request holds."""

    def settle(self, tokens_used: int | None) -> None:
        """The request ended: give its slot back and count what it used, where that is known. Again is harmless."""
        ...


class Verdict(msgspec.Struct, frozen=True):  # one for each request, and made in a tenth of a dataclass's time
    """Whether a request may begin.

    Attributes:
        admitted: It may.
        headers: `x-ratelimit-...` for its answer, whichever it is.
        refused_by: Such as `key.tokens_per_minute`; None where it may.
        retry_after_seconds: When another try may succeed; 0 where it may begin, or where no try ever will.
        lease: To be settled when it has ended; None where there is nothing to give back or it may not begin.
        refusal: The details of `refused_by`.
        lines: More headers for its answer, as they are written.
    """

    admitted: bool
    headers: tuple[Header, ...] = ()
    refused_by: str | None = None
    retry_after_seconds: float = 0.0
    lease: Lease | None = None
    refusal: Refusal | None = None
    lines: bytes = b""


UNLIMITED: Final = Verdict(admitted=True)


def subjects_of(
    key_id: str, key_limits: Limits | None, project: str, project_limits: Limits | None
) -> tuple[Subject, ...]:
    """Who has to have room for a request of this key.

    Both names hold the project in braces: a cluster of Valkeys keeps them together then, as one program needs them.
    """
    key = Subject("key", f"{{{project}}}:key:{key_id}", key_limits) if key_limits else None
    whole = Subject("project", f"{{{project}}}:project", project_limits) if project_limits else None
    return tuple(each for each in (key, whole) if each is not None)


def estimated_tokens(prompt_bytes: int, tokens_max: int | None, tokens_default: int) -> int:
    """What a request may use, before anybody counted: what it sends, and what it lets the model answer."""
    answer = tokens_default if tokens_max is None else max(tokens_max, 0)
    return prompt_bytes // BYTES_PER_TOKEN + answer


def leaked(level: Level, limits: Limits, passed_seconds: float, routers: int = 1) -> Level:
    """`level` after some time; a clock that went back leaks nothing."""
    minutes = max(passed_seconds, 0.0) / MINUTE_SECONDS / routers
    rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
    return Level(
        0.0 if rpm is None else max(level.requests - minutes * rpm, 0.0),
        0.0 if tpm is None else max(level.tokens - minutes * tpm, 0.0),
        level.slots,
    )


def charged(level: Level, limits: Limits, tokens: int) -> Level:
    """`level` with one more request in it."""
    return Level(
        level.requests + (limits.requests_per_minute is not None),
        level.tokens + (0 if limits.tokens_per_minute is None else tokens),
        level.slots + (limits.concurrency is not None),
    )


def corrected(level: Level, limits: Limits, tokens: int) -> Level:
    """`level` with so many tokens more, or fewer, than were set aside.

    A debt is a minute's worth at most: whoever was let in far too cheaply is not kept out for hours.
    """
    tpm = limits.tokens_per_minute
    if tpm is None:
        return level
    return Level(level.requests, min(max(level.tokens + tokens, 0.0), 2.0 * tpm), level.slots)


def refusals(subject: Subject, level: Level, tokens: int, routers: int = 1) -> Iterator[Refusal]:
    """Every bound of a subject that has no room for one more request with so many tokens.

    A router's share of a small limit is below one; it may then take one at a time and waits longer for the next.
    """
    limits = subject.limits
    if (rpm := limits.requests_per_minute) is not None:
        over = level.requests + 1 - max(rpm / routers, 1.0)
        if over > 0:
            wait = over * routers / rpm * MINUTE_SECONDS
            yield Refusal(subject, Bound.REQUESTS, rpm, _whole(level.requests), 1, wait)
    if (tpm := limits.tokens_per_minute) is not None:
        capacity = max(tpm / routers, 1.0)
        # What is above a router's share, but not above the limit, is let into an empty bucket and paid off later.
        over = level.tokens + (tokens if tokens > tpm else min(tokens, capacity)) - capacity
        if over > 0:
            wait = math.inf if tokens > tpm else over * routers / tpm * MINUTE_SECONDS
            yield Refusal(subject, Bound.TOKENS, tpm, _whole(level.tokens), tokens, wait)
    if (slots := limits.concurrency) is not None and level.slots >= max(slots // routers, 1):
        yield Refusal(subject, Bound.CONCURRENCY, slots, level.slots, 1, _CONCURRENCY_WAIT_SECONDS)


def verdict(asked: Asked, outcome: Outcome, lease: Lease | None, routers: int = 1) -> Verdict:
    """What the caller is told."""
    headers = limit_headers(asked.subjects, outcome.levels, routers)
    if outcome.admitted:
        return Verdict(admitted=True, headers=headers, lease=lease)
    refusal = max(
        (
            each
            for subject, level in zip(asked.subjects, outcome.levels, strict=True)
            for each in refusals(subject, level, asked.tokens, routers)
        ),
        key=lambda each: each.wait_seconds,
    )
    return Verdict(
        admitted=False,
        headers=headers,
        refused_by=f"{refusal.subject.kind}.{refusal.bound}",
        retry_after_seconds=0.0 if math.isinf(refusal.wait_seconds) else refusal.wait_seconds,
        refusal=refusal,
    )


def limit_headers(
    subjects: Sequence[Subject], levels: Sequence[Level], routers: int = 1
) -> tuple[Header, ...]:
    """OpenAI's headers: of requests and of tokens each the bound with the least left."""
    requests, tokens = tightest(subjects, levels, routers)
    return (
        *(() if requests is None else _headers(REQUEST_HEADERS, requests)),
        *(() if tokens is None else _headers(TOKEN_HEADERS, tokens)),
    )


def tightest(
    subjects: Sequence[Subject], levels: Sequence[Level], routers: int = 1
) -> tuple[Left | None, Left | None]:
    """Of requests and of tokens each the bound with the least left; None where nobody bounds them."""
    requests: Left | None = None
    tokens: Left | None = None
    for subject, level in zip(subjects, levels, strict=True):
        rpm, tpm = subject.limits.requests_per_minute, subject.limits.tokens_per_minute
        if rpm is not None:
            left = (max(rpm / routers, 1.0) - level.requests, -level.requests * routers / rpm, rpm)
            requests = left if requests is None else min(requests, left)
        if tpm is not None:
            left = (max(tpm / routers, 1.0) - level.tokens, -level.tokens * routers / tpm, tpm)
            tokens = left if tokens is None else min(tokens, left)
    return requests, tokens


def reset_of(names: tuple[bytes, bytes, bytes], left: Left) -> tuple[Header, Header]:
    """The limit and its reset, which stay the same for a while, without what remains between them."""
    _, minutes, limit = left
    return (names[0], b"%d" % limit), (names[2], reset_text(-minutes * MINUTE_SECONDS).encode())


def reset_text(seconds: float) -> str:
    """A length of time as OpenAI writes it: `120ms`, `8.64s`, `6m0s`, `1h0m0s`; rounded up."""
    milliseconds = max(math.ceil(seconds * 1000), 0)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _headers(names: tuple[bytes, bytes, bytes], left: Left) -> tuple[Header, ...]:
    limit, reset = reset_of(names, left)
    # What leaked by is a fraction; one that lacks a millionth of being whole is whole.
    return limit, (names[1], b"%d" % max(int(left[0] + 1e-6), 0)), reset


def _whole(used: float) -> int:
    return math.ceil(used - 1e-6)
