"""Run:ai's dialect over HTTP: what a job becomes in it, whose things are seen, metrics, revisions, logins."""

from typing import Any

import httpx2

from hostler_bus.job_log import JobEntry
from hostler_contracts import subjects
from hostler_domain.changes import Change, JobDeleted
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.support.builders import MODEL, NOW, draining, ready, scheduled, terminated

BODY: dict[str, Any] = {
    "name": "demo",
    "projectId": "default",
    "clusterId": "00000000-0000-0000-0000-000000000000",
    "spec": {"args": f"--model {MODEL}"},
}
REPLICA = "01939e00-0000-7000-8000-0000000000aa"


async def call(
    site: Site, method: str, path: str, key: str = ADMIN_KEY, json: Any = None, **headers: str
) -> httpx2.Response:
    return await site.client.request(
        method, f"/api/v1{path}", json=json, headers={"Authorization": f"Bearer {key}", **headers}
    )


async def create(site: Site, key: str = ADMIN_KEY, spec: dict[str, Any] | None = None, **fields: Any) -> str:
    body = {**BODY, **fields, "spec": {**BODY["spec"], **(spec or {})}}
    answer = await call(site, "POST", "/workloads/inferences", key, body)
    assert answer.status_code == 202, answer.text
    workload_id: str = answer.json()["workloadId"]
    return workload_id


async def happened(site: Site, workload_id: str, *changes: Change) -> None:
    """Append what other services would."""
    for change in changes:
        entry = await site.log.find(workload_id)
        assert entry is not None
        site.jobs.apply(await site.log.append(entry, change))


def recorded(site: Site, workload_id: str) -> JobEntry:
    return site.jobs.jobs[workload_id]


async def test_the_job_is_what_the_workload_says(site: Site) -> None:
    workload_id = await create(
        site,
        spec={
            "args": f"serve {MODEL} --n-ctx 4096",
            "autoscaling": {"maxReplicas": 4, "metric": "latency", "metricThreshold": 800, "scaleDownDelaySeconds": 60},
            "servingConfiguration": {"initializationTimeoutSeconds": 90, "requestTimeoutSeconds": 30},
            "environmentVariables": [{"name": "LOG", "value": "debug"}],
            "priorityClass": "low",
            "preemptibility": "preemptible",
            "servingPort": {"container": 8080, "authorizationType": "public"},
        },
    )  # fmt: skip
    spec = (await site.get(f"/v1/jobs/{workload_id}")).json()["spec"]
    assert (spec["name"], spec["model"], spec["runtime"]) == ("demo", MODEL, "llamacpp")
    assert spec["serving"] == {"args": {"n_ctx": "4096", "n_parallel": "4"}, "env": {"LOG": "debug"}}
    assert spec["scaling"]["targets"] == [{"metric": "latency_p95", "threshold": 800, "percentage": 100}]
    assert (spec["scaling"]["max_replicas"], spec["scaling"]["stabilisation_window_seconds"]) == (4, 60)
    assert spec["timeouts"] == {"initialization_seconds": 90, "request_seconds": 30}
    assert (spec["priority"], spec["preemptible"], spec["endpoint_auth"]) == (40, True, "public")


async def test_an_endpoint_is_closed_unless_it_was_asked_to_be_public(site: Site) -> None:
    workload_id = await create(site, spec={"servingPort": {"container": 8080}})
    found = (await call(site, "GET", f"/workloads/inferences/{workload_id}")).json()
    assert found["spec"]["servingPort"]["authorizationType"] == "authenticatedUsers"
    assert recorded(site, workload_id).job.spec.endpoint_auth == "key"


async def test_what_was_read_can_be_sent_back_and_changes_nothing(site: Site) -> None:
    workload_id = await create(
        site, spec={"autoscaling": {"maxReplicas": 3, "metric": "throughput", "metricThreshold": 9}}
    )
    url = f"/workloads/inferences/{workload_id}"
    found = (await call(site, "GET", url)).json()
    before = recorded(site, workload_id)
    fixed = ("annotations", "labels", "servingPort")
    spec = {name: value for name, value in found["spec"].items() if name not in fixed}
    answer = await call(site, "PATCH", url, json={"spec": spec})
    assert (answer.status_code, answer.json()) == (202, found)
    assert recorded(site, workload_id) == before


