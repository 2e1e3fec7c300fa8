"""From a request to a spec: the request first, then the model master, then the default; every mistake named."""

import pytest
from pydantic import ValidationError

from hostler_api.requests import JobRequest, Known, free_name, job_spec, name_from_model
from hostler_api.shipped import HARDWARE_PROFILES, MODEL_MASTERS, RUNTIMES
from hostler_domain.catalogue import ModelMaster
from hostler_domain.errors import InvalidFields
from hostler_domain.job import JobSpec
from hostler_domain.scaling import ScalingMetric, ScalingTarget
from hostler_domain.scheduled_bounds import ScheduledBounds
from hostler_domain.spec_rules import spec_errors
from tests.support.builders import MASTER, MODEL

PROFILES = {profile.name: profile for profile in HARDWARE_PROFILES}


def made(master: bool = True, **fields: object) -> JobSpec:
    request = JobRequest.model_validate({"model": MODEL, **fields})
    known = Known(MASTER if master else None, PROFILES, RUNTIMES)
    return job_spec(request, known, project="default", name="demo", hf_token_secret=None)


def refused(master: bool = True, **fields: object) -> list[str]:
    with pytest.raises(InvalidFields) as refusal:
        made(master, **fields)
    return [error.field for error in refusal.value.errors]


def test_a_model_that_a_master_knows_needs_nothing_else() -> None:
    spec = made()
    assert (spec.runtime, spec.hardware_profile, spec.gpu_count) == ("llamacpp", "cpu.small", 0)
    assert spec.serving.args == {"n_ctx": "8192", "flash": "on"}


def test_what_the_request_says_goes_before_the_master() -> None:
    spec = made(
        hardware_profile="gpu.h100", gpu_count=2, serving={"args": {"n_ctx": "512"}, "env": {"A": "b"}}
    )
    assert (spec.hardware_profile, spec.gpu_count) == ("gpu.h100", 2)
    assert (spec.serving.args["n_ctx"], spec.serving.env) == ("512", {"A": "b"})


def test_a_runtime_that_is_not_the_masters_starts_without_its_arguments() -> None:
    spec = made(runtime="simulated", serving={"args": {"seed": "1", "flash": "off"}})
    assert spec.serving.args == {"seed": "1", "flash": "off"}
    assert spec.hardware_profile == "cpu.small"


def test_without_a_master_the_default_profile_with_one_gpu_is_taken() -> None:
    spec = made(False, runtime="vllm")
    assert (spec.hardware_profile, spec.gpu_count) == ("gpu.a100", 1)


def test_the_shorthands_become_targets() -> None:
    spec = made(target_rps=10, target_latency_p95_ms=5000)
    assert spec.scaling.targets == (
        ScalingTarget(ScalingMetric.THROUGHPUT, 10.0),
        ScalingTarget(ScalingMetric.LATENCY_P95, 5000.0),
    )


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({}, (1, 1, 1, 1)),
        ({"min_replicas": 2}, (2, 2, 2, 2)),
        ({"min_replicas": 0, "max_replicas": 4}, (0, 4, 1, 1)),
        ({"min_replicas": 1, "max_replicas": 4, "initial_replicas": 3}, (1, 4, 3, 1)),
    ],
)
def test_bounds_that_are_left_out_follow_from_the_minimum(
    scaling: dict[str, int], expected: tuple[int, int, int, int]
) -> None:
    made_scaling = made(scaling=scaling).scaling
    assert expected == (
        made_scaling.min_replicas,
        made_scaling.max_replicas,
        made_scaling.initial_replicas,
        made_scaling.activation_replicas,
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"master": False}, ["runtime"]),
        ({"runtime": "tgi"}, ["runtime"]),
        ({"hardware_profile": "gpu.a1000"}, ["hardware_profile"]),
        ({"target_rps": 0}, ["target_rps"]),
        (
            {"target_rps": 1, "scaling": {"targets": [{"metric": "concurrency", "threshold": 4}]}},
            ["target_rps"],
        ),
        ({"serving": {"args": {"flash": "off"}}}, ["serving.args.flash"]),
        (
            {"hardware_profile": "x", "scaling": {"min_replicas": 3, "max_replicas": 2}},
            ["hardware_profile", "scaling.max_replicas"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, object], expected: list[str]) -> None:
    found = refused(**fields)  # type: ignore[arg-type]  # `master` among the fields is on purpose
    assert expected == found[: len(expected)]


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        JobRequest.model_validate({"model": MODEL, "replicas": 3})


