"""Room that is taken in advance for callers whose requests come quickly, so that not each of them has to ask Valkey.

A grant is room for about the next `PERIOD_SECONDS` of one caller's requests and tokens. It is counted in Valkey before any of it is used, all
of it at once, so that all routers together never let in more than the limit; what nobody used is given back. Slots are not taken in
advance: one whose request has ended is kept for a moment, for the next request.

| what | rule |
| --- | --- |
| who gets one | more than `BUSY_PER_SECOND` requests at this router; others ask for each, which is exact |
| how much | what came in a period; of every limit at most a 25th, and of what is left of it a quarter, divided by the routers |
| too little for `REQUESTS_MIN` requests | none, so that what is small or almost used up is counted one by one; another try after a rest |
| half of a period's worth is left | more is asked for, beside the requests |
| more than two periods' worth is left, or no request came in a period | the rest is given back |

No I/O and no clock: `now` is in seconds of the monotonic one. Called by `limits_granted` alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hostler_domain.limits import Limits
from hostler_router.limit_rules import (
    REQUEST_HEADERS,
    TOKEN_HEADERS,
    Left,
    Level,
    Slot,
    Subject,
    leaked,
    reset_of,
    tightest,
)

PERIOD_SECONDS: Final = 0.1
BUSY_PER_SECOND: Final = 20.0
REQUESTS_MIN: Final = 4
REST_SECONDS: Final = 0.5
_LIMIT_PARTS: Final = 25
_LEFT_PARTS: Final = 4
_LINES_SECONDS: Final = 0.05
"""How long the text of a reset stays as it is; what remains is told to the request."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a grant is to give.

    Attributes:
        requests: At most; 0 where nobody bounds them.
        tokens: Likewise.
        requests_min: With less it is none.
        tokens_min: Likewise.
        parts: Of what is left of each limit one such part at most.
    """

    requests: int
    tokens: int
    requests_min: int
    tokens_min: int
    parts: int


@dataclass(frozen=True, slots=True)
class Room:
    """Requests and tokens that are counted already and that nobody has used yet."""

    requests: int = 0
    tokens: int = 0


def given(subjects: Sequence[Subject], levels: Sequence[Level], wanted: Wanted) -> Room:
    """What buckets that are so full give: all subjects the same, or none of them anything."""
    requests, tokens = wanted.requests, wanted.tokens
    for subject, level in zip(subjects, levels, strict=True):
        rpm, tpm = subject.limits.requests_per_minute, subject.limits.tokens_per_minute
        if rpm is not None:
            requests = min(requests, math.floor((rpm - level.requests) / wanted.parts))
        if tpm is not None:
            tokens = min(tokens, math.floor((tpm - level.tokens) / wanted.parts))
    if requests < wanted.requests_min or tokens < wanted.tokens_min:
        return Room()
    return Room(requests, tokens)


def filled(level: Level, limits: Limits, room: Room) -> Level:
    """`level` with all of that in it."""
    return Level(
        level.requests + (0 if limits.requests_per_minute is None else room.requests),
        level.tokens + (0 if limits.tokens_per_minute is None else room.tokens),
        level.slots,
    )


def emptied(level: Level, limits: Limits, requests: int) -> Level:
    """`level` without so many requests, which nobody made."""
    if limits.requests_per_minute is None:
        return level
    return Level(max(level.requests - requests, 0.0), level.tokens, level.slots)


@dataclass(slots=True, eq=False)
class Grant:
    """What one caller has at this router; callers differ by their key and its project.

    Attributes:
        key_limits: The key's, as they were when this was made.
        project_limits: The project's.
        subjects: Whose room is taken; none where nothing is bounded.
        requests: That may be let in without asking; infinite where nobody bounds them.
        tokens: Likewise.
        slots: Free ones, the last one freed last; of no use where nobody bounds concurrency.
        asked: More was asked for, and the answer is not here.
        looked_at: It is looked at each period.
        closed: The limits have changed, and another one has taken its place.
        owed_tokens: That were used beyond those set aside, which Valkey has not been told.
        ended: Requests that ended since Valkey was told.
    """

    key_limits: Limits | None
    project_limits: Limits | None
    subjects: tuple[Subject, ...]
    requests: float = 0
    tokens: float = 0
    slots: list[Slot] = field(default_factory=list)
    asked: bool = False
    looked_at: bool = False
    closed: bool = False
    owed_tokens: int = 0
    ended: int = 0
    bounds_requests: bool = field(init=False)
    bounds_tokens: bool = field(init=False)
    bounds_slots: bool = field(init=False)
    _slots_bound: int = 0
    _levels: tuple[Level, ...] = ()
    _heard_at: float = 0.0
    _came: int = 0
    _came_tokens: int = 0
    _since: float = -math.inf
    _rate: float = 0.0
    _token_rate: float = 0.0
    _requests_low: float = 0.0
    _tokens_low: float = 0.0
    _rests_until: float = -math.inf
    _fewest_slots: int = 0
    _lines_until: float = -math.inf
    _lines: bytes = b""
    _tells_requests: bool = False
    _tells_tokens: bool = False
    _requests_beyond: float = 0.0
    _tokens_beyond: float = 0.0

    def __post_init__(self) -> None:
        """Look up what is bounded at all."""
        limits = [subject.limits for subject in self.subjects]
        self.bounds_requests = any(each.requests_per_minute is not None for each in limits)
        self.bounds_tokens = any(each.tokens_per_minute is not None for each in limits)
        slots = [each.concurrency for each in limits if each.concurrency is not None]
        self.bounds_slots, self._slots_bound = bool(slots), min(slots, default=0)
        self.requests = 0 if self.bounds_requests else math.inf
        self.tokens = 0 if self.bounds_tokens else math.inf

    @property
    def busy(self) -> bool:
        """Whether requests come quickly."""
        return self._rate >= BUSY_PER_SECOND and not self.closed

    @property
    def low(self) -> bool:
        """Whether it is time to ask for more."""
        return self.requests < self._requests_low or self.tokens < self._tokens_low

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at."""
        return not (
            self.slots
            or self.ended
            or self.owed_tokens
            or (self.bounds_requests and self.requests)
            or (self.bounds_tokens and self.tokens)
        )

    def spend(self, tokens: int) -> bool:
        """A request came: let it in, where there is room for it. Its slot is then the last of `slots`, to be taken from there."""
        self._came += 1
        self._came_tokens += tokens
        if self.requests < 1 or self.tokens < tokens:
            return False
        if self.bounds_slots:
            left = len(self.slots) - 1
            if left < 0:
                return False
            self._fewest_slots = min(self._fewest_slots, left)
        self.requests -= 1
        self.tokens -= tokens
        return True

    def came_asking(self, now: float) -> None:
        """A request was not let in by `spend`; nobody looks at this meanwhile, perhaps, so it counts periods by itself."""
        if not self.looked_at and now - self._since >= PERIOD_SECONDS:
            self._count_period(now)

    def wants(self, now: float, routers: int) -> Wanted | None:
        """How much more is to be asked for; None where nothing is."""
        if self.asked or not self.busy or now < self._rests_until:
            return None
        if self.requests > self._requests_low and self.tokens > self._tokens_low:
            return None
        if self.bounds_slots and not self._slots_max(routers):
            return None  # each request has to ask for its slot anyway
        requests = max(math.ceil(self._rate * PERIOD_SECONDS), REQUESTS_MIN) if self.bounds_requests else 0
        requests_min = REQUESTS_MIN if self.bounds_requests else 0
        tokens_min = math.ceil(REQUESTS_MIN * self._token_rate / self._rate) if self.bounds_tokens else 0
        tokens = max(math.ceil(self._token_rate * PERIOD_SECONDS), tokens_min) if self.bounds_tokens else 0
        for subject in self.subjects:
            rpm, tpm = subject.limits.requests_per_minute, subject.limits.tokens_per_minute
            if rpm is not None:
                requests = min(requests, rpm // (_LIMIT_PARTS * routers))
            if tpm is not None:
                tokens = min(tokens, tpm // (_LIMIT_PARTS * routers))
        if requests < requests_min or tokens < tokens_min:
            return None
        return Wanted(requests, tokens, requests_min, tokens_min, _LEFT_PARTS * routers)

    def took(self, room: Room, now: float) -> None:
        """The answer to what was wanted."""
        self.asked = False
        if not room.requests and not room.tokens:
            self._rests_until = now + REST_SECONDS
            return
        self.requests += room.requests
        self.tokens += room.tokens
        self._requests_low = room.requests / 2 if self.bounds_requests else 0.0
        self._tokens_low = room.tokens / 2 if self.bounds_tokens else 0.0

    def got_none(self, now: float) -> None:
        """What was wanted can't be asked for at present."""
        self.asked = False
        self._rests_until = now + REST_SECONDS

    def heard(self, levels: tuple[Level, ...], now: float) -> None:
        """Valkey said how full the buckets are, with all that was taken from them for this."""
        self._levels, self._heard_at = levels, now
        self._lines_until = -math.inf

    def keeps_slot(self, routers: int) -> bool:
        """Whether a slot whose request has ended is better kept for the next one than given back."""
        return self.busy and len(self.slots) < self._slots_max(routers)

    def look(self, now: float) -> tuple[Room, list[Slot]]:
        """A period has passed: what is to be given back of what is left, and of the slots those that were free all the time."""
        none_came = not self._came
        self._count_period(now)
        if none_came or not self.busy:
            return self.give_up()
        requests = tokens = 0
        most = max(self._rate * PERIOD_SECONDS, REQUESTS_MIN) * 2
        if self.bounds_requests and self.requests > most:
            requests = math.floor(self.requests - most)
        most_tokens = max(self._token_rate * PERIOD_SECONDS, REQUESTS_MIN * self._token_rate / self._rate) * 2
        if self.bounds_tokens and self.tokens > most_tokens:
            tokens = math.floor(self.tokens - most_tokens)
        self.requests -= requests
        self.tokens -= tokens
        unused = self.slots[: self._fewest_slots]
        del self.slots[: self._fewest_slots]
        self._fewest_slots = len(self.slots)
        return Room(requests, tokens), unused

    def give_up(self) -> tuple[Room, list[Slot]]:
        """Everything that is left; there is nothing any more."""
        room = Room(
            int(self.requests) if self.bounds_requests else 0, int(self.tokens) if self.bounds_tokens else 0
        )
        self.requests -= room.requests
        self.tokens -= room.tokens
        self._rate = self._requests_low = self._tokens_low = 0.0
        slots, self.slots = self.slots, []
        self._fewest_slots = 0
        return room, slots

    def unused_since(self, now: float) -> float:
        """For how long nobody has asked, or a little more."""
        return math.inf if self.closed else now - self._since

    def lines(self, now: float) -> bytes:
        """For the answer to a request that was just let in: `limit_headers`, of what is left when nobody else was let in meanwhile, as they are written."""
        if now >= self._lines_until:
            self._work_out_lines(now)
        if self._tells_requests:
            requests = max(int(self._requests_beyond + self.requests), 0)
            if not self._tells_tokens:
                return self._lines % requests
            return self._lines % (requests, max(int(self._tokens_beyond + self.tokens), 0))
        if self._tells_tokens:
            return self._lines % max(int(self._tokens_beyond + self.tokens), 0)
        return b""

    def _slots_max(self, routers: int) -> int:
        return self._slots_bound // (_LIMIT_PARTS * routers)

    def _count_period(self, now: float) -> None:
        seconds = max(now - self._since, PERIOD_SECONDS / 2)
        rate, token_rate = self._came / seconds, self._came_tokens / seconds
        # Up at once, down by halves: a caller that pauses for a moment is not asked to begin anew.
        self._rate = max(rate, (rate + self._rate) / 2)
        self._token_rate = max(token_rate, (token_rate + self._token_rate) / 2)
        self._came = self._came_tokens = 0
        self._since = now

    def _work_out_lines(self, now: float) -> None:
        passed = now - self._heard_at
        unused_requests = self.requests if self.bounds_requests else 0
        unused_tokens = self.tokens if self.bounds_tokens else 0
        levels = []
        for subject, heard in zip(self.subjects, self._levels, strict=False):
            level = leaked(heard, subject.limits, passed)
            levels.append(
                Level(max(level.requests - unused_requests, 0.0), max(level.tokens - unused_tokens, 0.0))
            )
        requests, tokens = tightest(self.subjects[: len(levels)], levels)
        self._tells_requests, self._tells_tokens = requests is not None, tokens is not None
        self._lines = b""
        # As in `limit_headers`: what lacks a millionth of being whole is whole.
        if requests is not None:
            self._lines += _lines_of(REQUEST_HEADERS, requests)
            self._requests_beyond = requests[0] + 1e-6 - self.requests
        if tokens is not None:
            self._lines += _lines_of(TOKEN_HEADERS, tokens)
            self._tokens_beyond = tokens[0] + 1e-6 - self.tokens
        self._lines_until = now + _LINES_SECONDS


def _lines_of(names: tuple[bytes, bytes, bytes], left: Left) -> bytes:
    """The lines of a bound, with a place for what remains of it."""
    (limit_name, limit), (reset_name, reset) = reset_of(names, left)
    return b"%b: %b\r\n%b: %%d\r\n%b: %b\r\n" % (limit_name, limit, names[1], reset_name, reset)