async def test_what_this_dialect_can_not_say_stays_when_it_changes_something_else(site: Site) -> None:
    """The routing of a job is the native API's; a workload that is read, changed and sent back keeps it."""
    workload_id = await create(site)
    routing = {"balancing": "prefix", "queue_max": 7, "resume_streams": False, "extra_routes": ["rerank"]}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    native = f"/v1/jobs/{workload_id}"
    assert (await site.client.patch(native, json={"routing": routing}, headers=headers)).status_code == 202
    chosen = recorded(site, workload_id).job.spec.routing
    assert chosen.queue_max == 7

    url = f"/workloads/inferences/{workload_id}"
    found = (await call(site, "GET", url)).json()
    fixed = ("annotations", "labels", "servingPort")
    spec = {name: value for name, value in found["spec"].items() if name not in fixed}
    more = {"maxReplicas": 4, "metric": "throughput", "metricThreshold": 9}
    changed = {**spec, "autoscaling": more}
    assert (await call(site, "PATCH", url, json={"spec": changed})).status_code == 202

    after = recorded(site, workload_id).job.spec
    assert (after.scaling.max_replicas, after.routing) == (4, chosen)


async def test_a_job_that_adopts_servers_is_a_workload_that_can_be_sent_back(site: Site) -> None:
    servers = {"model": "their/model", "external": {"endpoints": ["http://gpu-1:8000/v1"]}}
    workload_id = (await site.post(servers)).json()["job_id"]
    url = f"/workloads/inferences/{workload_id}"
    found = (await call(site, "GET", url)).json()
    before = recorded(site, workload_id)
    fixed = ("annotations", "labels", "servingPort")
    spec = {name: value for name, value in found["spec"].items() if name not in fixed}
    answer = await call(site, "PATCH", url, json={"spec": spec})
    assert (answer.status_code, recorded(site, workload_id)) == (202, before)


async def test_a_token_in_the_environment_is_sealed_and_never_shown(site: Site) -> None:
    workload_id = await create(
        site, spec={"environmentVariables": [{"name": "HF_TOKEN", "value": "hf_secret"}]}
    )
    sealed = await site.bus.bucket(subjects.BUCKET_SECRETS).get(f"hf-token.{workload_id}")
    assert sealed is not None
    assert site.secret_key.open(f"hf-token.{workload_id}", sealed.value) == "hf_secret"
    shown = (await call(site, "GET", f"/workloads/inferences/{workload_id}")).text
    told = (await call(site, "GET", f"/workloads/{workload_id}/events")).text
    assert "hf_secret" not in shown + told + repr(recorded(site, workload_id))


async def test_a_name_can_be_a_prefix_and_both_are_told(site: Site) -> None:
    first, second = [
        await create(site, name="demo", useGivenNameAsPrefix=True, spec={"category": "Build"})
        for _ in range(2)
    ]
    found = [(await call(site, "GET", f"/workloads/inferences/{each}")).json() for each in (first, second)]
    assert [each["requestedName"] for each in found] == ["demo", "demo"]
    assert found[0]["name"] != found[1]["name"]
    assert all(each["name"].startswith("demo-") for each in found)
    assert found[0]["spec"]["category"] == "Build"


async def test_another_projects_workload_reads_as_absent_on_every_route(site: Site) -> None:
    workload_id = await create(site)
    document = (await site.client.get("/openapi.json")).json()
    period = "metricType=THROUGHPUT&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z"
    revision = (await call(site, "GET", f"/workloads/inferences/{workload_id}/revisions")).json()[
        "revisions"
    ][0]["id"]
    tried = 0
    for path, methods in document["paths"].items():
        if "{workload_id}" not in path and "{revision_id}" not in path:
            continue
        url = (
            path.replace("{workload_id}", workload_id)
            .replace("{revision_id}", revision)
            .replace("{pod_id}", REPLICA)
        )
        for method in methods:
            answer = await call(site, method.upper(), f"{url.removeprefix('/api/v1')}?{period}", TEAM_KEY, {})
            assert (answer.status_code, answer.json()["code"]) == (404, 404), (method, path)
            tried += 1
    assert tried >= 17
    assert (await call(site, "GET", "/workloads", TEAM_KEY)).json() == {"workloads": []}
    assert (await call(site, "GET", "/workloads/count", TEAM_KEY)).json() == {"count": 0}
    projects = (await call(site, "GET", "/org-unit/projects", TEAM_KEY)).json()["projects"]
    assert [each["name"] for each in projects] == ["team"]
    taken = await call(site, "POST", "/workloads/batch", TEAM_KEY, {"ids": [workload_id], "action": "delete"})
    assert [each["code"] for each in taken.json()["failed"]] == [404]
    refused = await call(site, "POST", "/workloads/inferences", TEAM_KEY, BODY)
    assert refused.json()["complianceIssues"][0]["field"] == "projectId"


