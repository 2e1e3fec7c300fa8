"""Samples out of slots, as pure functions.

A sample stands for a span of time. Slots that reach into it count by the share of them that lies inside; a sample that no slot
reaches is a gap, and so is one whose slots say nothing about what is asked, such as the latency of no requests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hostler_api.history.resolutions import Resolution
from hostler_api.history.shapes import Sample, Series, SeriesName
from hostler_api.history.slots import Slot
from hostler_domain.histogram import quantile

Weighted = Sequence[tuple[Slot, float]]
"""Slots with the share of each, 0 to 1, that counts."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Equal spans of time, one for each sample, as seen at `now_ms`."""

    start_ms: int
    end_ms: int
    samples: int
    now_ms: int

    def bounds(self, number: int) -> tuple[float, float]:
        """Begin and end of one of them, in milliseconds since 1970."""
        length = (self.end_ms - self.start_ms) / self.samples
        return self.start_ms + number * length, self.start_ms + (number + 1) * length


def read_series(
    names: Sequence[SeriesName], slots: Mapping[int, Slot], resolution: Resolution, spans: Spans
) -> tuple[Series, ...]:
    """Every series that is asked for.

    Args:
        names: Which.
        slots: By their number at this resolution; what is missing was never recorded.
        resolution: Of the slots.
        spans: Of the samples.
    """
    reached = [
        _reached(slots, resolution, *spans.bounds(number), spans.now_ms) for number in range(spans.samples)
    ]
    ends = [_moment(spans.bounds(number)[1]) for number in range(spans.samples)]
    return tuple(
        Series(
            name,
            tuple(Sample(at, _READERS[name](found)) for at, found in zip(ends, reached, strict=True)),
        )
        for name in names
    )


def _reached(
    slots: Mapping[int, Slot], resolution: Resolution, begin_ms: float, end_ms: float, now_ms: int
) -> Weighted:
    length = resolution.slot_seconds * 1000
    found: list[tuple[Slot, float]] = []
    # Whatever the question spans, no more is walked through than was recorded.
    first = max(int(begin_ms // length), min(slots, default=0))
    last = min(int(-(-end_ms // length)), max(slots, default=-1) + 1)
    for number in range(first, last):
        slot = slots.get(number)
        if slot is not None:
            # Of the slot under way only the time up to now is filled.
            slot_end = max(min((number + 1) * length, now_ms), number * length + 1)
            inside = min(end_ms, slot_end) - max(begin_ms, number * length)
            found.append((slot, max(inside, 0) / (slot_end - number * length)))
    return found


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


Reader = Callable[[Weighted], float | None]


def _count(of: Callable[[Slot], float]) -> Reader:
    """How many there were."""

    def read(found: Weighted) -> float | None:
        heard = [(slot, share) for slot, share in found if slot.traffic_seconds]
        return round(sum(of(slot) * share for slot, share in heard), 6) if heard else None

    return read


def _mean(of: Callable[[Slot], float], seconds: Callable[[Slot], float]) -> Reader:
    """A sum over time, per second of the time that is known."""

    def read(found: Weighted) -> float | None:
        known = sum(seconds(slot) * share for slot, share in found)
        return round(sum(of(slot) * share for slot, share in found) / known, 6) if known else None

    return read


def _quantile(of: Callable[[Slot], Mapping[int, int]], share_below: float) -> Reader:
    """A quantile of what was counted; the shares of slots are kept exact to a thousandth."""

    def read(found: Weighted) -> float | None:
        weighted: dict[int, int] = {}
        for slot, share in found:
            for index, count in of(slot).items():
                weighted[index] = weighted.get(index, 0) + round(count * share * 1000)
        value = quantile(weighted, share_below)
        return None if value is None else round(value, 3)

    return read


def _traffic(slot: Slot) -> float:
    return slot.traffic_seconds


def _fleet(slot: Slot) -> float:
    return slot.fleet_seconds


_READERS: Mapping[SeriesName, Reader] = {
    SeriesName.REQUESTS: _count(lambda slot: slot.arrivals),
    SeriesName.ERRORS: _count(lambda slot: slot.failed + slot.rejected),
    SeriesName.THROUGHPUT: _mean(lambda slot: slot.completed, _traffic),
    SeriesName.LATENCY_P50: _quantile(lambda slot: slot.latency_ms, 0.5),
    SeriesName.LATENCY_P95: _quantile(lambda slot: slot.latency_ms, 0.95),
    SeriesName.LATENCY_P99: _quantile(lambda slot: slot.latency_ms, 0.99),
    SeriesName.TTFT_P50: _quantile(lambda slot: slot.first_token_ms, 0.5),
    SeriesName.TTFT_P95: _quantile(lambda slot: slot.first_token_ms, 0.95),
    SeriesName.PROMPT_TOKENS: _count(lambda slot: slot.prompt_tokens),
    SeriesName.COMPLETION_TOKENS: _count(lambda slot: slot.completion_tokens),
    SeriesName.IN_FLIGHT: _mean(lambda slot: slot.in_flight_seconds, _traffic),
    SeriesName.QUEUED: _mean(lambda slot: slot.queued_seconds, lambda slot: slot.queue_known_seconds),
    SeriesName.REPLICAS_DESIRED: _mean(lambda slot: slot.desired_seconds, _fleet),
    SeriesName.REPLICAS_READY: _mean(lambda slot: slot.ready_seconds, _fleet),
}
