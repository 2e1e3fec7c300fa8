"""What a program with runapy does, run by the Python of its own environment: `python runai_client.py SCENARIO`.

Every answer is read by the client's own models, which refuse wrong shapes. What was seen is printed as one JSON object.
The address and the key come in the environment: HOSTLER_URL, HOSTLER_KEY, HOSTLER_KEY_ID.
"""

import json
import os
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta

from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.exceptions import ApiException
from runai.runai_client import RunaiClient

URL, KEY = os.environ["HOSTLER_URL"], os.environ["HOSTLER_KEY"]
ANY_CLUSTER = "00000000-0000-0000-0000-000000000000"


class BearerClient(ApiClient):
    """runapy keeps the bearer token of its configuration but asks for another one all the same; this one uses it."""

    def _make_token_request(self):
        return self.configuration.bearer_token


def logged_in():
    """As the makers document it: an application's id and secret, exchanged for a token."""
    configuration = Configuration(
        client_id=os.environ["HOSTLER_KEY_ID"], client_secret=KEY, runai_base_url=URL, retry_enabled=False
    )
    return RunaiClient(ApiClient(configuration))


def with_bearer():
    return RunaiClient(BearerClient(Configuration(bearer_token=KEY, runai_base_url=URL, retry_enabled=False)))


def creation(name, project="default", **spec):
    fields = {
        "args": "--model made-up/model --first_token_seconds 0.05 --tokens_per_second=200 --completion_tokens 4",
        "labels": [models.Label(name="hostler.dev/runtime", value="simulated")],
        "compute": models.SupersetSpecAllOfCompute(gpu_devices_request=0),
        "serving_port": models.ServingPort(container=8000),
        **spec,
    }
    return models.InferenceCreationRequest(
        name=name, project_id=project, cluster_id=ANY_CLUSTER, spec=models.InferenceSpecSpec(**fields)
    )


def refusal(call):
    """The exception of the client, as values."""
    try:
        call()
    except ApiException as error:
        issues = (error.data or {}).get("complianceIssues") or []
        models.SubmissionError.from_dict(error.data)
        return {
            "kind": type(error).__name__,
            "status": error.status,
            "fields": [issue["field"] for issue in issues],
        }
    return {"kind": "none"}


def inference(answer):
    found = models.Inference1.from_dict(answer.data)
    return {"status": answer.status_code, **found.to_dict()}


def wait_for(client, workload_id, phase, seconds=90):
    deadline = time.monotonic() + seconds
    while True:
        found = inference(client.workloads.inferences.get_inference(workload_id))
        if found["actualPhase"] == phase:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"not {phase} within {seconds} s, but {found['actualPhase']}")
        time.sleep(0.2)


def who_am_i():
    """A bearer key is enough; the job says whose it is."""
    made = inference(with_bearer().workloads.inferences.create_inference1(creation("by-bearer")))
    with_bearer().workloads.inferences.delete_inference(made["workloadId"])
    return {"key_id": made["createdBy"], "created": made}


