"""Whatever a body says, it becomes a native request or patch, or is refused with the fields named; nothing else happens."""

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.bodies import CreationBody, UpdateSpecBody
from hostler_api.dialects.runai.creation import Surroundings, job_request
from hostler_api.dialects.runai.errors import compliance_issue
from hostler_api.dialects.runai.updates import job_patch
from hostler_api.shipped import HARDWARE_PROFILES
from hostler_domain.errors import InvalidFields
from tests.support.builders import MASTER, MODEL, running_job

ResultT = TypeVar("ResultT")
PROFILES = {profile.name: profile for profile in HARDWARE_PROFILES}
AROUND = Surroundings({MODEL: MASTER}, PROFILES, frozenset({"default"}), {})

text = st.text(max_size=80) | st.sampled_from(["r" * 200, MODEL, "simulated", "a/b"])
whole = st.integers(-1, 5000)
anything = st.recursive(
    st.none() | st.booleans() | whole | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
words = st.lists(
    st.sampled_from(["--model", MODEL, "serve", "--n-ctx", "=", "-1", "'", "--", "x", "--a=b", "--é"])
)
named = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": text | st.sampled_from(["hostler.dev/runtime", "HF_TOKEN", "MODEL"]),
            "value": text,
        },
    ),
    max_size=3,
)
common = {
    "args": words.map(" ".join) | text,
    "autoscaling": st.fixed_dictionaries(
        {},
        optional={
            "minReplicas": whole,
            "maxReplicas": whole,
            "initialReplicas": whole,
            "metric": st.sampled_from(["throughput", "latency", "concurrency", "x"]),
            "metricThreshold": whole,
            "metricThresholdPercentage": st.floats(0, 101),
            "scaleDownDelaySeconds": whole,
            "scaleToZeroRetentionSeconds": whole,
        },
    ),
    "compute": st.fixed_dictionaries(
        {},
        optional={
            "gpuDevicesRequest": whole,
            "gpuPortionRequest": st.floats(0, 2),
            "cpuCoreRequest": st.floats(0, 100),
            "cpuCoreLimit": st.floats(0, 100),
            "cpuMemoryRequest": text | st.sampled_from(["1Gi", "500m", "1e99", "1..2"]),
        },
    ),
    "environmentVariables": named,
    "image": text | st.just("vllm/vllm-openai"),
    "nodePools": st.lists(text | st.sampled_from(["default", "cpu.small"]), max_size=2),
    "nodeType": text,
    "priorityClass": text | st.just("low"),
    "preemptibility": text,
    "category": text,
    "command": anything,
    "probes": anything,
}
creation = {**common, "labels": named, "annotations": named, "storage": anything, "security": anything}


def outcome(make: Callable[[], ResultT]) -> ResultT | list[str]:
    """What came of it, or the fields that it was refused for."""
    try:
        return make()
    except InvalidFields as error:
        return [compliance_issue(each).field for each in error.errors]


@given(st.text(max_size=80), st.booleans(), st.fixed_dictionaries({}, optional=creation))
def test_a_creation_is_a_native_request_or_refused(name: str, prefix: bool, spec: dict[str, Any]) -> None:
    given_body = {
        "name": name,
        "useGivenNameAsPrefix": prefix,
        "projectId": "default",
        "clusterId": ids.ANY_CLUSTER_ID,
        "spec": {"args": f"--model {MODEL}", **spec},
    }
    try:
        body = CreationBody.model_validate(given_body)
    except ValidationError:
        return
    request = outcome(lambda: job_request(body, AROUND, suffix="abcde"))
    if isinstance(request, list):
        assert request
        assert all(request)
        return
    assert (request.project, request.hf_token is None or bool(request.hf_token)) == ("default", True)
    assert "HF_TOKEN" not in request.serving.env


@given(st.fixed_dictionaries({}, optional=common))
def test_an_update_is_a_native_patch_or_refused(spec: dict[str, Any]) -> None:
    try:
        body = UpdateSpecBody.model_validate(spec)
    except ValidationError:
        return
    patch = outcome(lambda: job_patch(running_job(), body, PROFILES))
    if isinstance(patch, list):
        assert patch
        assert all(patch)
        return
    assert patch.model_fields_set <= {
        "scaling", "serving", "hardware_profile", "gpu_count", "runtime_image", "priority", "labels", "timeouts",
    }  # fmt: skip