async def test_a_key_that_may_only_read_changes_nothing(site: Site) -> None:
    workload_id = await create(site)
    for method, path, json in (
        ("POST", "/workloads/inferences", BODY),
        ("PATCH", f"/workloads/inferences/{workload_id}", {}),
        ("DELETE", f"/workloads/inferences/{workload_id}", None),
        ("POST", "/workloads/batch", {"ids": [], "action": "delete"}),
    ):
        answer = await call(site, method, path, READ_KEY, json)
        assert (answer.status_code, answer.json()["code"]) == (403, 403)


async def test_a_name_is_no_id_here(site: Site) -> None:
    await create(site)
    for path in ("/workloads/inferences/demo", "/workloads/demo", "/workloads/demo/pods"):
        assert (await call(site, "GET", path)).status_code == 404
    looks_like_an_id = "01939e00-0000-7000-8000-00000000beef"
    await create(site, name=looks_like_an_id)
    assert (await call(site, "GET", f"/workloads/{looks_like_an_id}")).status_code == 404


async def test_an_id_is_the_same_however_it_is_written(site: Site) -> None:
    workload_id = await create(site)
    for written in (workload_id.upper(), workload_id.replace("-", "")):
        assert (await call(site, "GET", f"/workloads/{written}")).json()["id"] == workload_id


async def test_lists_are_filtered_sorted_and_paged(site: Site) -> None:
    for name, priority in (("a1", "low"), ("busy", "high"), ("a3", "medium")):
        await create(site, name=name, spec={"priorityClass": priority})

    async def names(query: str) -> list[str]:
        rows = (await call(site, "GET", f"/workloads?{query}")).json()["workloads"]
        return [row["name"] for row in rows]

    assert await names("") == ["a3", "busy", "a1"]
    assert await names("sortBy=name") == ["a1", "a3", "busy"]
    assert await names("sortBy=priority&sortOrder=desc") == ["busy", "a3", "a1"]
    assert await names("filterBy=type%3D%3DInference%2Cname%3D%5Ea&sortBy=name") == ["a1", "a3"]
    assert await names("filterBy=type%3D%3DTraining") == []
    assert await names("filterBy=priority%3E%3D80&sortBy=name") == ["a3", "busy"]
    assert await names("search=USY") == ["busy"]
    first = (await call(site, "GET", "/workloads?sortBy=name&limit=2")).json()
    second = (await call(site, "GET", f"/workloads?sortBy=name&limit=2&offset={first['next']}")).json()
    assert [[row["name"] for row in page["workloads"]] for page in (first, second)] == [
        ["a1", "a3"],
        ["busy"],
    ]
    assert "next" not in second


async def test_what_is_gone_is_listed_apart_and_keeps_its_date(site: Site) -> None:
    workload_id = await create(site)
    assert (await call(site, "DELETE", f"/workloads/inferences/{workload_id}")).json()["code"] == 202
    await happened(site, workload_id, JobDeleted(NOW))
    assert (await call(site, "GET", "/workloads/count")).json() == {"count": 0}
    (row,) = (await call(site, "GET", "/workloads?deleted=true")).json()["workloads"]
    found = (await call(site, "GET", f"/workloads/inferences/{workload_id}")).json()
    assert (row["id"], row["phase"], row["deletedAt"]) == (
        workload_id,
        "Deleting",
        NOW.isoformat().replace("+00:00", "Z"),
    )
    assert (found["desiredPhase"], found["deletedAt"]) == ("Deleted", row["deletedAt"])
    changed = await call(
        site, "PATCH", f"/workloads/inferences/{workload_id}", json={"spec": {"priorityClass": "low"}}
    )
    assert changed.status_code == 409


