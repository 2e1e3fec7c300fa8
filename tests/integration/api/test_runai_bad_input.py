"""What Run:ai's dialect refuses: each row with its status and the fields that it names."""

from typing import Any

import pytest

from tests.integration.api.conftest import ADMIN_KEY, TEAM_KEY, Site
from tests.support.builders import MODEL

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
ANY_CLUSTER = "00000000-0000-0000-0000-000000000000"
ARGS = f"--model {MODEL}"


def body(spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A creation that is fine but for what a row says."""
    return {
        "name": "demo",
        "projectId": "default",
        "clusterId": ANY_CLUSTER,
        "spec": {"args": ARGS, **(spec or {})},
        **fields,
    }


def autoscaling(**fields: Any) -> dict[str, Any]:
    return body({"autoscaling": fields})


def compute(**fields: Any) -> dict[str, Any]:
    return body({"compute": fields})


BAD_CREATIONS: dict[str, tuple[Any, list[str]]] = {
    "nothing": ({}, ["name", "projectId", "clusterId"]),
    "a list": ([], ["body"]),
    "no spec, so no model": (body(spec=None) | {"spec": None}, ["args"]),
    "a name that is none": (body(name="De Mo"), ["name"]),
    "a name of control characters": (body(name="a\u0000b"), ["name"]),
    "a name of another script": (body(name="démo"), ["name"]),
    "a name that is too long": (body(name="a" * 64), ["name"]),
    "a project nobody has": (body(projectId="nope"), ["projectId"]),
    "another cluster": (body(clusterId="11111111-1111-1111-1111-111111111111"), ["clusterId"]),
    "a template": (body(templateId="11111111-1111-1111-1111-111111111111"), ["templateId"]),
    "a field nobody knows": (body(replicas=2), ["replicas"]),
    "a field of the spec nobody knows": (body({"gpus": 1}), ["gpus"]),
    "the native vocabulary beside this one": (body({"target_rps": 5}), ["target_rps"]),
    "the native scaling beside this one": (
        body({"autoscaling": {"min_replicas": 1, "targets": []}}),
        ["autoscaling.targets"],
    ),
    "a runtime with a name that is too long": (
        body({"labels": [{"name": "hostler.dev/runtime", "value": "r" * 64}]}),
        ["labels"],
    ),
    "a model with a name that is too long": (
        body({"args": f"--model a/{'b' * 300}", "image": "vllm"}),
        ["args"],
    ),
    "no model anywhere": (body({"args": "--max-model-len 10"}), ["args"]),
    "a model that is none": (body({"args": "--model gpt2", "image": "vllm/vllm-openai"}), ["args"]),
    "a model without a runtime": (body({"args": "--model some/model"}), ["image"]),
    "a runtime nobody has": (
        body({"labels": [{"name": "hostler.dev/runtime", "value": "abacus"}]}),
        ["labels"],
    ),
    "a runtime without servers": (
        body({"labels": [{"name": "hostler.dev/runtime", "value": "external"}]}),
        ["labels"],
    ),
    "quotes that don't end": (body({"args": f"{ARGS} 'oops"}), ["args"]),
    "words that are no options": (body({"args": f"{ARGS} oops"}), ["args"]),
    "an option twice": (body({"args": f"{ARGS} --n-ctx 1 --n_ctx 2"}), ["args"]),
    "too many options": (body({"args": ARGS + "".join(f" --o{n} 1" for n in range(101))}), ["args"]),
    "args of another type": (body({"args": ["--model", MODEL]}), ["args"]),
    "a command": (body({"command": "python serve.py"}), ["command"]),
    "a working directory": (body({"workingDir": "/app"}), ["workingDir"]),
    "a minimum above the maximum": (
        autoscaling(minReplicas=3, maxReplicas=1, metric="throughput", metricThreshold=1),
        ["autoscaling.maxReplicas"],
    ),
    "a negative minimum": (autoscaling(minReplicas=-1), ["autoscaling.minReplicas"]),
    "a maximum of zero": (autoscaling(maxReplicas=0), ["autoscaling.maxReplicas"]),
    "a number as text": (autoscaling(minReplicas="1"), ["autoscaling.minReplicas"]),
    "half a replica": (autoscaling(minReplicas=1.5), ["autoscaling.minReplicas"]),
    "true as a number": (autoscaling(minReplicas=True), ["autoscaling.minReplicas"]),
    "a number beyond all bounds": (autoscaling(maxReplicas=10**400), ["autoscaling.maxReplicas"]),
    "more replicas than there may be": (
        autoscaling(minReplicas=1, maxReplicas=5000, metric="throughput", metricThreshold=1),
        ["autoscaling.maxReplicas"],
    ),
    "a range without a metric": (autoscaling(minReplicas=1, maxReplicas=4), ["autoscaling.metric"]),
    "a metric without a threshold": (
        autoscaling(maxReplicas=2, metric="throughput"),
        ["autoscaling.metricThreshold"],
    ),
    "a threshold without a metric": (autoscaling(metricThreshold=5), ["autoscaling.metric"]),
    "a threshold of zero": (
        autoscaling(maxReplicas=2, metric="throughput", metricThreshold=0),
        ["autoscaling.metricThreshold"],
    ),
    "a custom metric": (
        autoscaling(maxReplicas=2, metric="my_queue", metricThreshold=5),
        ["autoscaling.metric"],
    ),
    "a share of the latency": (
        autoscaling(maxReplicas=2, metric="latency", metricThreshold=500, metricThresholdPercentage=50),
        ["autoscaling.metricThresholdPercentage"],
    ),
    "a share above all": (
        autoscaling(maxReplicas=2, metric="throughput", metricThreshold=5, metricThresholdPercentage=101),
        ["autoscaling.metricThresholdPercentage"],
    ),
    "a share that is not whole": (
        autoscaling(maxReplicas=2, metric="throughput", metricThreshold=5, metricThresholdPercentage=62.5),
        ["autoscaling.metricThresholdPercentage"],
    ),
    "zero by latency alone": (
        autoscaling(minReplicas=0, maxReplicas=2, metric="latency", metricThreshold=500),
        ["autoscaling.metric"],
    ),
    "a retention that keeps nothing": (
        autoscaling(minReplicas=1, scaleToZeroRetentionSeconds=60),
        ["autoscaling.scaleToZeroRetentionSeconds"],
    ),
    "a delay above an hour": (autoscaling(scaleDownDelaySeconds=3601), ["autoscaling.scaleDownDelaySeconds"]),
    "a hard limit": (autoscaling(concurrencyHardLimit=5), ["autoscaling.concurrencyHardLimit"]),
    "initial replicas above the maximum": (autoscaling(initialReplicas=9), ["autoscaling.initialReplicas"]),
    "half a GPU": (
        compute(gpuDevicesRequest=1, gpuRequestType="portion", gpuPortionRequest=0.5),
        ["compute.gpuPortionRequest"],
    ),
    "a GPU by memory": (
        compute(gpuDevicesRequest=1, gpuRequestType="memory", gpuMemoryRequest="10G"),
        ["compute.gpuRequestType", "compute.gpuMemoryRequest"],
    ),
    "a negative number of GPUs": (compute(gpuDevicesRequest=-1), ["compute.gpuDevicesRequest"]),
    "memory that is no quantity": (compute(cpuMemoryRequest="lots"), ["compute.cpuMemoryRequest"]),
    "a quantity of no unit": (compute(cpuMemoryRequest="1KiK"), ["compute.cpuMemoryRequest"]),
    "more cores than any machine has": (compute(cpuCoreRequest=4096), ["compute"]),
    "large shared memory": (compute(largeShmRequest=True), ["compute.largeShmRequest"]),
    "extended resources": (
        compute(extendedResources=[{"resource": "nvidia.com/mig", "quantity": "1"}]),
        ["compute.extendedResources"],
    ),
    "a pool nobody has": (body({"nodePools": ["moon"]}), ["nodePools.0"]),
    "a machine with the wrong GPUs": (
        body({"nodePools": ["cpu.small"], "compute": {"gpuDevicesRequest": 1}}),
        ["compute"],
    ),
    "a type of node nobody has": (body({"nodeType": "moon"}), ["nodeType"]),
    "affinities": (
        body(
            {
                "nodeAffinityRequired": {"nodeSelectorTerms": [{"matchExpressions": []}, {"x": 1}]},
                "podAffinity": {"type": "Required", "key": "zone"},
            }
        ),
        ["nodeAffinityRequired.nodeSelectorTerms", "podAffinity.type", "podAffinity.key"],
    ),
    "a volume": (body({"storage": {"pvc": [{"path": "/data"}], "git": []}}), ["storage.pvc"]),
    "security": (body({"security": {"runAsUid": 0, "runAsNonRoot": False}}), ["security.runAsUid"]),
    "a probe": (
        body({"probes": {"readiness": {"periodSeconds": 1, "handler": {"httpGet": {"path": "/"}}}}}),
        ["probes.readiness"],
    ),
    "ports and addresses": (
        body({"ports": [{"container": 1}], "exposedUrls": [{"container": 1}], "relatedUrls": [{"url": "x"}]}),
        ["exposedUrls", "ports", "relatedUrls"],
    ),
    "tolerations": (body({"tolerations": [{"key": "k", "operator": "Exists"}]}), ["tolerations"]),
    "secrets of registries": (body({"imagePullSecrets": [{"name": "s"}]}), ["imagePullSecrets"]),
    "a pull policy": (body({"imagePullPolicy": "Always"}), ["imagePullPolicy"]),
    "an image that is none": (body({"image": "no image"}), ["image"]),
    "gRPC": (body({"servingPort": {"container": 1, "protocol": "grpc"}}), ["servingPort.protocol"]),
    "users": (
        body({"servingPort": {"authorizationType": "authorizedUsers", "authorizedUsers": ["a@b.c"]}}),
        ["servingPort.authorizedUsers", "servingPort.authorizationType"],
    ),
    "an endpoint for the cluster alone": (
        body({"servingPort": {"container": 80, "clusterLocalAccessOnly": True}}),
        ["servingPort.clusterLocalAccessOnly"],
    ),
    "a port beyond all ports": (body({"servingPort": {"container": 70000}}), ["servingPort.container"]),
    "a priority nobody knows": (body({"priorityClass": "urgent"}), ["priorityClass"]),
    "a preemptibility nobody knows": (body({"preemptibility": "maybe"}), ["preemptibility"]),
    "a category nobody knows": (body({"category": "Play"}), ["category"]),
    "an environment from a secret": (
        body({"environmentVariables": [{"name": "A", "secret": {"name": "s", "key": "k"}}]}),
        ["environmentVariables.0.secret"],
    ),
    "an environment without a value": (
        body({"environmentVariables": [{"name": "A"}]}),
        ["environmentVariables.0.value"],
    ),
    "an environment with one name twice": (
        body({"environmentVariables": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        ["environmentVariables.1.name"],
    ),
    "a variable with a line break": (
        body({"environmentVariables": [{"name": "A", "value": "1\n2"}]}),
        ["environmentVariables"],
    ),
    "a label of Hostler's own": (
        body({"labels": [{"name": "runai.hostler.dev/category", "value": "x"}]}),
        ["labels"],
    ),
    "a label twice": (
        body({"labels": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}),
        ["labels.1.name"],
    ),
    "a label that is no name": (body({"labels": [{"name": "a b", "value": "1"}]}), ["labels"]),
    "no time at all": (
        body({"servingConfiguration": {"requestTimeoutSeconds": 0}}),
        ["servingConfiguration.requestTimeoutSeconds"],
    ),
}


@pytest.mark.parametrize(("given", "fields"), BAD_CREATIONS.values(), ids=BAD_CREATIONS.keys())
async def test_a_bad_creation_is_a_400_that_names_the_fields_and_makes_nothing(
    site: Site, given: Any, fields: list[str]
) -> None:
    answer = await site.client.post("/api/v1/workloads/inferences", headers=ADMIN, json=given)
    error = answer.json()
    assert (answer.status_code, error["code"]) == (400, 400)
    assert [issue["field"] for issue in error["complianceIssues"]][: len(fields)] == fields
    assert set(error) == {"code", "message", "details", "complianceIssues"}
    assert site.jobs.jobs == {}


NOTHING_SAID: dict[str, dict[str, Any]] = {
    "null everywhere": dict.fromkeys(
        (
            "autoscaling", "servingConfiguration", "annotations", "category", "command", "compute", "createHomeDir",
            "environmentVariables", "exposedUrls", "image", "imagePullPolicy", "imagePullSecrets", "labels",
            "nodeAffinityRequired", "nodePools", "nodeType", "podAffinity", "ports", "preemptibility", "priorityClass",
            "probes", "relatedUrls", "security", "servingPort", "storage", "tolerations", "workingDir",
        )
    ),
    "empty lists": {"ports": [], "tolerations": [], "storage": {"pvc": [], "git": None}, "labels": [None]},
    "the documented defaults": {
        "createHomeDir": False,
        "imagePullPolicy": "IfNotPresent",
        "security": {"uidGidSource": "fromTheImage", "runAsNonRoot": False, "capabilities": []},
        "probes": {"readiness": {"handler": {"httpGet": {"path": "/"}}}},
        "servingPort": {"container": 80, "protocol": "http", "clusterLocalAccessOnly": False, "authorizedUsers": []},
        "compute": {"gpuDevicesRequest": 0, "largeShmRequest": False},
        "autoscaling": {"concurrencyHardLimit": 0, "metricThresholdPercentage": 70, "scaleToZeroRetentionSeconds": 0},
    },
    "what is excluded": {
        "ports": [{"container": 80, "exclude": True}],
        "labels": [{"name": "a b", "exclude": True}],
        "environmentVariables": [{"name": "A", "exclude": True}],
    },
}  # fmt: skip


@pytest.mark.parametrize("spec", NOTHING_SAID.values(), ids=NOTHING_SAID.keys())
async def test_what_asks_for_nothing_is_accepted(site: Site, spec: dict[str, Any]) -> None:
    answer = await site.client.post("/api/v1/workloads/inferences", headers=ADMIN, json=body(spec))
    assert answer.status_code == 202, answer.text


BAD_UPDATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a name": ({"name": "other"}, ["name"]),
    "a label": ({"spec": {"labels": [{"name": "a", "value": "b"}]}}, ["labels"]),
    "the serving port": ({"spec": {"servingPort": {"container": 1}}}, ["servingPort"]),
    "another model": ({"spec": {"args": "--model other/model"}}, ["args"]),
    "a word that is no option": ({"spec": {"args": "--n_ctx 1 oops"}}, ["args"]),
    "preemptibility": ({"spec": {"preemptibility": "preemptible"}}, ["preemptibility"]),
    "a token": ({"spec": {"environmentVariables": [{"name": "HF_TOKEN", "value": "hf_x"}]}}, ["environmentVariables"]),
    "a minimum above the maximum": ({"spec": {"autoscaling": {"minReplicas": 3}}}, ["autoscaling.maxReplicas"]),
    "a range without a metric": ({"spec": {"autoscaling": {"maxReplicas": 3}}}, ["autoscaling.metric"]),
    "half a GPU": ({"spec": {"compute": {"gpuPortionRequest": 0.5}}}, ["compute.gpuPortionRequest"]),
    "a volume": ({"spec": {"storage": {"pvc": [{"path": "/"}]}}}, ["storage"]),
}  # fmt: skip


@pytest.mark.parametrize(("given", "fields"), BAD_UPDATES.values(), ids=BAD_UPDATES.keys())
async def test_a_bad_update_is_a_400_that_names_the_fields_and_changes_nothing(
    site: Site, given: dict[str, Any], fields: list[str]
) -> None:
    made = (await site.client.post("/api/v1/workloads/inferences", headers=ADMIN, json=body())).json()
    url = f"/api/v1/workloads/inferences/{made['workloadId']}"
    before = site.jobs.jobs[made["workloadId"]]
    answer = await site.client.patch(url, headers=ADMIN, json=given)
    issues = [each["field"] for each in answer.json()["complianceIssues"]]
    assert (answer.status_code, issues[: len(fields)]) == (400, fields)
    assert site.jobs.jobs[made["workloadId"]] == before


BAD_QUERIES: dict[str, tuple[str, list[str]]] = {
    "no type": ("metrics?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", ["metricType"]),
    "no time": ("metrics?metricType=LATENCY", ["start", "end"]),
    "a type of another scope": (
        "metrics?metricType=POD_COUNT&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z",
        ["metricType"],
    ),
    "the end before the start": (
        "metrics?metricType=LATENCY&start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
        ["end"],
    ),
    "a time that is none": ("metrics?metricType=LATENCY&start=noon&end=2026-01-01T00:00:00Z", ["start"]),
    "too many samples": (
        "metrics?metricType=LATENCY&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&numberOfSamples=1001",
        ["numberOfSamples"],
    ),
}


@pytest.mark.parametrize(("query", "fields"), BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
async def test_a_bad_question_for_metrics_is_a_400_that_names_the_parameter(
    site: Site, query: str, fields: list[str]
) -> None:
    made = (await site.client.post("/api/v1/workloads/inferences", headers=ADMIN, json=body())).json()
    answer = await site.client.get(
        f"/api/v1/workloads/inferences/{made['workloadId']}/{query}", headers=ADMIN
    )
    assert (answer.status_code, [each["field"] for each in answer.json()["complianceIssues"]]) == (
        400,
        fields,
    )


@pytest.mark.parametrize(
    "query",
    ["filterBy=name", "filterBy=color==red", "sortBy=color", "limit=0", "offset=-1", "sortOrder=up"],
)
async def test_a_bad_question_for_a_list_is_a_400(site: Site, query: str) -> None:
    answer = await site.client.get(f"/api/v1/workloads?{query}", headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"grantType": "password", "AppId": "a", "AppSecret": "b"}, 400),
        ({"grantType": "app_token", "AppId": None, "AppSecret": None}, 400),
        ({"grantType": "app_token", "AppId": "a", "AppSecret": "b"}, 401),
        ({"grantType": "app_token", "AppId": "another-id", "AppSecret": TEAM_KEY}, 401),
    ],
    ids=["nothing", "another grant", "nulls", "no key", "another key's id"],
)
async def test_a_bad_login_gives_no_token_and_does_not_repeat_the_secret(
    site: Site, given: dict[str, Any], status: int
) -> None:
    answer = await site.client.post("/api/v1/token", json=given)
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert TEAM_KEY not in answer.text
