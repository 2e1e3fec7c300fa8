"""The traffic that a job had, made again from its decision records and its load windows.

A record tells the rate of the minute before it, a window how many requests came in a few seconds. Windows are kept for a quarter of an
hour and records for days, so the newest part is finer. Within a minute or a window arrivals are spread evenly by chance. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, exp, log, pi, sqrt

from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.records import UnreadableRecord, observed
from hostler_autoscaler.simulation.traffic import Draw, Traffic, of_rows
from hostler_autoscaler.what_if.fitting import Fitted, units_of
from hostler_contracts.decisions import DecisionRecord
from hostler_contracts.load import LoadWindow

GAP_SECONDS = 150.0
"""Records come each minute; where the next is later than this, nobody watched."""
LOOK_BACK_SECONDS = 60.0
REQUESTS_MAX = 1_000_000
"""More would take longer than a question may."""
UNITS_MAX = 1_000_000
_STEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One record that can be read: when it was made, what was seen and remembered, and the number that was decided."""

    at: datetime
    before: int
    decided: int
    seen: Observation
    state: str


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which so many requests came.

    Attributes:
        begin: When it begins.
        end: When it ends.
        requests: How many came, on average over many such times.
        units: How long each was on average, in the engine's units; None where nothing was answered.
    """

    begin: datetime
    end: datetime
    requests: float
    units: float | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of it.

    Attributes:
        begin: Of the first span.
        end: Of the last one.
        spans: Those about which something is known, in order and not overlapping.
        moments: The records.
        cut: More was recorded than may be replayed at once, and the oldest is left out.
    """

    begin: datetime
    end: datetime
    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    cut: bool = False

    @property
    def unknown_seconds(self) -> float:
        """For how long nothing is known."""
        known = sum((span.end - span.begin).total_seconds() for span in self.spans)
        return max((self.end - self.begin).total_seconds() - known, 0.0)


def moments_of(records: Iterable[DecisionRecord]) -> tuple[Moment, ...]:
    """The records that can be read, by time."""
    found = []
    for record in records:
        try:
            seen = observed(record.observation)
        except UnreadableRecord:
            continue
        number = record.decision.replicas
        found.append(Moment(record.at, record.previous_replicas, number, seen, record.state))
    return tuple(sorted(found, key=lambda each: each.at))


def recorded(moments: Sequence[Moment], windows: Iterable[LoadWindow], *, since: datetime) -> Recorded | None:
    """What came since then; None where nothing is recorded."""
    fine = _of_windows(windows, since)
    until = fine[0].begin if fine else None
    coarse = _of_records(moments, since, until)
    spans = (*coarse, *fine)
    if not spans:
        return None
    kept: list[Span] = []
    requests = 0.0
    for span in reversed(spans):
        requests += span.requests
        if kept and requests > REQUESTS_MAX:
            break
        kept.append(span)
    kept.reverse()
    begin = kept[0].begin
    return Recorded(
        begin=begin,
        end=kept[-1].end,
        spans=tuple(kept),
        moments=tuple(each for each in moments if each.at >= begin - timedelta(seconds=GAP_SECONDS)),
        cut=len(kept) < len(spans),
    )


def traffic_of(recorded: Recorded, fitted: Fitted, *, draw: Draw) -> Traffic:
    """Requests as they may have come; another draw gives others with the same rates and lengths."""
    content = fitted.content
    rows: list[tuple[float, int, int]] = []
    for span in recorded.spans:
        begin = (span.begin - recorded.begin).total_seconds()
        seconds = (span.end - span.begin).total_seconds()
        number = int(span.requests + draw())
        mean = (content.mean_units if span.units is None else span.units) * fitted.scale
        rows += [
            (at, 0, min(max(round(_length(mean, content.spread, draw)), 1), UNITS_MAX))
            for at in sorted(begin + seconds * draw() for _ in range(number))
        ]
    return of_rows((recorded.end - recorded.begin).total_seconds(), rows)


def _of_windows(windows: Iterable[LoadWindow], since: datetime) -> tuple[Span, ...]:
    """One span for each step of time; windows of several routers overlap, and their requests add up."""
    counts: dict[int, float] = {}
    steps = 0
    first: datetime | None = None
    last: datetime | None = None
    seen: set[tuple[str, datetime]] = set()
    for window in windows:
        end = window.started_at + timedelta(seconds=window.seconds)
        if window.started_at < since or (window.router, window.started_at) in seen:
            continue
        seen.add((window.router, window.started_at))
        first = window.started_at if first is None else min(first, window.started_at)
        last = end if last is None else max(last, end)
        step = int((window.started_at - since).total_seconds() // _STEP_SECONDS)
        counts[step] = counts.get(step, 0.0) + window.arrivals
        steps = max(steps, step + 1)
    if first is None or last is None:
        return ()
    begin_step = int((first - since).total_seconds() // _STEP_SECONDS)
    return tuple(
        Span(
            since + timedelta(seconds=_STEP_SECONDS * step),
            since + timedelta(seconds=_STEP_SECONDS * (step + 1)),
            counts.get(step, 0.0),
        )
        for step in range(begin_step, steps)
    )


def _of_records(moments: Sequence[Moment], since: datetime, until: datetime | None) -> tuple[Span, ...]:
    spans: list[Span] = []
    before: datetime | None = None
    for moment in moments:
        begin = moment.at - timedelta(seconds=LOOK_BACK_SECONDS) if before is None else before
        before = moment.at
        if (moment.at - begin).total_seconds() > GAP_SECONDS:
            begin = moment.at - timedelta(seconds=LOOK_BACK_SECONDS)
        begin = max(begin, since)
        end = moment.at if until is None else min(moment.at, until)
        load = moment.seen.load
        if end <= begin or isinstance(load, NoData):
            continue
        seconds = (end - begin).total_seconds()
        spans.append(Span(begin, end, _rate(load, seconds) * seconds, units_of(load)))
    return tuple(spans)


def _rate(load: LoadSignals, seconds: float) -> float:
    return load.rps_20 if load.rps_20 is not None and seconds <= 25 else load.rps


def _length(mean: float, spread: float, draw: Draw) -> float:
    if spread <= 0:
        return mean
    normal = sqrt(-2.0 * log(1.0 - draw())) * cos(2.0 * pi * draw())
    return mean * exp(spread * normal - spread * spread / 2)
