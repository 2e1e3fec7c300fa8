"""What was learned of replicas is forgotten when the job's replicas become others, and nothing else is."""

from dataclasses import replace

import pytest

from hostler_autoscaler.demand import RateHistory
from hostler_autoscaler.engine_fit import EngineFit
from hostler_autoscaler.engine_identity import fingerprint, kept_for
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shape import Shape
from hostler_domain.job import JobSpec, Serving
from hostler_domain.scaling import Scaling
from tests.support.builders import created, fold

LEARNED = PolicyState(
    observed_at=1000.0,
    valid_since=10.0,
    settled_at=500.0,
    serves="old",
    engine=EngineFit().with_sample(4.0, 30.0),
    shape=Shape(150.0, 120.0, 400.0, 100.0),
    rps=2.0,
    rates=RateHistory((3.0, 3.1), 990.0),
    peaks=Peaks(((900.0, 3.0),)),
)


def spec() -> JobSpec:
    return fold(created()).spec


def test_the_fingerprint_is_the_same_for_the_same_replicas_whatever_else_changes() -> None:
    others = (
        replace(spec(), scaling=Scaling(min_replicas=2, max_replicas=9)),
        replace(spec(), labels={"team": "a"}),
        replace(spec(), priority=10),
        replace(spec(), serving=replace(spec().serving, env={"SECRET": "x"})),
    )
    assert {fingerprint(other) for other in others} == {fingerprint(spec())}


@pytest.mark.parametrize(
    "other",
    [
        replace(spec(), model="other/model"),
        replace(spec(), runtime="sglang"),
        replace(spec(), runtime_image="another:1"),
        replace(spec(), hardware_profile="h200-2"),
        replace(spec(), gpu_count=7),
        replace(spec(), serving=Serving(args={"max-num-seqs": "64"})),
    ],
    ids=["model", "runtime", "image", "hardware", "gpus", "arguments"],
)
def test_the_fingerprint_changes_with_what_makes_a_replica(other: JobSpec) -> None:
    assert fingerprint(other) != fingerprint(spec())


def test_the_order_of_arguments_is_no_difference() -> None:
    one = replace(spec(), serving=Serving(args={"a": "1", "b": "2"}))
    other = replace(spec(), serving=Serving(args={"b": "2", "a": "1"}))
    assert fingerprint(one) == fingerprint(other)


def test_of_the_same_replicas_all_is_kept() -> None:
    assert kept_for(LEARNED, "old", mixed=False) == LEARNED


def test_of_other_replicas_only_what_the_load_taught_is_kept() -> None:
    kept = kept_for(LEARNED, "new", mixed=False)
    assert (kept.engine, kept.shape, kept.rps, kept.settled_at) == (EngineFit(), None, None, None)
    assert (kept.rates, kept.peaks, kept.valid_since) == (LEARNED.rates, LEARNED.peaks, LEARNED.valid_since)
    assert kept.serves == "new"


def test_what_was_learned_before_there_were_fingerprints_is_kept() -> None:
    before = replace(LEARNED, serves=None)
    assert kept_for(before, "new", mixed=False) == replace(before, serves="new")


def test_no_sample_is_taken_while_old_replicas_serve_beside_the_new() -> None:
    assert kept_for(LEARNED, "old", mixed=True) == replace(LEARNED, settled_at=None)


def test_the_fingerprint_outlives_a_restart() -> None:
    kept = kept_for(LEARNED, "new", mixed=False)
    assert PolicyState.from_json(kept.to_json()) == kept
