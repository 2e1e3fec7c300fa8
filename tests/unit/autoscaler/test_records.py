"""What is written down of decisions, when, and that the same decision follows from it again."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision, Proposal, ProposalKind
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.records import (
    Made,
    Noted,
    UnreadableRecord,
    decided_again,
    is_due,
    kind_of,
    noted,
    observation_json,
    observed,
    record_of,
    told,
)
from hostler_contracts.decisions import DecisionRecord
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import at

SCALING = Scaling(
    min_replicas=1,
    max_replicas=12,
    targets=(
        ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),
        ScalingTarget(ScalingMetric.LATENCY_P95, 4000.0),
    ),
    stabilisation_window_seconds=60,
)


def observation(seconds: float, rps: float, desired: int) -> Observation:
    busy = math.ceil(rps * 1.7)
    signals = LoadSignals(
        rps=rps,
        in_flight=busy,
        queued=max(busy - 20 * desired, 0),
        rps_20=rps * 1.1,
        concurrency=rps * 1.7,
        completions=int(rps * 60),
        p50_ms=900.1,
        p95_ms=2100.7 + 10 * rps,
        mean_ms=1100.3,
        token_ms=11.0 + rps / max(desired, 1),
    )
    return Observation(
        now=at(seconds),
        desired=desired,
        ready=desired,
        load=NoData("no load window of the last 60 s") if seconds % 900 == 300 else signals,
        starting_ages=(3.25,) if seconds % 600 == 0 else (),
        cold_start_seconds=61.7,
        launches=3,
    )


def day() -> list[Made]:
    """Decisions of some hours with a load that goes up and down, each from the state that the one before left."""
    state, desired, found = PolicyState(), 1, []
    for seconds in range(0, 4 * 3600, 30):
        rps = 25 * (1 + math.sin(seconds / 2000)) / 1.3
        seen = observation(seconds, rps, desired)
        after, decision = decide(state, seen, SCALING)
        found.append(Made(state, seen, SCALING, decision))
        state, desired = after, decision.replicas
    return found


def test_a_recorded_history_decides_the_same_again_to_the_byte() -> None:
    for made in day():
        written = record_of(made).model_dump_json()
        read = DecisionRecord.model_validate_json(written)
        assert decided_again(read).model_dump_json() == read.decision.model_dump_json()
        assert record_of(made).decision == told(made.decision)


def test_an_observation_comes_back_as_it_was() -> None:
    for made in day()[:40]:
        assert observed(observation_json(made.observation)) == made.observation


def test_a_record_of_another_shape_is_refused() -> None:
    record = record_of(day()[0])
    with pytest.raises(UnreadableRecord):
        decided_again(record.model_copy(update={"observation": {"weather": "fine"}}))


def test_a_figure_without_end_is_left_out() -> None:
    decision = Decision(1, "as it is", (Proposal(ProposalKind.RATE, 1, "", {"a": math.inf, "b": 1.0}),))
    assert told(decision).proposals[0].numbers == {"b": 1.0}


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        pytest.param(None, Noted(at(0), 1, "stay"), True, id="the first"),
        pytest.param(Noted(at(0), 1, "stay"), Noted(at(2), 1, "stay"), False, id="nothing new"),
        pytest.param(Noted(at(0), 1, "stay"), Noted(at(2), 2, "up: rate"), True, id="another number"),
        pytest.param(
            Noted(at(0), 2, "up: rate"), Noted(at(2), 2, "stay: rate"), False, id="another kind, soon"
        ),
        pytest.param(Noted(at(0), 2, "up: rate"), Noted(at(10), 2, "stay: rate"), True, id="another kind"),
        pytest.param(
            Noted(at(0), 1, "stay", 2), Noted(at(2), 1, "stay", 3), True, id="another of the shadow"
        ),
        pytest.param(
            Noted(at(0), 1, "stay", 2), Noted(at(2), 1, "stay", 2), False, id="the same of the shadow"
        ),
        pytest.param(Noted(at(0), 1, "stay"), Noted(at(59), 1, "stay"), False, id="nearly a minute"),
        pytest.param(Noted(at(0), 1, "stay"), Noted(at(60), 1, "stay"), True, id="a minute"),
    ],
)
def test_when_a_record_is_due(last: Noted | None, now: Noted, due: bool) -> None:
    assert is_due(last, now) is due


def test_a_quiet_hour_has_a_record_a_minute() -> None:
    made = day()[0]
    last: Noted | None = None
    written = []
    for seconds in range(0, 3600, 2):
        now = noted(replace(made, observation=replace(made.observation, now=at(seconds))))
        if is_due(last, now):
            last = now
            written.append(now.at)
    assert len(written) == 60
    assert all((later - earlier).total_seconds() == 60 for earlier, later in pairwise(written))


RATE = Proposal(ProposalKind.RATE, 3, "")
CEILING = Proposal(ProposalKind.CEILING, 3, "")


@pytest.mark.parametrize(
    ("decision", "desired", "kind"),
    [
        pytest.param(Decision(3, "", (CEILING, RATE)), 1, "up: rate", id="no bound where it binds nothing"),
        pytest.param(Decision(3, "", (CEILING, replace(RATE, replicas=5))), 1, "up: ceiling", id="a bound"),
        pytest.param(Decision(3, "", (RATE,)), 5, "down: rate", id="down"),
        pytest.param(Decision(3, "", (RATE,)), 3, "stay: rate", id="stay"),
        pytest.param(Decision(3, "", (), hold=True), 3, "hold", id="nobody knows"),
    ],
)
def test_the_kind_of_a_decision(decision: Decision, desired: int, kind: str) -> None:
    assert kind_of(decision, desired) == kind