async def test_replicas_are_its_pods_and_those_that_ended_are_its_deleted_pods(site: Site) -> None:
    workload_id = await create(site)
    await happened(site, workload_id, scheduled(REPLICA), ready(REPLICA))
    (pod,) = (await call(site, "GET", f"/workloads/{workload_id}/pods")).json()["pods"]
    assert (pod["id"], pod["k8sPhase"], pod["nodeName"]) == (REPLICA, "Running", "local/node-a")
    assert (await call(site, "GET", f"/workloads/{workload_id}")).json()["runningPods"] == 1
    assert (
        await call(site, "GET", f"/workloads/pods/count?filterBy=workloadId%3D%3D{workload_id}")
    ).json() == {"count": 1}
    await happened(site, workload_id, draining(REPLICA), terminated(REPLICA))
    assert (await call(site, "GET", f"/workloads/{workload_id}/pods")).json() == {"pods": []}
    (gone,) = (await call(site, "GET", f"/workloads/{workload_id}/pods?deleted=true")).json()["pods"]
    assert (gone["id"], gone["k8sPhase"]) == (REPLICA, "Succeeded")


async def test_each_change_of_what_replicas_are_made_from_is_a_revision(site: Site) -> None:
    workload_id = await create(site)
    url = f"/workloads/inferences/{workload_id}"
    await happened(site, workload_id, scheduled(REPLICA), ready(REPLICA))
    await call(site, "PATCH", url, json={"spec": {"priorityClass": "low"}})
    await call(site, "PATCH", url, json={"spec": {"args": "--n_ctx 1024"}})
    new, old = (await call(site, "GET", f"{url}/revisions")).json()["revisions"]
    assert (await call(site, "GET", f"{url}/revisions/count")).json() == {"count": 2}
    assert ["--n_ctx 1024" in each["arguments"] for each in (new, old)] == [True, False]
    assert (old["phase"], old["runningPods"], new["runningPods"]) == ("Terminating", 1, 0)
    assert (await call(site, "GET", f"/workloads/inferences/revisions/{old['id']}")).json() == old
    pods = (await call(site, "GET", f"/workloads/inferences/revisions/{old['id']}/pods")).json()["pods"]
    assert [(pod["id"], pod["revisionId"]) for pod in pods] == [(REPLICA, old["id"])]
    events = (await call(site, "GET", f"/workloads/inferences/revisions/{new['id']}/events")).json()["events"]
    assert [event["reason"] for event in events] == ["JobUpdated"]
    await happened(site, workload_id, draining(REPLICA))
    events = (await call(site, "GET", f"/workloads/inferences/revisions/{old['id']}/events?limit=1")).json()[
        "events"
    ]
    assert [event["reason"] for event in events] == ["ReplicaDraining"]
    assert (await call(site, "GET", f"{url}/revisions?deleted=true")).json() == {"revisions": []}


async def test_the_history_tells_events_and_phases_newest_first(site: Site) -> None:
    workload_id = await create(site)
    await happened(site, workload_id, scheduled(REPLICA), ready(REPLICA))
    events = (await call(site, "GET", f"/workloads/{workload_id}/events?limit=2")).json()
    assert ([event["reason"] for event in events["events"]], events["next"]) == (
        ["ReplicaReady", "ReplicaScheduled"],
        2,
    )
    oldest = (await call(site, "GET", f"/workloads/{workload_id}/events?sortOrder=asc&limit=1")).json()[
        "events"
    ]
    assert [event["reason"] for event in oldest] == ["JobCreated"]
    records = (await call(site, "GET", f"/workloads/{workload_id}/history")).json()["records"]
    told = [
        each["spec"]["phaseUpdate"]["phase"]
        if each["meta"]["type"] == "PhaseUpdate"
        else each["spec"]["event"]["reason"]
        for each in records
    ]
    assert told == ["Running", "ReplicaReady", "Initializing", "ReplicaScheduled", "Creating", "JobCreated"]


async def test_a_batch_does_what_it_can_and_tells_the_rest(site: Site) -> None:
    workload_id = await create(site)
    nobody = "01939e00-0000-7000-8000-00000000dead"
    answer = await call(
        site, "POST", "/workloads/batch", json={"ids": [workload_id, nobody], "action": "suspend"}
    )
    result = answer.json()
    assert (answer.status_code, result["succeeded"]) == (200, [workload_id])
    assert [(each["id"], each["code"]) for each in result["failed"]] == [(nobody, 404)]
    found = (await call(site, "GET", f"/workloads/inferences/{workload_id}")).json()
    assert found["desiredPhase"] == "Stopped"
    too_soon = await call(site, "POST", "/workloads/batch", json={"ids": [workload_id], "action": "resume"})
    assert [each["code"] for each in too_soon.json()["failed"]] == [409]
    too_many = await call(site, "POST", "/workloads/batch", json={"ids": [nobody] * 101, "action": "delete"})
    assert too_many.status_code == 400
