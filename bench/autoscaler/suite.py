"""Runs policies over scenarios, in two processes, and gathers their figures."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from bench.autoscaler import adapter, scenarios
from bench.autoscaler.baseline import Baseline, Figures, baseline, draws, figures
from bench.autoscaler.scenarios import Scenario
from hostler_autoscaler.observation import LoadSignals, NoData
from hostler_autoscaler.simulation.interface import Policy
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.references.catalogue import named
from hostler_autoscaler.simulation.simulator import run

OURS = {"hostler": "target", "hostler-slo": "slo"}
"""The policy of the product in its modes, told all that routers tell."""
FOREIGN = {"hostler-foreign": "target", "hostler-slo-foreign": "slo"}
"""The same as a foreign simulator drives it, which tells no mean latency; asked for by name alone."""


class Told(adapter.Adapter):
    """The policy with the figure that routers tell and a foreign simulator need not."""

    def load(self, obs: object) -> LoadSignals | NoData:
        """As the adapter's, and the mean latency of the last minute."""
        load = super().load(obs)
        mean_ms = getattr(obs, "mean_ms", None)
        return load if isinstance(load, NoData) else replace(load, mean_ms=mean_ms)


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario.

    Attributes:
        scenario: Its name.
        requests: How many came.
        baseline: What it is measured against.
        policies: The figures by policy.
        decreases_blind: By policy, how often the wanted number fell without metrics, or within a stabilisation window after.
    """

    scenario: str
    requests: int
    baseline: Baseline
    policies: dict[str, Figures]
    decreases_blind: dict[str, int]


def policy_of(name: str, scenario: Scenario) -> Policy:
    """A new one of that name.

    Raises:
        ValueError: There is none.
    """
    if name in OURS:
        return Told({"mode": OURS[name]})
    if name in FOREIGN:
        return adapter.make({"mode": FOREIGN[name]})
    policy = named(name, target_concurrency=scenario.target_concurrency)
    if policy is None:
        raise ValueError(f"no policy is named {name}")
    return policy


def measure(
    names: Sequence[str],
    policies: Sequence[str],
    *,
    traces: Path | None,
    kept: Path | None,
    seed: int,
    thorough: bool,
    processes: int,
) -> Iterator[Measured]:
    """Measure each scenario with each policy; those that are done first come first."""
    if processes == 1:
        for name in names:
            yield measure_one(name, policies, traces, kept, seed, thorough)
        return
    with ProcessPoolExecutor(processes) as pool:
        under_way = [pool.submit(measure_one, name, policies, traces, kept, seed, thorough) for name in names]
        for done in as_completed(under_way):
            yield done.result()


def measure_one(
    name: str, policies: Sequence[str], traces: Path | None, kept: Path | None, seed: int, thorough: bool
) -> Measured:
    """One scenario; made here, because a day of requests is slow to hand over."""
    scenario = scenarios.make(name, traces)
    against = baseline(scenario, seed, kept, thorough=thorough)
    came = {
        policy: run(scenario.traffic, scenario.conditions, policy_of(policy, scenario), draw=draws(seed)())
        for policy in policies
    }
    return Measured(
        name,
        len(scenario.traffic),
        against,
        {policy: figures(scenario, outcome) for policy, outcome in came.items()},
        {policy: _decreases_blind(scenario, outcome) for policy, outcome in came.items()},
    )


def _decreases_blind(scenario: Scenario, outcome: Outcome) -> int:
    window = scenario.conditions.stabilisation_seconds
    return sum(
        change.after < change.before and begin <= change.at < end + window
        for change in outcome.changes
        for begin, end in scenario.conditions.outages
    )
