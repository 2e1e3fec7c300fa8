"""`run`: serve traffic under a policy, and tell what came of it.

Three things happen: a request comes, a request ends, or something rarer does (a tick of the policy, a replica that is ready or dies, a
sample). The first two are written out in one loop, because there are a million of them in a day.
"""

from collections import deque
from collections.abc import Sequence

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.fleet import CLOSED, Fleet
from hostler_autoscaler.simulation.history import History, Observed
from hostler_autoscaler.simulation.interface import Policy
from hostler_autoscaler.simulation.outcome import Change, Outcome, Sample
from hostler_autoscaler.simulation.traffic import Draw, Traffic

_NEVER = float("inf")
_SAMPLE_SECONDS = 60.0
_FIRST_TICK_SECONDS = 60.0
"""A policy is first asked when there is a whole window of metrics, as one that takes over a job that runs."""
_PATIENCE_SECONDS = 4 * 3600.0


def run(traffic: Traffic, conditions: Conditions, policy: Policy, *, draw: Draw) -> Outcome:
    """Serve all of the traffic; what is under way at its end is finished, for at most four hours.

    Args:
        traffic: What comes.
        conditions: Under what it is served.
        policy: What is asked how many replicas there shall be.
        draw: Decides on cold starts and failures; the same draws give the same outcome.
    """
    return _Run(traffic, conditions, policy, draw).outcome()


