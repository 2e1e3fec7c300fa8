"""How long the policy takes to decide: `python -m bench.autoscaler.speed`.

A simulated hour of about 32 replicas is recorded call by call, as the policy was asked. Then the calls are made again, one after the other;
each must give the same decision and the same state to the byte. Ten thousand of them are one tick of ten thousand jobs in one process.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from unittest import mock

from bench.autoscaler import adapter, scenarios, synthetic
from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision
from hostler_autoscaler.observation import Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.simulator import run
from hostler_domain.scaling import Scaling

_REPLICAS = 32
_REPLICA_RPS = 1.9
_ROUNDS = 5
_MILLISECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """One question to the policy and its answer."""

    state: PolicyState
    observation: Observation
    spec: Scaling
    after: PolicyState
    decision: Decision


def recorded(hours: float) -> list[Call]:
    """The calls of a simulated job whose load swings between 27 and 37 replicas' worth."""
    calls: list[Call] = []

    def recording(
        state: PolicyState, observation: Observation, spec: Scaling
    ) -> tuple[PolicyState, Decision]:
        after, decision = decide(state, observation, spec)
        calls.append(Call(state, observation, spec, after, decision))
        return after, decision

    low, high = 0.85 * _REPLICAS * _REPLICA_RPS, 1.15 * _REPLICAS * _REPLICA_RPS
    traffic = synthetic.arrivals(hours * 3600, synthetic.on_off(low, high, 1800), high, 1)
    site = Conditions(
        scenarios.MEDIUM, _REPLICA_RPS, 30_000, max_replicas=2 * _REPLICAS, initial_replicas=_REPLICAS
    )
    with mock.patch.object(adapter, "decide", recording):
        run(traffic, site, adapter.make({"mode": "target"}), draw=Random(1).random)
    return [call for call in calls if call.observation.ready >= _REPLICAS // 2]


def seconds_each(calls: Sequence[Call]) -> list[float]:
    """How long each takes, the shortest of several."""
    shortest = [float("inf")] * len(calls)
    for _ in range(_ROUNDS):
        for number, call in enumerate(calls):
            began = time.perf_counter()
            decide(call.state, call.observation, call.spec)
            shortest[number] = min(shortest[number], time.perf_counter() - began)
    return shortest


def tick_seconds(calls: Sequence[Call], jobs: int, *, stored: bool) -> float:
    """One tick over so many jobs; where states are stored, each is read from its JSON and written again."""
    asked = [calls[number % len(calls)] for number in range(jobs)]
    texts = [call.state.to_json() for call in asked] if stored else []
    gc.collect()
    began = time.perf_counter()
    for number, call in enumerate(asked):
        state = PolicyState.from_json(texts[number]) if stored else call.state
        after, _ = decide(state, call.observation, call.spec)
        if stored:
            after.to_json()
    return time.perf_counter() - began


def main() -> int:
    """Print the figures; ends with 1 if a decision takes a millisecond or is not the same again."""
    parser = argparse.ArgumentParser(prog="python -m bench.autoscaler.speed", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=1.5)
    given = parser.parse_args()
    calls = recorded(given.hours)
    replicas = [call.observation.ready for call in calls]
    print(f"{len(calls)} recorded calls, {min(replicas)} to {max(replicas)} replicas ready")
    each = sorted(seconds_each(calls))
    worst = each[int(0.99 * len(each))] * 1000
    print(
        f"decide: median {statistics.median(each) * 1e6:.0f} us, 99 % within {worst * 1000:.0f} us"
        f" (target: {_MILLISECONDS_MAX:.0f} ms) {'met' if worst < _MILLISECONDS_MAX else 'MISSED'}"
    )
    sizes = sorted(len(call.after.to_json()) for call in calls)
    print(f"state: median {sizes[len(sizes) // 2]} bytes of JSON, at most {sizes[-1]}")
    plain = tick_seconds(calls, given.jobs, stored=False)
    stored = tick_seconds(calls, given.jobs, stored=True)
    print(
        f"a tick of {given.jobs} jobs in one process: {plain:.2f} s, {stored:.2f} s with states read and written"
    )
    same = sum(
        (after.to_json(), repr(decision)) == (call.after.to_json(), repr(call.decision))
        for call in calls
        for after, decision in (
            decide(PolicyState.from_json(call.state.to_json()), call.observation, call.spec),
        )
    )
    print(f"replayed from stored states: {same} of {len(calls)} the same to the byte")
    return int(worst >= _MILLISECONDS_MAX or same < len(calls))


if __name__ == "__main__":
    sys.exit(main())
