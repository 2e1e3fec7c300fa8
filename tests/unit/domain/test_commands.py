"""Commands: what they lead to, what they leave alone, what they refuse and which field they name."""

from dataclasses import replace

import pytest

from hostler_domain.changes import JobCreated, JobDeleteRequested, JobScaled
from hostler_domain.commands import (
    Command,
    CreateJob,
    DeleteJob,
    FinishDelete,
    GiveUpJob,
    ScaleJob,
    decide,
    held_until,
)
from hostler_domain.errors import Conflict, InvalidFields, NotFound
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, JobSpec, ScaleHold, Serving, Timeouts
from hostler_domain.phases import PhaseReason
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget, ShadowScaling
from hostler_domain.scheduled_bounds import ScheduledBounds
from hostler_domain.spec_rules import spec_errors
from tests.support.builders import JOB_ID, MASTER, at, running_job, spec


def scaled(**fields: object) -> JobSpec:
    return replace(spec(), scaling=replace(Scaling(max_replicas=3), **fields))  # type: ignore[arg-type]  # a table's values


BAD = {
    "empty name": (replace(spec(), name=""), "name"),
    "name with a slash": (replace(spec(), name="a/b"), "name"),
    "name with a line end": (replace(spec(), name="demo\n"), "name"),
    "label with a space in its name": (replace(spec(), labels={"a b": "c"}), "labels.'a b'"),
    "image with a line end": (replace(spec(), runtime_image="vllm:1\n"), "runtime_image"),
    "location with a dot": (replace(spec(), location="a.b"), "location"),
    "model that is not ascii": (replace(spec(), model="caf\u00e9/x"), "model"),
    "project with a dot": (replace(spec(), project="a.b"), "project"),
    "model without an owner": (replace(spec(), model="gpt2"), "model"),
    "model with a line end": (replace(spec(), model="a/b\nc"), "model"),
    "model that climbs": (replace(spec(), model="../../etc"), "model"),
    "negative gpus": (replace(spec(), gpu_count=-1), "gpu_count"),
    "priority too high": (replace(spec(), priority=151), "priority"),
    "no time to start": (replace(spec(), timeouts=Timeouts(0, 600)), "timeouts.initialization_seconds"),
    "max below min": (scaled(min_replicas=4, max_replicas=3, initial_replicas=3), "scaling.max_replicas"),
    "max of zero": (scaled(min_replicas=0, max_replicas=0, initial_replicas=0), "scaling.max_replicas"),
    "initial above max": (scaled(initial_replicas=9), "scaling.initial_replicas"),
    "window too long": (scaled(stabilisation_window_seconds=4000), "scaling.stabilisation_window_seconds"),
    "zero after with a minimum": (
        scaled(scale_to_zero_after_seconds=60),
        "scaling.scale_to_zero_after_seconds",
    ),
    "target of nothing": (
        scaled(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 0.0),)),
        "scaling.targets.0.threshold",
    ),
    "target that is not a number": (
        scaled(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, float("nan")),)),
        "scaling.targets.0.threshold",
    ),
    "a metric twice": (
        scaled(
            targets=(
                ScalingTarget(ScalingMetric.LATENCY_P95, 1.0),
                ScalingTarget(ScalingMetric.LATENCY_P95, 2.0),
            )
        ),
        "scaling.targets.1.metric",
    ),
    "sleep on latency alone": (
        scaled(min_replicas=0, targets=(ScalingTarget(ScalingMetric.LATENCY_P95, 1.0),)),
        "scaling.targets",
    ),
    "a shadow with a senseless target": (
        scaled(shadow=ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 0.0),))),
        "scaling.shadow.targets.0.threshold",
    ),
    "a shadow of the latency without a target for it": (
        scaled(shadow=ShadowScaling(mode=ScalingMode.SLO)),
        "scaling.shadow.mode",
    ),
    "a shadow with too long a window": (
        scaled(shadow=ShadowScaling(stabilisation_window_seconds=4000)),
        "scaling.shadow.stabilisation_window_seconds",
    ),
    "a window wider than the bounds": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 3600, max_replicas=99),)),
        "scaling.schedule.0.max_replicas",
    ),
    "a window under the bounds": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 3600, min_replicas=0),)),
        "scaling.schedule.0.min_replicas",
    ),
    "a window whose bounds cross": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 3600, min_replicas=3, max_replicas=2),)),
        "scaling.schedule.0.max_replicas",
    ),
    "a window without bounds": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 3600),)),
        "scaling.schedule.0.min_replicas",
    ),
    "a window that begins never": (
        scaled(schedule=(ScheduledBounds("at eight", 3600, min_replicas=1),)),
        "scaling.schedule.0.start",
    ),
    "a window of no length": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 0, min_replicas=1),)),
        "scaling.schedule.0.duration_seconds",
    ),
    "a window of half a minute more": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 90, min_replicas=1),)),
        "scaling.schedule.0.duration_seconds",
    ),
    "a window in no zone": (
        scaled(
            schedule=(
                ScheduledBounds("0 8 * * *", 60, min_replicas=1),
                ScheduledBounds("0 8 * * *", 60, "../etc/passwd", 1),
            )
        ),
        "scaling.schedule.1.time_zone",
    ),
    "too many windows": (
        scaled(schedule=(ScheduledBounds("0 8 * * *", 60, min_replicas=1),) * 21),
        "scaling.schedule",
    ),
    "value with a line end": (replace(spec(), serving=Serving({"n_ctx": "1\n2"}, {})), "serving.args.n_ctx"),
    "fixed by the master": (replace(spec(), serving=Serving({"flash": "off"}, {})), "serving.args.flash"),
}