def ask(model):
    """One request to a job, as any OpenAI client sends it."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = urllib.request.Request(
        f"{os.environ['HOSTLER_ROUTER_URL']}/v1/chat/completions",
        data=body,
        headers={"Authorization": f"Bearer {os.environ['HOSTLER_KEY']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def measured(read, names):
    """What was measured, from when it is known; as long as a window of load needs to arrive, there are gaps only."""
    deadline = time.monotonic() + 60
    while True:
        end = datetime.now(UTC)
        answer = read(names, start=end - timedelta(minutes=5), end=end, number_of_samples=5)
        found = models.MetricsResponse.from_dict(answer.data).measurements
        known = [
            float(value.value) for each in found for value in each.values or () if value.value is not None
        ]
        if any(known) or time.monotonic() > deadline:
            return {
                "status": answer.status_code,
                "types": [each.type for each in found],
                "largest": max(known, default=None),
            }
        time.sleep(0.5)


def lifecycle():
    """Create, get, list, patch, pods, metrics, revisions, suspend, resume, delete."""
    client = logged_in()
    work = client.workloads
    seen = {}
    cluster = models.DisplayedCluster.from_dict(client.organizations.clusters.get_clusters().data[0])
    project = client.organizations.projects.get_projects(filter_by=["name==default"]).data["projects"][0]
    body = creation("by-token", project=project["id"])
    body.cluster_id = cluster.uuid
    body.spec.autoscaling = models.AutoScaling(
        min_replicas=1, max_replicas=2, metric="throughput", metric_threshold=50
    )
    made = inference(work.inferences.create_inference1(body))
    workload_id = made["workloadId"]
    seen["created"] = made
    seen["taken"] = refusal(lambda: work.inferences.create_inference1(body))
    seen["running"] = wait_for(client, workload_id, "Running")

    listed = work.workloads.get_workloads(
        filter_by=["type==Inference", "name==by-token"], sort_by="createdAt", limit=10
    )
    rows = models.GetWorkloads200Response.from_dict(listed.data).workloads
    seen["listed"] = [row.id for row in rows]
    seen["counted"] = work.workloads.count_workloads(filter_by=["name==by-token"]).data["count"]
    row = models.WorkloadDetailed.from_dict(work.workloads.get_workload(workload_id).data)
    seen["row"] = {"phase": row.phase, "running_pods": row.running_pods, "priority": row.priority_class_name}

    pods = models.ListPods200Response.from_dict(work.pods.get_workload_pods(workload_id).data).pods
    seen["pods"] = [{"k8s_phase": pod.k8s_phase, "node": pod.node_name} for pod in pods]

    def of_job(names, **period):
        return work.inferences.get_inference_workload_metrics(workload_id, names, **period)

    def of_pod(names, **period):
        return work.inferences.get_inference_workload_pod_metrics(workload_id, pods[0].id, names, **period)

    for _ in range(3):
        ask("by-token")
    seen["metrics"] = measured(of_job, ["THROUGHPUT", "LATENCY"])
    seen["pod_metrics"] = measured(of_pod, ["THROUGHPUT"])

    patch = models.InferenceUpdateRequest(
        spec=models.InferenceUpdateSpecSpec(
            autoscaling=models.AutoScaling(max_replicas=3), priority_class="high", args=None
        )
    )
    seen["patched"] = inference(work.inferences.update_inference_spec(workload_id, patch))

    def batch(action):
        answer = work.workloads_batch.batch_workloads(models.WorkloadBatch(ids=[workload_id], action=action))
        return models.BatchResponse.from_dict(answer.data).to_dict()

    seen["suspended"] = batch("suspend")
    seen["stopped"] = wait_for(client, workload_id, "Stopped")["desiredPhase"]
    seen["resumed"] = batch("resume")
    wait_for(client, workload_id, "Running")

    again = models.InferenceUpdateRequest(
        spec=models.InferenceUpdateSpecSpec(args="--model made-up/model --completion_tokens 5")
    )
    seen["new_args"] = inference(work.inferences.update_inference_spec(workload_id, again))
    answer = work.revisions.get_inference_workload_revisions(workload_id)
    revisions = models.GetInferenceWorkloadRevisions200Response.from_dict(answer.data).revisions
    seen["revisions"] = [each.arguments for each in revisions]
    first = revisions[-1].id
    seen["first_revision"] = models.Revision.from_dict(work.revisions.get_revision(first).data).workload_id
    seen["revision_events"] = len(work.events.get_revision_events(first).data["events"])
    models.GetRevisionPods200Response.from_dict(work.pods.get_revision_pods(first).data)
    wait_for(client, workload_id, "Running")

    events = models.GetWorkloadEvents200Response.from_dict(work.events.get_workload_events(workload_id).data)
    seen["event_reasons"] = [event.reason for event in events.events]
    records = models.GetWorkloadHistory200Response.from_dict(
        work.events.get_workload_history(workload_id, limit=500).data
    ).records
    updates = [each.spec.phase_update for each in reversed(records)]
    seen["phases"] = [each.phase for each in updates if each]

    gone = work.inferences.delete_inference(workload_id)
    seen["deleted"] = {"status": gone.status_code, **gone.data}
    deadline = time.monotonic() + 60
    while inference(work.inferences.get_inference(workload_id)).get("deletedAt") is None:
        if time.monotonic() > deadline:
            raise SystemExit("not deleted within 60 s")
        time.sleep(0.2)
    rows = work.workloads.get_workloads(deleted=True, filter_by=["name==by-token"]).data["workloads"]
    seen["tombstones"] = [models.Workload.from_dict(row).id for row in rows]
    return seen


def refusals():
    """The client's own exceptions, and what they tell."""
    client = logged_in()
    inferences = client.workloads.inferences
    nobody = "01939e00-0000-7000-8000-00000000dead"
    wrong = Configuration(
        client_id=os.environ["HOSTLER_KEY_ID"],
        client_secret="hsk_wrong",
        runai_base_url=URL,
        retry_enabled=False,
    )
    stranger = BearerClient(Configuration(bearer_token="a.b.c", runai_base_url=URL, retry_enabled=False))
    half = models.SupersetSpecAllOfCompute(
        gpu_devices_request=1, gpu_request_type="portion", gpu_portion_request=0.5
    )
    git = models.InferenceSpecSpecAllOfStorage(
        git=[models.GitInstance(repository="https://example.com/r.git", path="/r")]
    )
    seen = {
        "unknown": refusal(lambda: inferences.get_inference(nobody)),
        "half_a_gpu": refusal(lambda: inferences.create_inference1(creation("half", compute=half))),
        "git": refusal(lambda: inferences.create_inference1(creation("git", storage=git))),
        "no_metric": refusal(
            lambda: inferences.create_inference1(
                creation("wide", autoscaling=models.AutoScaling(min_replicas=1, max_replicas=4))
            )
        ),
        "stranger": refusal(lambda: RunaiClient(stranger).workloads.inferences.get_inference(nobody)),
    }
    try:
        ApiClient(wrong)
    except ValueError as error:
        seen["wrong_secret"] = "accessToken" not in str(error) and "code" in str(error)
    return seen


if __name__ == "__main__":
    scenarios = {"who_am_i": who_am_i, "lifecycle": lifecycle, "refusals": refusals}
    print(json.dumps(scenarios[sys.argv[1]](), default=str))
