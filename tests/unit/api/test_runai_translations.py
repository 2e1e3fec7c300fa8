"""Run:ai's words and Hostler's, both ways: arguments, machines, scaling, names, lists, errors."""

from datetime import UTC, datetime

import pytest

from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.arguments import args_line, parsed_args
from hostler_api.dialects.runai.autoscaling import autoscaling_body, scaling_request
from hostler_api.dialects.runai.bodies import AutoscalingBody, ComputeBody, CreationBody, UpdateSpecBody
from hostler_api.dialects.runai.creation import Surroundings, job_request
from hostler_api.dialects.runai.errors import compliance_issue
from hostler_api.dialects.runai.hardware import Machine, compute_body, machine, parsed_quantity, quantity
from hostler_api.dialects.runai.listing import Value, matches, ordered, page, parsed_filters
from hostler_api.dialects.runai.metrics import WORKLOAD_TYPES, measurements, series_for
from hostler_api.dialects.runai.updates import job_patch
from hostler_api.dialects.runai.workloads import Names, inference, phase_word, spec_body, workload
from hostler_api.history.shapes import History, Sample, Series, SeriesName
from hostler_api.requests import JobRequest
from hostler_api.shipped import HARDWARE_PROFILES
from hostler_domain.catalogue import Project
from hostler_domain.errors import FieldError
from hostler_domain.job import EndpointAuth, Serving
from hostler_domain.phases import JobPhase
from hostler_domain.priorities import PRIORITY_CLASSES, class_of, nearest_class
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import JOB_ID, MASTER, MODEL, NOW, at, created, fold, running_job, spec

PROFILES = {profile.name: profile for profile in HARDWARE_PROFILES}
TEAM = Project("team", "01939e00-0000-7000-8000-00000000000a", NOW)
AROUND = Surroundings({MODEL: MASTER}, PROFILES, frozenset({"default", "team"}), {"team": TEAM})
NAMES = Names({"team": TEAM}, PROFILES)


def asked(fields: dict[str, object] | None = None, **top: object) -> JobRequest:
    """What a creation becomes."""
    body = {
        "name": "demo",
        "projectId": "team",
        "clusterId": ids.ANY_CLUSTER_ID,
        "spec": {"args": f"--model {MODEL}", **(fields or {})},
        **top,
    }
    return job_request(CreationBody.model_validate(body), AROUND, suffix="abcde")


LINES = {
    "--model M": ("--model a/b", "a/b", {}),
    "--model=M": ("--model=a/b --x=1", "a/b", {"x": "1"}),
    "serve M": ("serve a/b --x 1", "a/b", {"x": "1"}),
    "switches": ("--model a/b --trust --y 2 --z", "a/b", {"trust": "", "y": "2", "z": ""}),
    "negative numbers": ("--model a/b --bias -1.5 --on", "a/b", {"bias": "-1.5", "on": ""}),
    "quotes": ('--model a/b --chat \'{"a": "b c"}\'', "a/b", {"chat": '{"a": "b c"}'}),
    "a value with equals": ("--model a/b --opt=k=v", "a/b", {"opt": "k=v"}),
    "known by another spelling": ("--model a/b --n-ctx 1", "a/b", {"n_ctx": "1"}),
    "no model": ("--x 1", None, {"x": "1"}),
}


@pytest.mark.parametrize(("line", "model", "options"), LINES.values(), ids=LINES.keys())
def test_a_line_of_arguments_is_a_model_and_options(
    line: str, model: str | None, options: dict[str, str]
) -> None:
    found = parsed_args(line, {"n_ctx": None})
    assert (found.model, found.options, found.errors) == (model, options, ())
    if model is not None:
        again = parsed_args(args_line(model, options), {})
        assert (again.model, again.options, again.errors) == (model, options, ())


