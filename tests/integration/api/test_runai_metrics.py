"""Metrics, logins and look-ups in Run:ai's form."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from hostler_api.history.shapes import SeriesName
from hostler_contracts import catalogue, subjects
from hostler_domain.api_keys import hash_key
from tests.integration.api.conftest import READ_KEY, TEAM_KEY, Site
from tests.integration.api.test_runai_dialect import BODY, REPLICA, call, create, happened
from tests.support.builders import ready, scheduled

PERIOD = "start=2026-11-21T00:00:00Z&end=2026-11-21T00:40:00Z"


async def test_metrics_are_texts_with_times_and_gaps_are_left_out(site: Site) -> None:
    workload_id = await create(site)
    site.history.values = {SeriesName.THROUGHPUT: [2.5, None, 0.0], SeriesName.LATENCY_P95: [120.0]}
    url = f"/workloads/inferences/{workload_id}/metrics?metricType=THROUGHPUT,LATENCY&{PERIOD}"
    answer = await call(site, "GET", f"{url}&numberOfSamples=4")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "measurements": [
                {
                    "type": "THROUGHPUT",
                    "labels": None,
                    "values": [
                        {"value": "2.5", "timestamp": "2026-11-21T00:10:00Z"},
                        {"value": "0", "timestamp": "2026-11-21T00:30:00Z"},
                    ],
                },
                {
                    "type": "LATENCY",
                    "labels": {"quantile": "0.95"},
                    "values": [{"value": "120", "timestamp": "2026-11-21T00:10:00Z"}],
                },
            ]
        },
    )
    await call(site, "GET", url)
    names = (SeriesName.THROUGHPUT, SeriesName.LATENCY_P95)
    assert site.history.asked == [(workload_id, None, names, 4), (workload_id, None, names, 20)]


async def test_metrics_come_as_a_table_where_one_is_asked_for(site: Site) -> None:
    workload_id = await create(site)
    site.history.values = {SeriesName.LATENCY_P95: [120.5]}
    url = f"/workloads/inferences/{workload_id}/metrics?metricType=LATENCY&{PERIOD}&numberOfSamples=1"
    answer = await call(site, "GET", url, Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert (
        answer.text == "type,labels,timestamp,value\nLATENCY,quantile=0.95,2026-11-21T00:40:00+00:00,120.5\n"
    )


async def test_what_can_not_be_had_is_partial_and_null_never_zero(site: Site) -> None:
    workload_id = await create(site)
    site.history.values = {SeriesName.REPLICAS_READY: [1.0] * 20}
    url = f"/workloads/{workload_id}/metrics?metricType=RUNNING_POD_COUNT,GPU_UTILIZATION&{PERIOD}"
    unmeasured = await call(site, "GET", url, Accept="text/csv")
    counted, utilization = unmeasured.json()["measurements"]
    assert (unmeasured.status_code, len(counted["values"]), utilization["values"]) == (207, 20, None)
    site.history.away = "the store is away"
    away = await call(site, "GET", url)
    assert away.status_code == 207
    assert [each["values"] for each in away.json()["measurements"]] == [None, None]


async def test_a_replicas_metrics_are_its_own_and_an_unknown_replica_is_absent(site: Site) -> None:
    workload_id = await create(site)
    await happened(site, workload_id, scheduled(REPLICA), ready(REPLICA))
    url = f"/workloads/inferences/{workload_id}/pods/{{}}/metrics?metricType=THROUGHPUT&{PERIOD}&numberOfSamples=0"
    answer = await call(site, "GET", url.format(REPLICA))
    assert (answer.status_code, answer.json()["measurements"][0]["values"]) == (200, [])
    other = await call(site, "GET", url.format("01939e00-0000-7000-8000-00000000dead"))
    assert other.status_code == 404
    of_pod = f"/workloads/{workload_id}/pods/{REPLICA}/metrics?metricType=NIM_NUM_REQUESTS_RUNNING&{PERIOD}"
    assert (await call(site, "GET", of_pod)).status_code == 200
    assert site.history.asked == [(workload_id, REPLICA, (SeriesName.IN_FLIGHT,), 20)]


async def login(site: Site, key: str) -> httpx2.Response:
    record = await site.bus.bucket(subjects.BUCKET_API_KEYS).get(hash_key(key))
    assert record is not None
    key_id = catalogue.API_KEYS.decode(record.value).key_id
    body = {"grantType": "app_token", "AppId": key_id, "AppSecret": key}
    return await site.client.post("/api/v1/token", json=body)


async def test_a_login_gives_a_token_that_stands_for_the_key_on_both_apis(site: Site) -> None:
    answer = await login(site, READ_KEY)
    token = answer.json()["accessToken"]
    assert (answer.status_code, answer.json()["expiresIn"]) == (200, 3600)
    assert (await call(site, "GET", "/workloads", token)).status_code == 200
    assert (await site.get("/v1/jobs", token)).status_code == 200
    assert (await call(site, "POST", "/workloads/inferences", token, BODY)).status_code == 403


async def test_revoking_the_key_ends_its_tokens(site: Site) -> None:
    token = (await login(site, TEAM_KEY)).json()["accessToken"]
    bucket = site.bus.bucket(subjects.BUCKET_API_KEYS)
    stored = await bucket.get(hash_key(TEAM_KEY))
    assert stored is not None
    record = catalogue.API_KEYS.decode(stored.value)
    revoked = record.model_copy(update={"revoked_at": datetime.now(UTC) - timedelta(seconds=1)})
    await bucket.put(record.key_hash, catalogue.API_KEYS.encode(revoked))

    async with asyncio.timeout(10):
        while (await call(site, "GET", "/workloads", token)).status_code != 401:  # noqa: ASYNC110  # the bucket tells nobody here
            await asyncio.sleep(0.01)


async def test_the_clients_look_ups_are_answered(site: Site) -> None:
    (cluster,) = (await call(site, "GET", "/clusters")).json()
    projects = (await call(site, "GET", "/org-unit/projects")).json()["projects"]
    (project,) = (each for each in projects if each["name"] == "default")
    workload_id = await create(site, projectId=project["id"], clusterId=cluster["uuid"])
    found = (await call(site, "GET", f"/workloads/inferences/{workload_id}")).json()
    assert (found["projectId"], found["clusterId"]) == (project["id"], cluster["uuid"])
    assert (await call(site, "GET", f"/clusters/{cluster['uuid']}")).json() == cluster
    assert (await call(site, "GET", f"/org-unit/projects/{project['id']}")).json() == project
    priorities = (await call(site, "GET", "/workload-priorities")).json()["priorities"]
    assert [each["value"] for each in priorities] == [25, 40, 65, 80, 90, 125, 150]
    (kind,) = (await call(site, "GET", "/workload-types")).json()["types"]
    assert (kind["name"], kind["priorityName"]) == ("Inference", "very-high")
    categories = (await call(site, "GET", "/workload-categories")).json()
    assert kind["categoryId"] in [each["id"] for each in categories]


async def test_telemetry_counts_workloads_in_groups(site: Site) -> None:
    await create(site, name="a")
    await create(site, name="b", spec={"category": "Build"})
    answer = await call(site, "GET", "/workloads/telemetry?telemetryType=WORKLOADS_COUNT&groupBy=Category")
    counted = {value["groups"][0]["value"]: value["value"] for value in answer.json()["values"]}
    assert counted == {"Deploy": "1", "Build": "1"}
    total = (await call(site, "GET", "/workloads/telemetry?telemetryType=GPU_ALLOCATION")).json()
    assert total["values"] == [{"value": "0", "groups": []}]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/workloads/inferences", 405)]
)
async def test_even_what_is_no_route_answers_in_the_dialects_form(
    site: Site, method: str, path: str, status: int
) -> None:
    answer = await call(site, method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/json"
    assert ("Allow" in answer.headers) is (status == 405)
