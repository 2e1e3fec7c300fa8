"""A slot: what happened to one job, or one replica, in one fixed span of time, added up over windows and routers.

The recorder folds windows into slots, the store keeps them as bytes, `series` reads samples from them. Folding a window that
is in the slot already changes nothing: the windows of one router come in order, and the slot remembers the latest of each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pydantic_core

from hostler_contracts.load import LoadWindow, ReplicaLoad
from hostler_domain.errors import PermanentError
from hostler_domain.histogram import merged

FLEET: Final = "@fleet"
"""The source of the counts of replicas, beside the routers."""


class UnreadableSlot(PermanentError):
    """Bytes that are no slot."""


@dataclass(frozen=True, slots=True)
class Source:
    """How far one router has reported into a slot.

    Attributes:
        latest_ms: Begin of its latest window, in milliseconds since 1970.
        seconds: Time that its windows covered.
    """

    latest_ms: int
    seconds: float


@dataclass(slots=True)
class Slot:
    """Sums over a span of time.

    Attributes:
        sources: By router; only counts of windows with a later begin are taken in.
        in_flight_seconds: Requests under way times the seconds for which they were.
        queued_seconds: Likewise of requests that waited, for as long as routers said so.
        queue_known_seconds: How long that was; a router without a queue says nothing of one.
        desired_seconds: Desired replicas, likewise.
        ready_seconds: Ready replicas, likewise.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    arrivals: int = 0
    completed: int = 0
    failed: int = 0
    rejected: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    in_flight_seconds: float = 0.0
    queued_seconds: float = 0.0
    queue_known_seconds: float = 0.0
    desired_seconds: float = 0.0
    ready_seconds: float = 0.0
    latency_ms: dict[int, int] = field(default_factory=dict)
    first_token_ms: dict[int, int] = field(default_factory=dict)

    @property
    def traffic_seconds(self) -> float:
        """How much of the span some router reported on; 0 where none did."""
        return max((each.seconds for name, each in self.sources.items() if name != FLEET), default=0.0)

    @property
    def fleet_seconds(self) -> float:
        """For how much of it the number of replicas is known."""
        fleet = self.sources.get(FLEET)
        return fleet.seconds if fleet else 0.0

    def take(self, window: LoadWindow) -> bool:
        """Add a router's window of the job; False where it is in already."""
        if not self._advance(window.router, window_ms(window), window.seconds):
            return False
        self.arrivals += window.arrivals
        self.rejected += window.rejected
        if window.queued is not None:
            self.queued_seconds += window.queued * window.seconds
            # Routers report side by side, so the known time is that of the one that reported most.
            self.queue_known_seconds = max(self.queue_known_seconds, self.sources[window.router].seconds)
        self._add(window, window.seconds)
        return True

    def take_replica(self, window: LoadWindow, load: ReplicaLoad) -> bool:
        """Add one replica's share of a window; False where it is in already."""
        if not self._advance(window.router, window_ms(window), window.seconds):
            return False
        self.arrivals += load.completed + load.failed
        self._add(load, window.seconds)
        return True

    def take_fleet(self, at_ms: int, seconds: float, *, desired: int, ready: int) -> bool:
        """Add that there were so many replicas for `seconds` from `at_ms` on; False where it is in already."""
        if not self._advance(FLEET, at_ms, seconds):
            return False
        self.desired_seconds += desired * seconds
        self.ready_seconds += ready * seconds
        return True

    def _advance(self, source: str, at_ms: int, seconds: float) -> bool:
        known = self.sources.get(source)
        if known is not None and at_ms <= known.latest_ms:
            return False
        self.sources[source] = Source(at_ms, (known.seconds if known else 0.0) + seconds)
        return True

    def _add(self, load: "LoadWindow | ReplicaLoad", seconds: float) -> None:
        self.completed += load.completed
        self.failed += load.failed
        self.prompt_tokens += load.prompt_tokens
        self.completion_tokens += load.completion_tokens
        self.in_flight_seconds += load.in_flight * seconds
        if load.latency_ms:
            self.latency_ms = merged((self.latency_ms, load.latency_ms))
        if load.first_token_ms:
            self.first_token_ms = merged((self.first_token_ms, load.first_token_ms))


_NUMBERS: Final = (
    "arrivals",
    "completed",
    "failed",
    "rejected",
    "prompt_tokens",
    "completion_tokens",
    "in_flight_seconds",
    "queued_seconds",
    "desired_seconds",
    "ready_seconds",
    "queue_known_seconds",
)
"""Their order in the stored form is for ever; new ones go to the end."""


def window_ms(window: LoadWindow) -> int:
    """Begin of a window in milliseconds since 1970."""
    return round(window.started_at.timestamp() * 1000)


def encode_slot(slot: Slot, start_ms: int) -> bytes:
    """The stored form of the slot that begins at `start_ms`: short, since there are many, and most of them are of idle times."""
    numbers = [_rounded(getattr(slot, name)) for name in _NUMBERS]
    while numbers and not numbers[-1]:
        numbers.pop()
    sources = {
        name: [each.latest_ms - start_ms, _rounded(each.seconds)] for name, each in slot.sources.items()
    }
    parts: list[object] = [sources, numbers, _pairs(slot.latency_ms), _pairs(slot.first_token_ms)]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return pydantic_core.to_json(parts)


def decode_slot(data: bytes, start_ms: int) -> Slot:
    """The slot in `data`, which begins at `start_ms`.

    Raises:
        UnreadableSlot: there is none in it.
    """
    try:
        sources, *rest = pydantic_core.from_json(data)
        numbers, latency, first_token = (*rest, [], [], [])[:3]
        slot = Slot(
            sources={
                name: Source(start_ms + int(at), float(seconds)) for name, (at, seconds) in sources.items()
            },
            latency_ms=_counts(latency),
            first_token_ms=_counts(first_token),
        )
        for name, value in zip(_NUMBERS, numbers, strict=False):
            setattr(slot, name, value)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableSlot(f"no slot of metric history: {type(error).__name__}") from None
    return slot


def _rounded(value: float) -> float:
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def _pairs(histogram: dict[int, int]) -> list[int]:
    return [number for index in sorted(histogram) for number in (index, histogram[index])]


def _counts(pairs: Iterable[int]) -> dict[int, int]:
    numbers = list(pairs)
    return dict(zip(numbers[::2], numbers[1::2], strict=True))