def test_the_model_is_looked_for_in_the_arguments_then_a_label_then_the_environment() -> None:
    label = {"labels": [{"name": "hostler.dev/model", "value": MODEL}]}
    variables = {
        "environmentVariables": [{"name": "MODEL", "value": "x/y"}, {"name": "RUNAI_MODEL", "value": MODEL}]
    }
    assert (
        asked({"args": f"serve {MODEL}", "labels": [{"name": "hostler.dev/model", "value": "x/y"}]}).model
        == MODEL
    )
    assert asked({"args": None, **label, **variables}).model == MODEL
    assert asked({"args": None, **variables}).model == MODEL


def test_the_runtime_is_the_labels_then_the_images_then_the_model_masters() -> None:
    label = {"labels": [{"name": "hostler.dev/runtime", "value": "simulated"}]}
    assert asked().runtime == "llamacpp"
    assert asked({"image": "vllm/vllm-openai:v0.12.0"}).runtime == "vllm"
    assert asked({"image": "registry.vllm.example/other:1"}).runtime == "llamacpp"
    assert asked({"image": "vllm/vllm-openai:v0.12.0", **label}).runtime == "simulated"


def test_a_project_is_known_by_its_name_and_by_its_id() -> None:
    assert [asked(projectId=given).project for given in ("team", TEAM.project_id)] == ["team", "team"]


def test_a_name_as_a_prefix_gets_a_suffix_and_fits() -> None:
    long = asked(name="a" * 63, useGivenNameAsPrefix=True)
    assert long.name == "a" * 57 + "-abcde"
    assert long.labels == {"runai.hostler.dev/requested-name": "a" * 63}


MACHINES = {
    "nothing asked": (ComputeBody(), None, None, Machine(None, None)),
    "no GPU": (ComputeBody(gpu_devices_request=0), None, None, Machine("cpu.small", 0)),
    "no GPU and much memory": (
        ComputeBody(gpu_devices_request=0, cpu_memory_request="2Gi"), None, None, Machine("cpu.medium", 0),
    ),
    "cores alone": (ComputeBody(cpu_core_request=3), None, None, Machine("cpu.large", None)),
    "up to a limit": (
        ComputeBody(cpu_core_request=0.5, cpu_core_limit=2, cpu_memory_request="3G"), None, None, Machine("cpu.medium", None),
    ),
    "GPUs": (ComputeBody(gpu_devices_request=2), None, None, Machine("gpu.a100", 2)),
    "one whole portion": (ComputeBody(gpu_portion_request=1), None, None, Machine("gpu.a100", 1)),
    "GPUs with much memory": (
        ComputeBody(gpu_devices_request=1, cpu_memory_request="150Gi"), None, None, Machine("gpu.h100", 1),
    ),
    "a pool": (ComputeBody(), ("gpu.l40s", "gpu.h100"), None, Machine("gpu.l40s", None)),
    "the pool of all": (ComputeBody(gpu_devices_request=0), ("default",), None, Machine("cpu.small", 0)),
    "a GPU by its name": (ComputeBody(gpu_devices_request=1), None, "h100-sxm5-80gb", Machine("gpu.h100", 1)),
    "a profile by its name": (ComputeBody(), None, "cpu.large", Machine("cpu.large", None)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("compute", "pools", "node_type", "expected"), MACHINES.values(), ids=MACHINES.keys()
)
def test_a_request_is_met_by_a_machine_that_has_it(
    compute: ComputeBody, pools: tuple[str, ...] | None, node_type: str | None, expected: Machine
) -> None:
    errors: list[FieldError] = []
    assert (machine(compute, pools, node_type, None, PROFILES, errors), errors) == (expected, [])


PREFERRED = {
    "it fits": (ComputeBody(cpu_core_request=1), "cpu.large"),
    "it has more than the limit": (ComputeBody(cpu_core_limit=1), "cpu.small"),
    "it has no GPU": (ComputeBody(gpu_devices_request=1), "gpu.a100"),
}


@pytest.mark.parametrize(("compute", "expected"), PREFERRED.values(), ids=PREFERRED.keys())
def test_the_preferred_machine_is_taken_where_it_fits(compute: ComputeBody, expected: str) -> None:
    errors: list[FieldError] = []
    assert machine(compute, None, None, "cpu.large", PROFILES, errors).profile == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_machine_reads_as_leads_back_to_it(profile: str) -> None:
    job = spec(hardware_profile=profile, gpu_count=2 if PROFILES[profile].gpu_model else 0)
    errors: list[FieldError] = []
    found = machine(compute_body(job, PROFILES), (profile,), None, None, PROFILES, errors)
    assert (found, errors) == (Machine(profile, job.gpu_count), [])


QUANTITIES = {
    "1Gi": 2**30, "1.5G": 1.5e9, "500m": 0.5, "+2k": 2000, "1e3": 1000, "12": 12, "1E2": 100,
    "": None, "Gi": None, "1 Gi": None, "1KiB": None, "..": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "number"), QUANTITIES.items())
