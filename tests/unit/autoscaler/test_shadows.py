"""A second policy beside the first: it goes on from its own number, learns from the same news, and changes nothing."""

import json
from dataclasses import replace

import pytest

from hostler_autoscaler.decide import decide
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.policy_state import VERSION, PolicyState
from hostler_autoscaler.records import Made, decided_again, record_of
from hostler_autoscaler.shadows import Shadows
from hostler_domain.job import Job
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget, ShadowScaling
from tests.support.builders import at, created, fold

OWN = ScalingTarget(ScalingMetric.THROUGHPUT, 5.0)
LESS = ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 2.0),))


def job(shadow: ShadowScaling | None) -> Job:
    scaling = Scaling(min_replicas=1, max_replicas=8, targets=(OWN,), shadow=shadow)
    return fold(created(scaling=scaling))


def life(
    shadows: Shadows, of: Job, seconds: int = 600, begin: int = 0
) -> tuple[list[Made], list[Made | None]]:
    """The job under a steady load of 8 rps, with as many replicas as its own policy wants."""
    state, desired = PolicyState(), 1
    own: list[Made] = []
    beside: list[Made | None] = []
    for second in range(begin, begin + seconds, 10):
        signals = LoadSignals(rps=8.0, in_flight=6, completions=400, mean_ms=750, p95_ms=1500, p50_ms=700)
        seen = Observation(now=at(second), desired=desired, ready=desired, load=signals)
        after, decision = decide(state, seen, of.spec.scaling)
        made = Made(state, seen, of.spec.scaling, decision)
        own.append(made)
        beside.append(shadows.decide(of, made))
        state, desired = after, decision.replicas
    return own, beside


def test_without_a_shadow_there_is_nothing_beside() -> None:
    assert set(life(Shadows(), job(None))[1]) == {None}


def test_the_shadow_keeps_its_own_number_and_the_job_its_own() -> None:
    own, beside = life(Shadows(), job(LESS))
    assert {made.decision.replicas for made in own[1:]} == {2}
    shadows = [made for made in beside if made is not None]
    assert len(shadows) == len(own)
    assert {made.decision.replicas for made in shadows[1:]} == {4}
    assert [made.observation.desired for made in shadows[1:3]] == [4, 4]
    assert [made.observation.ready for made in shadows[1:3]] == [2, 2]


def test_the_job_is_decided_upon_as_if_there_were_no_shadow() -> None:
    with_shadow, without = life(Shadows(), job(LESS))[0], life(Shadows(), job(None))[0]
    assert [made.decision for made in with_shadow] == [made.decision for made in without]


def test_another_shadow_begins_where_the_policy_is() -> None:
    shadows = Shadows()
    life(shadows, job(LESS))
    other = ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 4.0),))
    _, beside = life(shadows, job(other), seconds=20)
    first = beside[0]
    assert first is not None
    assert first.observation.desired == 1
    assert first.decision.replicas == 2


def test_a_shadow_that_is_forgotten_begins_anew() -> None:
    shadows, of = Shadows(), job(LESS)
    life(shadows, of)
    shadows.forget(of.job_id)
    first = life(shadows, of, seconds=10, begin=600)[1][0]
    assert first is not None
    assert first.observation.desired == 1


def test_another_process_goes_on_with_what_was_stored_as_this_one_does() -> None:
    shadows, restored, of = Shadows(), Shadows(), job(LESS)
    life(shadows, of)
    text = shadows.to_json(of.job_id)
    assert text is not None
    restored.restore(of.job_id, text)
    assert life(restored, of, begin=600)[1] == life(shadows, of, begin=600)[1]
    assert restored.to_json(of.job_id) == shadows.to_json(of.job_id)


@pytest.mark.parametrize("text", ["", "null", "{}", '{"desired": 3}', "{"])
def test_what_nobody_can_read_is_left_out(text: str) -> None:
    shadows = Shadows()
    shadows.restore("job-1", text)
    assert shadows.to_json("job-1") is None


def test_what_another_version_stored_is_left_out() -> None:
    shadows, other, of = Shadows(), Shadows(), job(LESS)
    life(shadows, of)
    told = json.loads(shadows.to_json(of.job_id) or "")
    told["state"]["version"] = VERSION + 1
    other.restore(of.job_id, json.dumps(told))
    assert other.to_json(of.job_id) is None


def test_a_record_has_both_decisions_and_each_follows_again_to_the_byte() -> None:
    own, beside = life(Shadows(), job(LESS))
    for made, shadow in zip(own, beside, strict=True):
        record = record_of(made, shadow=shadow)
        assert record.shadow is not None
        assert decided_again(record).model_dump_json() == record.decision.model_dump_json()
        assert decided_again(record.shadow).model_dump_json() == record.shadow.decision.model_dump_json()


def test_what_is_promoted_is_the_job_with_the_shadows_targets() -> None:
    scaling = job(replace(LESS, stabilisation_window_seconds=60)).spec.scaling
    promoted = scaling.promoted
    assert promoted is not None
    assert (promoted.targets, promoted.stabilisation_window_seconds) == (LESS.targets, 60)
    assert (promoted.mode, promoted.shadow, promoted.max_replicas) == (scaling.mode, None, 8)
