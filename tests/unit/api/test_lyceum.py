"""The Lyceum dialect's translations, both ways."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from hostler_api.dialects.lyceum.documents import deployment, summary
from hostler_api.dialects.lyceum.errors import field_list
from hostler_api.dialects.lyceum.offers import machine_types, model_list, prices
from hostler_api.dialects.lyceum.requests import CreateBody, job_request, runtime_args
from hostler_api.dialects.lyceum.words import (
    BY_PHASE,
    BY_STATE,
    DeploymentStatus,
    ReplicaStatus,
    deployment_status,
    healthy,
    replica_status,
    terminated,
)
from hostler_api.requests import JobRequest
from hostler_api.shipped import HARDWARE_PROFILES
from hostler_domain.capacity import Allocation, Node, Resources
from hostler_domain.changes import JobDeleteRequested, ReplicaFailed, ReplicaUnhealthy
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.evolve import SCALED_TO_ZERO, evolve
from hostler_domain.job import Condition, Job, Replica
from hostler_domain.phases import JobPhase
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import (
    JOB_ID,
    MASTER,
    MODEL,
    NODE,
    NOW,
    at,
    created,
    draining,
    fold,
    ready,
    running_job,
    scheduled,
)

PROFILES = {profile.name: profile for profile in HARDWARE_PROFILES}


def request(**fields: object) -> JobRequest:
    body = CreateBody.model_validate({"hf_model_id": MODEL, **fields})
    return job_request(body, project="team", master=MASTER, profiles=PROFILES)


def refusals(**fields: object) -> list[str]:
    with pytest.raises(InvalidFields) as refusal:
        request(**fields)
    return [f"{each.field}: {each.message}" for each in refusal.value.errors]


def in_phase(phase: JobPhase) -> Job:
    waiting = fold(created())
    return replace(waiting, status=replace(waiting.status, phase=phase))


def in_state(state: ReplicaState, reason: ReplicaReason | None = None) -> Replica:
    (replica,) = running_job().replicas
    return replace(replica, state=state, reason=reason)


def test_what_is_left_out_is_as_lyceum_documents_it() -> None:
    made = request()
    assert made.scaling.model_dump() == {
        "min_replicas": 1,
        "max_replicas": 1,
        "initial_replicas": None,
        "activation_replicas": None,
        "targets": (),
        "stabilisation_window_seconds": 300,
        "scale_to_zero_after_seconds": None,
        "mode": "target",
        "schedule": (),
        "shadow": None,
    }
    assert (made.target_rps, made.target_latency_p95_ms) == (10.0, 5000.0)
    assert (made.model, made.project, made.hardware_profile, made.gpu_count) == (MODEL, "team", None, None)
    assert (made.runtime, made.serving.args, made.hf_token) == (None, {}, None)


def test_null_is_left_out() -> None:
    fields = [name for name in CreateBody.model_fields if name != "hf_model_id"]
    assert request(**dict.fromkeys(fields)) == request()


def test_everything_that_can_be_said_arrives() -> None:
    made = request(
        hardware_profile="gpu.h100",
        gpu_count=2,
        gpu_vram_gb=80,
        vllm_args="max-model-len=8192",
        min_replicas=2,
        max_replicas=5,
        target_rps=3.5,
        target_latency_p95_ms=900,
        stabilisation_window=0,
        hf_token="hf_secret",
    )
    assert (made.hardware_profile, made.gpu_count) == ("gpu.h100", 2)
    assert made.serving.args == {"max-model-len": "8192"}
    assert (made.scaling.min_replicas, made.scaling.max_replicas) == (2, 5)
    assert made.scaling.stabilisation_window_seconds == 0
    assert (made.target_rps, made.target_latency_p95_ms) == (3.5, 900)
    assert made.hf_token == SecretStr("hf_secret")


def test_a_minimum_alone_raises_the_maximum() -> None:
    assert request(min_replicas=3).scaling.max_replicas == 3


def test_a_model_without_a_master_is_served_by_vllm() -> None:
    body = CreateBody(hf_model_id="org/unknown")
    made = job_request(body, project="team", master=None, profiles=PROFILES)
    assert made.runtime == "vllm"


@pytest.mark.parametrize(
    ("gpu_type", "expected"),
    [
        ("a100", "gpu.a100"),
        ("A100", "gpu.a100"),
        ("gpu.h100", "gpu.h100"),
        (" l40s ", "gpu.l40s"),
        ("cpu.small", "cpu.small"),
    ],
)
def test_a_gpu_type_is_a_hardware_profile(gpu_type: str, expected: str) -> None:
    assert request(gpu_type=gpu_type).hardware_profile == expected


def test_one_gpu_on_a_machine_without_any_is_nobodys_wish() -> None:
    assert request(gpu_type="cpu.small", gpu_count=1).gpu_count is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"gpu_type": "b200"},
            ["gpu_type: must be one of a100, cpu.large, cpu.medium, cpu.small, h100, l40s, got 'b200'"],
            id="unknown type",
        ),
        pytest.param(
            {"gpu_type": "a100", "hardware_profile": "gpu.a100"},
            ["gpu_type: can't be given together with hardware_profile"],
            id="both ways to name it",
        ),
        pytest.param(
            {"gpu_count": 2},
            ["gpu_count: must be 1 or left out: cpu.small has no GPU"],
            id="GPUs where the master recommends none",
        ),
        pytest.param(
            {"gpu_type": "a100", "gpu_vram_gb": 40},
            ["gpu_vram_gb: must be 80 for gpu.a100, got 40"],
            id="another size of memory",
        ),
        pytest.param(
            {"gpu_type": "l40s", "gpu_vram_gb": 48},
            ["gpu_vram_gb: can't be checked: the memory of gpu.l40s is not known here"],
            id="a size that nobody knows",
        ),
        pytest.param(
            {"gpu_type": "cpu.small", "gpu_count": 2, "gpu_vram_gb": 8},
            [
                "gpu_count: must be 1 or left out: cpu.small has no GPU",
                "gpu_vram_gb: can't be checked: the memory of cpu.small is not known here",
            ],
            id="all at once",
        ),
    ],
)
def test_hardware_that_makes_no_sense_is_named(fields: dict[str, object], expected: list[str]) -> None:
    assert refusals(**fields) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("max-model-len=8192", {"max-model-len": "8192"}),
        ("a=1,b=2", {"a": "1", "b": "2"}),
        (" a = 1 , b 2 ", {"a": "1", "b": "2"}),
        ("--a=1,-b=2", {"a": "1", "b": "2"}),
        ("enable-prefix-caching,a=1", {"enable-prefix-caching": "true", "a": "1"}),
        ('hf-overrides={"x": 1, "y": [2, 3]},a=1', {"hf-overrides": '{"x": 1, "y": [2, 3]}', "a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        (",a=1,", {"a": "1"}),
    ],
)
def test_arguments_come_as_one_line(text: str, expected: dict[str, str]) -> None:
    assert runtime_args(text) == expected


def test_every_phase_and_every_state_has_a_word() -> None:
    assert set(BY_PHASE) == set(JobPhase)
    assert set(BY_STATE) == set(ReplicaState)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (JobPhase.CREATING, "pending"),
        (JobPhase.PENDING, "pending"),
        (JobPhase.INITIALIZING, "pending"),
        (JobPhase.RUNNING, "created"),
        (JobPhase.DEGRADED, "created"),
        (JobPhase.UPDATING, "created"),
        (JobPhase.STOPPED, "stopped"),
        (JobPhase.FAILED, "failed"),
        (JobPhase.DELETED, "stopped"),
    ],
)
def test_a_phase_is_a_status(phase: JobPhase, expected: str) -> None:
    assert deployment_status(in_phase(phase)) == DeploymentStatus(expected)


def test_a_job_that_sleeps_is_paused() -> None:
    job = in_phase(JobPhase.RUNNING)
    asleep = Condition(SCALED_TO_ZERO, True, "Idle", "nobody called", at(9))
    awake = replace(asleep, status=False)
    for condition, expected in ((asleep, DeploymentStatus.PAUSED), (awake, DeploymentStatus.CREATED)):
        told = replace(job, status=replace(job.status, conditions=(condition,)))
        assert deployment_status(told) is expected


def test_a_deployment_is_terminated_from_the_moment_it_was_asked_to_go() -> None:
    job = running_job()
    assert not terminated(job)
    assert terminated(evolve(job, JobDeleteRequested(at(9), "key-1")))


@pytest.mark.parametrize(
    ("state", "reason", "status", "health"),
    [
        (ReplicaState.SCHEDULED, None, "pending", None),
        (ReplicaState.IMPORTING, None, "pulling_docker_image", None),
        (ReplicaState.BOOTING, None, "initing_docker_container", None),
        (ReplicaState.LOADING, None, "initing_docker_container", None),
        (ReplicaState.READY, None, "running", True),
        (ReplicaState.UNHEALTHY, None, "running", False),
        (ReplicaState.DRAINING, ReplicaReason.REPLACED, "restarting", None),
        (ReplicaState.TERMINATING, ReplicaReason.REPLACED, "restarting", None),
        (ReplicaState.TERMINATED, ReplicaReason.REPLACED, "stopped", None),
        (ReplicaState.DRAINING, ReplicaReason.SCALED_DOWN, "stopped", None),
        (ReplicaState.FAILED, ReplicaReason.CRASHED, "failed", False),
    ],
)
def test_a_state_is_a_status_and_a_health(
    state: ReplicaState, reason: ReplicaReason | None, status: str, health: bool | None
) -> None:
    replica = in_state(state, reason)
    assert (replica_status(replica), healthy(replica)) == (ReplicaStatus(status), health)


def test_a_job_is_a_deployment() -> None:
    job = fold(
        created(initial=3),
        *(scheduled(name) for name in ("r1", "r2", "r3")),
        ready("r1"),
        ready("r2"),
        ReplicaUnhealthy(at(7), "r2", "silent"),
        ReplicaFailed(at(8), "r3", ReplicaReason.START_FAILED, "exit code 1"),
    )
    assert deployment(job).model_dump(mode="json") == {
        "deployment_id": JOB_ID,
        "hf_model_id": MODEL,
        "hardware_profile": "cpu.small",
        "status": "created",
        "min_replicas": 1,
        "max_replicas": 3,
        "current_replicas": 2,
        "desired_replicas": 3,
        "target_rps": 10.0,
        "target_latency_p95_ms": None,
        "stabilisation_window": 300,
        "created_at": "2026-11-21T12:00:00Z",
        "replicas": [
            {
                "replica_id": "r1",
                "status": "running",
                "healthy": True,
                "last_health_check": "2026-11-21T12:00:05Z",
                "fail_reason": None,
            },
            {
                "replica_id": "r2",
                "status": "running",
                "healthy": False,
                "last_health_check": "2026-11-21T12:00:07Z",
                "fail_reason": None,
            },
            {
                "replica_id": "r3",
                "status": "failed",
                "healthy": False,
                "last_health_check": None,
                "fail_reason": "StartFailed: exit code 1",
            },
        ],
    }


def test_a_share_of_a_threshold_is_told_as_what_it_amounts_to_and_concurrency_not_at_all() -> None:
    targets = (
        ScalingTarget(ScalingMetric.THROUGHPUT, 10, 70),
        ScalingTarget(ScalingMetric.CONCURRENCY, 4),
    )
    told = summary(fold(created(scaling=Scaling(1, 3, 1, 1, targets))))
    assert (told.target_rps, told.target_latency_p95_ms) == (7.0, None)


def node(*, cpu_cores: float = 2, runtimes: tuple[str, ...] = ("llamacpp",), **fields: object) -> Node:
    return Node("node-a", "local", Resources(cpu_cores, 2**31, 0), None, runtimes, None, NOW, **fields)  # type: ignore[arg-type]  # a test's own fields


def offered(nodes: tuple[Node, ...], *taken: Allocation, **master: object) -> bool | None:
    (model,) = model_list({MODEL: replace(MASTER, **master)}, PROFILES, nodes, taken).models  # type: ignore[arg-type]  # a test's own fields
    return model.is_gpu_available


def test_a_model_is_available_where_a_node_has_room_for_it_now() -> None:
    assert offered((node(),)) is True
    assert offered(()) is None
    assert offered((node(cpu_cores=0.5),)) is False
    assert offered((node(runtimes=("vllm",)),)) is False
    assert offered((node(),), hardware_profile="gpu.a100") is False
    assert offered((node(),), hardware_profile="no.such") is None
    assert offered((node(cpu_cores=1),), Allocation(NODE.node_key, NODE.taken)) is False


def test_a_model_is_offered_on_its_recommended_hardware() -> None:
    masters = {
        MODEL: MASTER,
        "org/large": replace(MASTER, model="org/large", hardware_profile="gpu.a100", gpu_count=4),
    }
    small, large = model_list(masters, PROFILES, (), ()).models
    assert small.model_dump() == {
        "serving_name": MODEL,
        "hf_model_id": MODEL,
        "gpu_type": "cpu.small",
        "gpu_count": 1,
        "price_per_hour": "0.02",
        "is_gpu_available": None,
        "ready_timeout_s": 1800,
    }
    assert (large.gpu_type, large.gpu_count, large.price_per_hour) == ("a100", 4, "8")


def test_machines_are_numbers_and_prices_are_text() -> None:
    profiles = {"cpu.small": PROFILES["cpu.small"]}
    assert machine_types(profiles).model_dump() == {
        "machine_types": ({"hardware_profile": "cpu.small", "price_per_hour": 0.02},)
    }
    assert prices(profiles).model_dump() == {
        "prices": (
            {
                "meter_slug": "replica_running",
                "unit_price": "0.02",
                "unit_price_per_hour": "0.02",
                "applies_to": {"deployment_id": None},
                "group_by": {"hardware_profile": "cpu.small"},
            },
        )
    }


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("model", ["body", "hf_model_id"]),
        ("scaling.max_replicas", ["body", "max_replicas"]),
        ("scaling.stabilisation_window_seconds", ["body", "stabilisation_window"]),
        ("serving.args.n_ctx", ["body", "vllm_args"]),
        ("hf_token", ["body", "hf_token"]),
        ("body", ["body"]),
    ],
)
def test_a_field_has_the_dialects_name(native: str, expected: list[str]) -> None:
    assert field_list("body", [FieldError(native, "is odd")]) == [
        {"type": "value_error", "loc": expected, "msg": "is odd"}
    ]


def test_what_only_follows_from_the_bounds_is_not_said_again() -> None:
    errors = [FieldError("scaling.max_replicas", "a"), FieldError("scaling.initial_replicas", "b")]
    assert [each["msg"] for each in field_list("body", errors)] == ["a"]


def test_a_draining_replica_is_no_current_one() -> None:
    job = fold(created(initial=1), scheduled(), ready(), draining())
    assert deployment(job).current_replicas == 0
