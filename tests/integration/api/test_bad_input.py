"""What users get wrong: every row is answered with its status, names the field, and leaves nothing behind."""

import json
from typing import Any

import pytest

from hostler_contracts import subjects
from tests.integration.api.conftest import ADMIN_KEY, Site
from tests.support.builders import MODEL

HUGE = "x" * 5000
Row = tuple[str, dict[str, Any], str, str]


def job(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, **fields}


def scaling(**fields: Any) -> dict[str, Any]:
    return job(scaling=fields)


# Name of the row, the body, the field that is at fault, and what its message says.
ROWS: list[Row] = [
    ("no-model", {}, "model", "required"),
    ("model-null", {"model": None}, "model", "string"),
    ("model-number", {"model": 7}, "model", "string"),
    ("model-list", {"model": [MODEL]}, "model", "string"),
    ("model-empty", {"model": ""}, "model", "Hugging Face id"),
    ("model-without-slash", {"model": "gpt2"}, "model", "Hugging Face id"),
    ("model-with-two-slashes", {"model": "a/b/c"}, "model", "Hugging Face id"),
    ("model-climbs", {"model": "../../etc/passwd"}, "model", "Hugging Face id"),
    ("model-newline", {"model": "a/b\n--flag"}, "model", "Hugging Face id"),
    ("model-nul", {"model": "a/b\0"}, "model", "Hugging Face id"),
    ("model-unicode", {"model": "\u0430cme/model"}, "model", "Hugging Face id"),
    ("model-right-to-left", {"model": "acme/\u202emodel"}, "model", "Hugging Face id"),
    ("model-shell", {"model": "a/$(reboot)"}, "model", "Hugging Face id"),
    ("model-huge", {"model": f"a/{HUGE}"}, "model", "200"),
    ("name-upper", job(name="Demo"), "name", "a-z, 0-9"),
    ("name-empty", job(name=""), "name", "a-z, 0-9"),
    ("name-dash", job(name="-demo"), "name", "a-z, 0-9"),
    ("name-dot", job(name="a.b"), "name", "a-z, 0-9"),
    ("name-star", job(name="*"), "name", "a-z, 0-9"),
    ("name-unicode-digit", job(name="demo-\u0663"), "name", "a-z, 0-9"),
    ("name-long", job(name="a" * 64), "name", "63"),
    ("name-number", job(name=5), "name", "string"),
    ("project-unknown", job(project="nowhere"), "project", "does not exist"),
    ("project-wildcard", job(project=">"), "project", "does not exist"),
    ("runtime-unknown", job(runtime="tgi"), "runtime", "must be one of"),
    ("image-spaces", job(runtime_image="a b"), "runtime_image", "image reference"),
    ("image-flag", job(runtime_image="-v/:/host"), "runtime_image", "image reference"),
    ("profile-unknown", job(hardware_profile="gpu.abacus"), "hardware_profile", "must be one of"),
    ("profile-external", job(hardware_profile="external"), "hardware_profile", "runtime external"),
    ("gpus-half", job(gpu_count=0.5), "gpu_count", "integer"),
    ("gpus-text", job(gpu_count="two"), "gpu_count", "integer"),
    ("gpus-below", job(gpu_count=-1), "gpu_count", "0 or more"),
    ("disk-none", job(root_disk_gb=0), "root_disk_gb", "from 1 to"),
    ("disk-all", job(root_disk_gb=10**9), "root_disk_gb", "from 1 to"),
    ("min-below", scaling(min_replicas=-1), "scaling.min_replicas", "from 0 to"),
    ("min-fraction", scaling(min_replicas=1.5), "scaling.min_replicas", "integer"),
    ("max-zero", scaling(max_replicas=0), "scaling.max_replicas", "at least"),
    (
        "max-below-min",
        scaling(min_replicas=3, max_replicas=2),
        "scaling.max_replicas",
        "at least min_replicas",
    ),
    ("max-enormous", scaling(max_replicas=10**12), "scaling.max_replicas", "from 1 to"),
    ("initial-above", scaling(max_replicas=2, initial_replicas=3), "scaling.initial_replicas", "from"),
    (
        "activation-zero",
        scaling(min_replicas=0, activation_replicas=0),
        "scaling.activation_replicas",
        "from 1",
    ),
    (
        "window-below",
        scaling(stabilisation_window_seconds=-1),
        "scaling.stabilisation_window_seconds",
        "3600",
    ),
    (
        "window-above",
        scaling(stabilisation_window_seconds=3601),
        "scaling.stabilisation_window_seconds",
        "3600",
    ),
    (
        "sleep-with-minimum",
        scaling(scale_to_zero_after_seconds=60),
        "scaling.scale_to_zero_after_seconds",
        "min_replicas 0",
    ),
    (
        "sleep-now",
        scaling(min_replicas=0, scale_to_zero_after_seconds=0),
        "scaling.scale_to_zero_after_seconds",
        "at least 1",
    ),
    (
        "metric-unknown",
        scaling(targets=[{"metric": "vibes", "threshold": 1}]),
        "scaling.targets.0.metric",
        "throughput",
    ),
    (
        "threshold-zero",
        scaling(targets=[{"metric": "throughput", "threshold": 0}]),
        "scaling.targets.0.threshold",
        "above 0",
    ),
    (
        "percentage-101",
        scaling(targets=[{"metric": "throughput", "threshold": 1, "percentage": 101}]),
        "scaling.targets.0.percentage",
        "1 to 100",
    ),
    (
        "metric-twice",
        scaling(targets=[{"metric": "throughput", "threshold": 1}] * 2),
        "scaling.targets.1.metric",
        "twice",
    ),
    (
        "two-vocabularies",
        job(target_rps=5, scaling={"targets": [{"metric": "concurrency", "threshold": 4}]}),
        "target_rps",
        "together",
    ),
    ("rps-below", job(target_rps=-1), "target_rps", "above 0"),
    ("rps-text", job(target_rps="fast"), "target_rps", "number"),
    ("latency-zero", job(target_latency_p95_ms=0), "target_latency_p95_ms", "above 0"),
    (
        "sleep-by-latency",
        job(target_latency_p95_ms=500, scaling={"min_replicas": 0}),
        "scaling.targets",
        "throughput or concurrency",
    ),
    ("priority-above", job(priority=151), "priority", "0 to 150"),
    ("priority-word", job(priority="urgent"), "priority", "very-low"),
    ("priority-flag", job(priority=True), "priority", "integer"),
    ("kind", job(kind="party"), "kind", "inference"),
    ("ssh-keys-of-an-inference", job(ssh_keys=["ssh-ed25519 x"]), "ssh_keys", "workspace"),
    ("workspace-with-a-model", job(kind="workspace", ssh_keys=["x"]), "model", "no model"),
    ("workspace-key", {"kind": "workspace", "ssh_keys": ["x"]}, "ssh_keys.0", "OpenSSH"),
    ("workspace-without-a-key", {"kind": "workspace"}, "ssh_keys", "1 to 20"),
    ("two-ways-of-a-site", job(location="a", locations=["b"]), "location", "together"),
    ("site-twice", job(locations=["b", "b"]), "locations", "twice"),
    ("timeout-zero", job(timeouts={"request_seconds": 0}), "timeouts.request_seconds", "at least 1"),
    (
        "start-timeout-zero",
        job(timeouts={"initialization_seconds": 0}),
        "timeouts.initialization_seconds",
        "at least 1",
    ),
    ("auth-unknown", job(endpoint_auth="maybe"), "endpoint_auth", "key"),
    ("balancing-unknown", job(routing={"balancing": "random"}), "routing.balancing", "least-outstanding"),
    ("prefix-none", job(routing={"prefix_chars": 0}), "routing.prefix_chars", "from 1 to"),
    ("session-upper", job(routing={"session_header": "X-Id"}), "routing.session_header", "lower case"),
    ("session-line", job(routing={"session_header": "x\r\ny"}), "routing.session_header", "lower case"),
    (
        "concurrency-none",
        job(routing={"concurrency_per_replica": 0}),
        "routing.concurrency_per_replica",
        "from 1 to",
    ),
    ("queue-below", job(routing={"queue_max": -1}), "routing.queue_max", "from 0 to"),
    ("queue-enormous", job(routing={"queue_max": 10**12}), "routing.queue_max", "from 0 to"),
    ("queue-flag", job(routing={"queue_max": True}), "routing.queue_max", "integer"),
    (
        "queue-for-ever",
        job(routing={"queue_timeout_seconds": 10**6}),
        "routing.queue_timeout_seconds",
        "3600",
    ),
    ("resume-text", job(routing={"resume_streams": "yes"}), "routing.resume_streams", "boolean"),
    ("route-unknown", job(routing={"extra_routes": ["files"]}), "routing.extra_routes.0", "rerank"),
    ("route-twice", job(routing={"extra_routes": ["score"] * 2}), "routing.extra_routes.1", "twice"),
    ("routing-unknown", job(routing={"speed": 9}), "routing.speed", "not a known field"),
    ("env-name", job(serving={"env": {"a b": "c"}}), "serving.env.'a b'", "not a name"),
    ("env-newline", job(serving={"env": {"A": "b\nC=d"}}), "serving.env.A", "one line"),
    ("env-nul", job(serving={"env": {"A": "b\0"}}), "serving.env.A", "one line"),
    ("env-number", job(serving={"env": {"A": 1}}), "serving.env.A", "string"),
    ("arg-name", job(serving={"args": {"--flag": "x"}}), "serving.args.'--flag'", "not a name"),
    ("arg-long", job(serving={"args": {"flag": HUGE}}), "serving.args.flag", "4096"),
    ("args-many", job(serving={"args": {f"a{number}": "b" for number in range(101)}}), "serving.args", "100"),
    ("label-name", job(labels={"": "x"}), "labels.''", "not a name"),
    ("label-control", job(labels={"a": "b\r"}), "labels.a", "one line"),
    ("labels-list", job(labels=["a"]), "labels", "dictionary"),
    ("location", job(location="New York"), "location", "name of a site"),
    ("unknown-field", job(replicas=3), "replicas", "not a known field"),
    ("unknown-nested", scaling(minimum=1), "scaling.minimum", "not a known field"),
    ("external-alone", job(runtime="external"), "external.endpoints", "needed"),
    (
        "external-relative",
        {"model": "a/b", "external": {"endpoints": ["10.0.0.5"]}},
        "external.endpoints.0",
        "http",
    ),
    ("external-none", {"model": "a/b", "external": {"endpoints": []}}, "external.endpoints", "1 to"),
]