class _Run:
    """One simulation under way."""

    def __init__(self, traffic: Traffic, conditions: Conditions, policy: Policy, draw: Draw) -> None:
        self._traffic = traffic
        self._conditions = conditions
        self._policy = policy
        self._fleet = Fleet(conditions, draw)
        self._history = History(traffic)
        self._line: deque[int] = deque()
        self._wanted = conditions.initial_replicas
        self._changes: list[Change] = []
        self._samples: list[Sample] = []
        self._tick_at = _FIRST_TICK_SECONDS
        self._sample_at = 0.0
        self._sampled = 0
        self._bill: tuple[float, int, int] | None = None

    def outcome(self) -> Outcome:
        """Run to the end."""
        self._serve()
        fleet, traffic, history = self._fleet, self._traffic, self._history
        paid, launches, failed = self._bill or (
            fleet.paid_seconds(traffic.seconds),
            fleet.launches,
            fleet.failed_boots,
        )
        latencies = sorted(history.latencies)
        target = self._conditions.target_latency_ms / 1000.0
        return Outcome(
            requests=len(traffic),
            met=sum(latency <= target for latency in latencies),
            unfinished=len(traffic) - len(latencies),
            replica_seconds=paid,
            launches=launches,
            failed_boots=failed,
            changes=tuple(self._changes),
            mean_ms=1000.0 * sum(latencies) / len(latencies) if latencies else None,
            p50_ms=_percentile_ms(latencies, 0.5),
            p95_ms=_percentile_ms(latencies, 0.95),
            samples=tuple(self._samples),
        )

    def _serve(self) -> None:
        traffic, fleet, history, line = self._traffic, self._fleet, self._history, self._line
        arrivals, prompts, answers = traffic.arrivals, traffic.prompts, traffic.answers
        engines, loads, ends = fleet.engines, fleet.loads, fleet.ends
        ended_at, latencies, generated = history.ends, history.latencies, history.answers
        limit = self._conditions.outstanding_max or CLOSED
        total, coming = len(arrivals), 0
        next_arrival = arrivals[0] if total else _NEVER
        next_rare = self._next_rare()
        while True:
            next_end = min(ends, default=_NEVER)
            if next_arrival <= next_end and next_arrival <= next_rare:
                load = min(loads, default=CLOSED)
                if load < limit:
                    slot = loads.index(load)
                    loads[slot] = load + 1
                    ends[slot] = engines[slot].admit(coming, prompts[coming], answers[coming], next_arrival)
                else:
                    line.append(coming)
                coming += 1
                next_arrival = arrivals[coming] if coming < total else _NEVER
            elif next_end <= next_rare:
                slot = ends.index(next_end)
                request, ends[slot] = engines[slot].finish(next_end)
                ended_at.append(next_end)
                latencies.append(next_end - arrivals[request])
                generated.append(answers[request])
                if loads[slot] < CLOSED:
                    loads[slot] -= 1
                    if line:
                        self._dispatch(next_end)
                elif ends[slot] == _NEVER:
                    fleet.leave(slot, next_end)
            else:
                now = next_rare
                done = len(latencies) == total and coming == total
                if now > traffic.seconds and (done or now > traffic.seconds + _PATIENCE_SECONDS):
                    return
                self._rare(now)
                next_rare = self._next_rare()

    def _next_rare(self) -> float:
        at = min(self._tick_at, self._fleet.next_at, self._sample_at)
        if self._bill is None:
            return min(at, self._traffic.seconds)
        return at

    def _rare(self, now: float) -> None:
        """The bill comes first, so that what happens at the end of the traffic is not on it; the policy last, so that it sees the rest."""
        if self._bill is None and now >= self._traffic.seconds:
            fleet = self._fleet
            self._bill = (fleet.paid_seconds(now), fleet.launches, fleet.failed_boots)
        elif self._fleet.next_at <= now:
            self._line.extendleft(reversed(self._fleet.happen(now)))
            self._dispatch(now)
        elif self._sample_at <= now:
            self._sample(now)
        else:
            self._tick(now)

    def _dispatch(self, now: float) -> None:
        """Send what waits in the router to replicas that take it, evenly."""
        traffic, fleet, line = self._traffic, self._fleet, self._line
        loads = fleet.loads
        limit = self._conditions.outstanding_max or CLOSED
        while line:
            load = min(loads, default=CLOSED)
            if not load < limit:
                return
            slot, request = loads.index(load), line.popleft()
            loads[slot] = load + 1
            fleet.ends[slot] = fleet.engines[slot].admit(
                request, traffic.prompts[request], traffic.answers[request], now
            )

    def _tick(self, now: float) -> None:
        conditions = self._conditions
        answer = self._policy.decide(self._observed(now))
        if answer is not None:
            wanted = max(conditions.min_replicas, min(conditions.max_replicas, answer))
            if wanted != self._wanted and self._bill is None:
                reason = str(getattr(self._policy, "reason", ""))
                self._changes.append(Change(now, self._wanted, wanted, reason))
            self._wanted = wanted
        # Also without a change: what failed is launched anew.
        self._fleet.scale(self._wanted, now)
        self._tick_at = now + self._policy.interval

    def _observed(self, now: float) -> Observed:
        fleet, line, arrivals = self._fleet, self._line, self._traffic.arrivals
        active = sum(engine.active for engine in fleet.engines)
        waiting = sum(engine.waiting for engine in fleet.engines)
        oldest = [each for engine in fleet.engines if (each := engine.oldest_waiting) is not None]
        oldest += list(line)[:1]
        return Observed(
            self._history,
            self._conditions,
            t=now,
            interval_s=self._policy.interval,
            ready=fleet.ready,
            starting_ages=fleet.starting_ages(now),
            draining=fleet.draining,
            in_flight=active,
            queued=waiting + len(line),
            queue_age_s=max((now - arrivals[request] for request in oldest), default=0.0),
            kv_util=_mean([used for engine in fleet.engines if (used := engine.kv_utilisation) is not None]),
        )

    def _sample(self, now: float) -> None:
        history, fleet = self._history, self._fleet
        recent = history.latencies[self._sampled :]
        self._sampled += len(recent)
        target = self._conditions.target_latency_ms / 1000.0
        outstanding = len(self._line) + sum(engine.active + engine.waiting for engine in fleet.engines)
        met = sum(latency <= target for latency in recent)
        self._samples.append(Sample(now, self._wanted, fleet.ready, outstanding, len(recent), met))
        self._sample_at = now + _SAMPLE_SECONDS


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percentile_ms(ordered: Sequence[float], share: float) -> float | None:
    return 1000.0 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