def test_the_token_does_not_show() -> None:
    assert "hf_secret" not in repr(JobRequest.model_validate({"model": MODEL, "hf_token": "hf_secret"}))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen3-32B", "qwen3-32b"),
        ("a/Some_Model.v2", "some-model-v2"),
        ("a/---", "job"),
        ("a/" + "x" * 90, "x" * 63),
    ],
)
def test_a_name_is_made_from_the_model(model: str, name: str) -> None:
    assert name == name_from_model(model)


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert free_name("a", frozenset({"a", "a-2"})) == "a-3"


@pytest.mark.parametrize("master", MODEL_MASTERS, ids=[each.model for each in MODEL_MASTERS])
def test_a_job_of_every_shipped_master_is_valid(master: ModelMaster) -> None:
    known = Known(master, PROFILES, RUNTIMES)
    spec = job_spec(JobRequest(model=master.model), known, project="default", name="a", hf_token_secret=None)
    assert list(spec_errors(spec, master)) == []


SERVERS = {"endpoints": ["http://gpu-1:8000/v1", "http://gpu-2:8000"], "served_model": "mine"}


def test_servers_that_run_already_get_a_replica_each_and_take_no_machine() -> None:
    spec = made(external=SERVERS)
    assert (spec.runtime, spec.hardware_profile, spec.gpu_count) == ("external", "external", 0)
    assert spec.external is not None
    assert spec.external.endpoints == ("http://gpu-1:8000", "http://gpu-2:8000")
    assert (spec.scaling.min_replicas, spec.scaling.max_replicas) == (2, 2)
    assert spec.serving.args == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"external": SERVERS, "runtime": "llamacpp"}, ["external"]),
        ({"external": SERVERS, "hardware_profile": "cpu.small"}, ["hardware_profile"]),
        ({"runtime": "llamacpp", "hardware_profile": "external"}, ["hardware_profile"]),
        ({"runtime": "external"}, ["external.endpoints"]),
    ],
    ids=["another-runtime", "a-machine", "no-machine", "no-server"],
)
def test_servers_go_with_their_runtime_alone(fields: dict[str, object], expected: list[str]) -> None:
    assert refused(**fields) == expected


def test_the_key_of_the_servers_is_not_shown() -> None:
    request = JobRequest.model_validate({"model": MODEL, "external": {**SERVERS, "api_key": "very-secret"}})
    assert "very-secret" not in repr(request) + request.model_dump_json()


WINDOW = {"start": "0 8 * * 1-5", "duration_seconds": 36000, "time_zone": "Europe/Berlin", "min_replicas": 2}


def test_windows_of_a_schedule_become_the_jobs() -> None:
    spec = made(scaling={"min_replicas": 0, "max_replicas": 4, "schedule": [WINDOW]})
    assert spec.scaling.schedule == (ScheduledBounds("0 8 * * 1-5", 36000, "Europe/Berlin", 2),)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        pytest.param({"start": "0 8 30 2 *"}, "start", id="a day that never comes"),
        pytest.param({"start": "0 8 * * 9"}, "start", id="no day of the week"),
        pytest.param({"time_zone": "Europe/Atlantis"}, "time_zone", id="no zone"),
        pytest.param({"time_zone": "Europe"}, "time_zone", id="a folder of zones"),
        pytest.param({"min_replicas": 5}, "min_replicas", id="beyond the job's bounds"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_and_its_field_named(
    wrong: dict[str, object], field: str
) -> None:
    schedule = [WINDOW, {**WINDOW, **wrong}]
    assert refused(scaling={"max_replicas": 4, "schedule": schedule}) == [f"scaling.schedule.1.{field}"]