@pytest.mark.parametrize(("body", "field", "says"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_a_job_that_makes_no_sense_is_refused_by_its_field(
    site: Site, body: dict[str, Any], field: str, says: str
) -> None:
    answer = await site.post(body)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("/problems/invalid-request", 400)
    named = {each["field"]: each["message"] for each in problem["errors"]}
    assert field in named, named
    assert says.lower() in named[field].lower()
    assert await site.bus.last(subjects.JOBS, subjects.JOBS_SUBJECTS) is None


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b'{"model": "a/b", "target_rps": NaN}', 400),
        (b'{"model": "a/b", "target_rps": Infinity}', 400),
        (b"[" * 100_000, 400),
        (b'{"model": "' + b"x" * 3_000_000 + b'"}', 413),
    ],
    ids=["empty", "cut", "list", "null", "text", "no-utf8", "nan", "infinity", "deep", "large"],
)
async def test_a_body_that_is_no_request_is_refused(site: Site, content: bytes, status: int) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
    answer = await site.client.post("/v1/jobs", content=content, headers=headers)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_refused_is_not_repeated_back(site: Site) -> None:
    """A secret in the wrong place must not come back in an error, from where it would reach logs."""
    secret = "hf_canaryCANARYcanary"
    for body in (
        {"model": MODEL, "hf_token": [secret]},
        {"model": MODEL, "hf_tokens": secret},
        {"model": MODEL, "serving": {"env": secret}},
        {"model": MODEL, "serving": {"env": {"HF_TOKEN": {"a": secret}}}},
    ):
        answer = await site.post(body)
        assert answer.status_code == 400
        assert secret not in answer.text