@pytest.mark.parametrize(("wrong", "field"), BAD.values(), ids=BAD.keys())
def test_a_bad_spec_is_refused_and_the_field_is_named(wrong: JobSpec, field: str) -> None:
    with pytest.raises(InvalidFields) as refusal:
        decide(None, CreateJob(at(0), JOB_ID, wrong, MASTER, "key-1"))
    assert field in [error.field for error in refusal.value.errors]


def test_every_mistake_is_named_at_once() -> None:
    wrong = replace(spec(), name="", model="gpt2", gpu_count=-1)
    assert [error.field for error in spec_errors(wrong, None)] == ["name", "model", "gpu_count"]


def test_what_a_shadow_has_from_the_job_is_named_once() -> None:
    wrong = scaled(stabilisation_window_seconds=4000, shadow=ShadowScaling(mode=ScalingMode.TARGET))
    assert [error.field for error in spec_errors(wrong, None)] == ["scaling.stabilisation_window_seconds"]


def test_a_good_spec_is_created_with_its_master() -> None:
    (change,) = decide(None, CreateJob(at(0), JOB_ID, spec(), MASTER, "key-1"))
    assert change == JobCreated(at(0), JOB_ID, spec(), MASTER, "key-1")


def test_scaling_within_the_bounds_is_recorded_with_its_reasons() -> None:
    assert decide(running_job(), ScaleJob(at(9), 2, ("2.4 rps",))) == (JobScaled(at(9), 1, 2, ("2.4 rps",)),)


def test_scaling_beyond_the_bounds_is_refused() -> None:
    with pytest.raises(InvalidFields, match="from 1 to 3, got 4"):
        decide(running_job(), ScaleJob(at(9), 4, ()))


UNTIL = at(7200)
HELD = ScaleHold(2, UNTIL)


def held_job() -> Job:
    return evolve(running_job(), JobScaled(at(8), 1, 2, (), hold=HELD))


def test_a_number_can_be_held_for_a_while() -> None:
    command = ScaleJob(at(9), 2, ("asked for",), hold_until=UNTIL, by_owner=True)
    (change,) = decide(running_job(), command)
    assert change == JobScaled(at(9), 1, 2, ("asked for",), hold=HELD)
    job = evolve(running_job(), change)
    assert job.status.held(at(10)) == HELD
    assert job.status.held(UNTIL) is None
    assert decide(job, command) == ()


def test_the_number_that_there_is_can_be_held_too() -> None:
    command = ScaleJob(at(9), 1, (), hold_until=UNTIL, by_owner=True)
    assert decide(running_job(), command) == (JobScaled(at(9), 1, 1, (), hold=ScaleHold(1, UNTIL)),)


def test_the_owner_ends_a_hold_by_scaling_without_one() -> None:
    assert decide(held_job(), ScaleJob(at(9), 2, (), by_owner=True)) == (JobScaled(at(9), 2, 2, ()),)


def test_whoever_follows_the_load_ends_no_hold() -> None:
    assert decide(held_job(), ScaleJob(at(9), 3, ())) == (JobScaled(at(9), 2, 3, (), hold=HELD),)
    assert decide(held_job(), ScaleJob(at(9), 2, ())) == ()


def test_a_hold_that_is_over_is_forgotten_with_the_next_change() -> None:
    late = at(7300)
    assert decide(held_job(), ScaleJob(late, 3, ())) == (JobScaled(late, 2, 3, ()),)
    assert decide(held_job(), ScaleJob(late, 2, ())) == ()


@pytest.mark.parametrize(("seconds", "good"), [(59, False), (60, True), (2592000, True), (2592001, False)])
def test_how_long_a_hold_may_be(seconds: int, good: bool) -> None:
    if good:
        assert held_until(at(0), seconds) == at(seconds)
        return
    with pytest.raises(InvalidFields, match="hold_seconds"):
        held_until(at(0), seconds)


def test_deleting_is_recorded_once() -> None:
    command = DeleteJob(at(9), "key-1")
    (change,) = decide(running_job(), command)
    assert change == JobDeleteRequested(at(9), "key-1")
    assert decide(evolve(running_job(), change), command) == ()


FULFILLED: dict[str, Command] = {
    "scale to what it is": ScaleJob(at(9), 1, ()),
    "finish a job that is not going": FinishDelete(at(9)),
}


@pytest.mark.parametrize("command", FULFILLED.values(), ids=FULFILLED.keys())
def test_a_command_that_is_fulfilled_leads_to_nothing(command: Command) -> None:
    assert decide(running_job(), command) == ()


def test_a_job_that_goes_can_not_be_scaled_and_is_not_given_up() -> None:
    going = evolve(running_job(), JobDeleteRequested(at(9), "key-1"))
    with pytest.raises(Conflict):
        decide(going, ScaleJob(at(10), 2, ()))
    assert decide(going, GiveUpJob(at(10), PhaseReason.REPEATED_CRASH, "")) == ()


@pytest.mark.parametrize("command", [DeleteJob(at(1), "k"), ScaleJob(at(1), 1, ()), FinishDelete(at(1))])
def test_only_a_creation_needs_no_job(command: Command) -> None:
    with pytest.raises(NotFound):
        decide(None, command)
