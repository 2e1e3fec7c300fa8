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
    spec_errors,
)
from hostler_domain.errors import Conflict, InvalidFields, NotFound
from hostler_domain.evolve import evolve
from hostler_domain.job import JobSpec, Serving, Timeouts
from hostler_domain.phases import PhaseReason
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
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


def test_a_good_spec_is_created_with_its_master() -> None:
    (change,) = decide(None, CreateJob(at(0), JOB_ID, spec(), MASTER, "key-1"))
    assert change == JobCreated(at(0), JOB_ID, spec(), MASTER, "key-1")


def test_scaling_within_the_bounds_is_recorded_with_its_reasons() -> None:
    assert decide(running_job(), ScaleJob(at(9), 2, ("2.4 rps",))) == (JobScaled(at(9), 1, 2, ("2.4 rps",)),)


def test_scaling_beyond_the_bounds_is_refused() -> None:
    with pytest.raises(InvalidFields, match="from 1 to 3, got 4"):
        decide(running_job(), ScaleJob(at(9), 4, ()))


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