PROFILE = {"cpu_cores": 1, "memory_bytes": 2**30}
RECORD_ROWS: list[tuple[str, str, dict[str, Any], str]] = [
    ("profile-name", "/v1/hardware-profiles", {**PROFILE, "name": "GPU A"}, "name"),
    ("profile-no-cpu", "/v1/hardware-profiles", {**PROFILE, "name": "a", "cpu_cores": 0}, "cpu_cores"),
    ("profile-nan", "/v1/hardware-profiles", {**PROFILE, "name": "a", "cpu_cores": "NaN"}, "cpu_cores"),
    ("profile-memory", "/v1/hardware-profiles", {**PROFILE, "name": "a", "memory_bytes": 1}, "memory_bytes"),
    (
        "profile-price",
        "/v1/hardware-profiles",
        {**PROFILE, "name": "a", "price_per_hour": -1},
        "price_per_hour",
    ),
    (
        "profile-device-alone",
        "/v1/hardware-profiles",
        {**PROFILE, "name": "a", "device_name": "nvidia.com/X"},
        "device_name",
    ),
    (
        "profile-device-form",
        "/v1/hardware-profiles",
        {**PROFILE, "name": "a", "gpu_model": "X", "device_name": "x y"},
        "device_name",
    ),
    ("master-model", "/v1/model-masters", {"model": "nope", "runtime": "vllm"}, "model"),
    ("master-runtime", "/v1/model-masters", {"model": "a/b", "runtime": "tgi"}, "runtime"),
    (
        "master-profile",
        "/v1/model-masters",
        {"model": "a/b", "runtime": "vllm", "hardware_profile": "x"},
        "hardware_profile",
    ),
    ("master-gpus", "/v1/model-masters", {"model": "a/b", "runtime": "vllm", "gpu_count": 65}, "gpu_count"),
    (
        "master-parameter",
        "/v1/model-masters",
        {"model": "a/b", "runtime": "vllm", "parameters": {"--x": {"value": "1"}}},
        "parameters.'--x'",
    ),
    (
        "master-env",
        "/v1/model-masters",
        {"model": "a/b", "runtime": "vllm", "overrides": {"env": {"A": "b\nc"}}},
        "overrides.env.A",
    ),
    (
        "master-disk",
        "/v1/model-masters",
        {"model": "a/b", "runtime": "vllm", "overrides": {"root_disk_gb": 0}},
        "overrides.root_disk_gb",
    ),
    (
        "master-context",
        "/v1/model-masters",
        {"model": "a/b", "runtime": "vllm", "context_length_tokens": 0},
        "context_length_tokens",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "field"), [row[1:] for row in RECORD_ROWS], ids=[row[0] for row in RECORD_ROWS]
)
async def test_a_record_that_makes_no_sense_is_refused_by_its_field(
    site: Site, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await site.client.post(
        path,
        content=json.dumps(body),
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    assert field in {each["field"] for each in answer.json()["errors"]}, answer.text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/jobs?limit=0", "limit"),
        ("/v1/jobs?limit=501", "limit"),
        ("/v1/jobs?limit=x", "limit"),
        ("/v1/jobs?phase=Sleeping", "phase"),
        ("/v1/jobs?label=x", "label"),
        ("/v1/jobs/{job}/events?after=-1", "after"),
        ("/v1/jobs/{job}/wait?for=godot", "for"),
        ("/v1/jobs/{job}/wait?timeout_seconds=301", "timeout_seconds"),
        ("/v1/jobs/{job}/metrics?samples=0", "samples"),
        ("/v1/jobs/{job}/metrics?samples=1001", "samples"),
        ("/v1/jobs/{job}/metrics?names=vibes", "names.0"),
        ("/v1/jobs/{job}/metrics?start=yesterday", "start"),
        ("/v1/jobs/{job}/metrics?start=2026-01-01T00:00:00", "start"),
        ("/v1/jobs/{job}/metrics?start=0001-01-01T00:00:00%2B14:00", "start"),
        ("/v1/jobs/{job}/metrics?end=0001-01-01T00:00:00Z", "end"),
        ("/v1/jobs/{job}/metrics?end=9999-12-31T23:59:59-14:00", "end"),
        ("/v1/jobs/{job}/metrics?start=2027-01-01T00:00:00Z&end=2026-01-01T00:00:00Z", "start"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_its_parameter(
    site: Site, path: str, field: str
) -> None:
    made = (await site.post({"model": MODEL, "name": "demo"})).json()
    answer = await site.get(path.format(job=made["job_id"]))
    assert answer.status_code == 400, answer.text
    assert field in {each["field"] for each in answer.json()["errors"]}, answer.text