def test_quantities_are_kubernetes_own(text: str, number: float | None) -> None:
    assert parsed_quantity(text) == number


def test_an_amount_is_written_in_its_largest_whole_unit() -> None:
    assert [quantity(each) for each in (0, 1000, 2**20, 3 * 2**30, 2**40)] == [
        "0",
        "1000",
        "1Mi",
        "3Gi",
        "1Ti",
    ]


SCALINGS = {
    "nothing": ({}, Scaling()),
    "a minimum is a maximum too": (
        {"minReplicas": 2, "metric": "concurrency", "metricThreshold": 4},
        Scaling(2, 2, 2, 2, (ScalingTarget(ScalingMetric.CONCURRENCY, 4, 70),)),
    ),
    "throughput with a share": (
        {"maxReplicas": 3, "metric": "throughput", "metricThreshold": 10, "metricThresholdPercentage": 50},
        Scaling(1, 3, 1, 1, (ScalingTarget(ScalingMetric.THROUGHPUT, 10, 50),)),
    ),
    "the latency as a whole": (
        {"maxReplicas": 3, "metric": "latency", "metricThreshold": 500},
        Scaling(1, 3, 1, 1, (ScalingTarget(ScalingMetric.LATENCY_P95, 500, 100),)),
    ),
    "asleep between requests": (
        {"minReplicas": 0, "maxReplicas": 1, "scaleToZeroRetentionSeconds": 90, "scaleDownDelaySeconds": 0},
        Scaling(0, 1, 1, 1, (), 0, 90),
    ),
    "zero of many": (
        {"minReplicas": 0, "maxReplicas": 5, "initialReplicas": 0, "activationReplicas": 2,
         "metric": "throughput", "metricThreshold": 1},
        Scaling(0, 5, 0, 2, (ScalingTarget(ScalingMetric.THROUGHPUT, 1, 70),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), SCALINGS.values(), ids=SCALINGS.keys())
def test_autoscaling_is_the_jobs_scaling(given: dict[str, object], expected: Scaling) -> None:
    errors: list[FieldError] = []
    request = scaling_request(AutoscalingBody.model_validate(given), errors)
    at_least_one = max(request.min_replicas, 1)
    found = Scaling(
        request.min_replicas,
        request.max_replicas or at_least_one,
        at_least_one if request.initial_replicas is None else request.initial_replicas,
        request.activation_replicas or at_least_one,
        tuple(ScalingTarget(each.metric, each.threshold, each.percentage) for each in request.targets),
        request.stabilisation_window_seconds,
        request.scale_to_zero_after_seconds,
    )
    assert (found, errors) == (expected, [])


@pytest.mark.parametrize(
    "targets",
    [
        (ScalingTarget(ScalingMetric.THROUGHPUT, 5), ScalingTarget(ScalingMetric.LATENCY_P95, 500)),
        (ScalingTarget(ScalingMetric.THROUGHPUT, 2.5),),
        (ScalingTarget(ScalingMetric.LATENCY_P95, 500, 80),),
    ],
    ids=["two", "half a request", "a share of the latency"],
)
def test_targets_that_one_metric_cannot_say_read_as_none_and_stay(targets: tuple[ScalingTarget, ...]) -> None:
    job = fold(created(scaling=Scaling(1, 3, targets=targets)))
    body = autoscaling_body(job.spec.scaling)
    assert (body.metric, body.metric_threshold, body.metric_threshold_percentage) == (None, None, None)
    patch = job_patch(job, UpdateSpecBody.model_validate({"autoscaling": {"maxReplicas": 5}}), PROFILES)
    assert patch.scaling is not None
    assert "targets" not in patch.scaling.model_fields_set


def test_another_metric_does_not_inherit_the_threshold_of_the_one_before() -> None:
    job = running_job()
    update = UpdateSpecBody.model_validate({"autoscaling": {"metric": "latency", "metricThreshold": 700}})
    patch = job_patch(job, update, PROFILES)
    assert patch.scaling is not None
    assert patch.scaling.targets is not None
    assert [(each.metric, each.threshold, each.percentage) for each in patch.scaling.targets] == [
        (ScalingMetric.LATENCY_P95, 700, 100)
    ]


def test_a_list_in_a_patch_is_the_whole_list() -> None:
    job = fold(created(serving=Serving({"n_ctx": "1", "old": "2"}, {"A": "1", "B": "2"})))
    update = {
        "args": "--n-ctx 3",
        "environmentVariables": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
    }
    patch = job_patch(job, UpdateSpecBody.model_validate(update), PROFILES)
    assert patch.serving is not None
    assert patch.serving.args == {"n_ctx": "3", "old": None}
    assert patch.serving.env == {"A": None, "B": "3", "C": "4"}


def test_another_pool_is_another_machine_even_beside_the_present_compute() -> None:
    job = running_job()
    update = UpdateSpecBody(compute=compute_body(job.spec, PROFILES), node_pools=("cpu.large",))
    assert job_patch(job, update, PROFILES).hardware_profile == "cpu.large"
    small = UpdateSpecBody(compute=compute_body(job.spec, PROFILES), node_pools=("cpu.small",))
    assert job_patch(job, small, PROFILES).model_fields_set == set()


def test_an_update_that_says_nothing_is_an_empty_patch() -> None:
    update = UpdateSpecBody.model_validate(
        dict.fromkeys(("autoscaling", "args", "compute", "labels", "security"))
    )
    assert job_patch(running_job(), update, PROFILES).model_fields_set == set()


@pytest.mark.parametrize(("name", "number"), PRIORITY_CLASSES.items())
def test_priorities_have_the_same_numbers_both_ways(name: str, number: int) -> None:
    assert asked({"priorityClass": name}).priority == number
    assert (class_of(number), nearest_class(number)) == (name, name)


def test_a_priority_between_two_classes_reads_as_none_and_is_listed_by_the_lower_one() -> None:
    assert (class_of(100), nearest_class(100), nearest_class(0)) == (None, "medium-high", "very-low")


def test_a_workload_shows_what_the_job_has_and_nothing_of_hostlers_own_labels() -> None:
    job = running_job(
        project="team",
        labels={"a": "1", "runai.hostler.dev/annotation/note": "2", "runai.hostler.dev/serving-port": "8080"},
        endpoint_auth=EndpointAuth.PUBLIC,
    )
    shown = spec_body(job.spec, PROFILES).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert shown["labels"] == [{"name": "a", "value": "1"}]
    assert shown["annotations"] == [{"name": "note", "value": "2"}]
    assert shown["servingPort"] == {"container": 8080, "protocol": "http", "authorizationType": "public"}
    assert inference(job, NAMES).project_id == TEAM.project_id
    row = workload(job, NAMES)
    assert (row.running_pods, row.allocated_resources.cpu, row.allocated_resources.cpu_memory) == (
        1,
        1,
        "1Gi",
    )


@pytest.mark.parametrize("phase", JobPhase)
def test_every_phase_is_one_of_run_ais_words(phase: JobPhase) -> None:
    words = (
        "Creating Initializing Resuming Pending Deleting Running Updating Stopped Stopping Degraded Failed Completed "
        "Terminating Unknown"
    )
    assert phase_word(phase) in words.split()


def test_a_revision_leads_back_to_its_job_and_is_no_job_itself() -> None:
    revision = ids.revision_id(JOB_ID, 7)
    assert (7, JOB_ID) in ids.revised_job_ids(revision)
    assert revision not in (JOB_ID, ids.revision_id(JOB_ID, 8))
    assert revision[14] == "8"


ROW: dict[str, Value] = {
    "name": "Demo",
    "priority": 80.0,
    "createdAt": datetime(2026, 1, 2, tzinfo=UTC),
    "completedAt": None,
}
FILTERS = {
    "name==demo": True, "name!=demo": False, "name=@em": True, "name!@em": False, "name=^de": True, "name=$mo": True,
    "name<=zz": True, "priority>=80": True, "priority<=79.5": False, "priority==80": True, "priority!=80": False,
    "priority==high": False, "createdAt>=2026-01-01T00:00:00Z": True, "createdAt<=2026-01-01T00:00:00": False,
    "createdAt=^2026": True, "completedAt==x": False, "completedAt!=x": True, "name==demo,priority==81": False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FILTERS.items())
def test_filters_are_run_ais_own(text: str, expected: bool) -> None:
    assert matches(ROW, parsed_filters([text], tuple(ROW)), None) is expected


def test_items_without_a_value_come_last_whichever_way() -> None:
    items = [3, None, 1, 2]
    assert ordered(items, lambda each: each, descending=False) == (1, 2, 3, None)
    assert ordered(items, lambda each: each, descending=True) == (3, 2, 1, None)


def test_pages_meet_without_a_gap_and_end() -> None:
    assert page("abcde", 0, 2) == (("a", "b"), 2)
    assert page("abcde", 4, 2) == (("e",), None)
    assert page("abcd", 2, 2) == (("c", "d"), None)
    assert page("abcd", 9, 2) == ((), None)


NATIVE = {
    "scaling.max_replicas": "autoscaling.maxReplicas",
    "scaling.targets.0.threshold": "autoscaling.metricThreshold",
    "gpu_count": "compute.gpuDevicesRequest",
    "serving.args.n_ctx": "args",
    "serving.env.'a b'": "environmentVariables",
    "labels.'a b'": "labels",
    "labels.1.name": "labels.1.name",
    "spec.autoscaling.minReplicas": "autoscaling.minReplicas",
    "timeouts.request_seconds": "servingConfiguration.requestTimeoutSeconds",
    "filterBy": "filterBy",
}


@pytest.mark.parametrize(("native", "field"), NATIVE.items())
def test_mistakes_are_named_as_the_client_wrote_the_field(native: str, field: str) -> None:
    assert compliance_issue(FieldError(native, "is wrong")).field == field


def test_a_series_that_the_store_does_not_have_makes_the_answer_partial() -> None:
    found, complete = measurements(("POD_COUNT",), WORKLOAD_TYPES, History(()))
    assert ([each.values for each in found], complete) == ([None], False)


def test_seconds_are_made_of_milliseconds_and_each_percentile_has_its_label() -> None:
    types = ("NIM_E2E_REQUEST_LATENCY_SECONDS_PERCENTILES",)
    series = series_for(types, WORKLOAD_TYPES)
    history = History(tuple(Series(name, (Sample(at(1), 250.0),)) for name in series))
    found, complete = measurements(types, WORKLOAD_TYPES, history)
    assert series == (SeriesName.LATENCY_P50, SeriesName.LATENCY_P95, SeriesName.LATENCY_P99)
    assert [dict(each.labels or {}) for each in found] == [
        {"quantile": each} for each in ("0.5", "0.95", "0.99")
    ]
    assert [[point.value for point in each.values or ()] for each in found] == [["0.25"]] * 3
    assert complete
