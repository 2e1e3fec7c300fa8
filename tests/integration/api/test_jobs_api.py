"""The native API: what is answered, what is appended, what is refused and how."""

import asyncio
import json

import pytest

from hostler_bus.errors import BusUnavailable
from hostler_bus.job_log import JobEntry
from hostler_contracts import subjects
from hostler_domain.changes import JobDeleted
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.support.builders import MODEL, NOW, scheduled

DEMO = {"model": MODEL, "name": "demo"}


async def test_a_created_job_is_accepted_located_and_readable_at_once(site: Site) -> None:
    answer = await site.post(DEMO)
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job['job_id']}")
    assert job["status"]["phase"] == "Creating"
    assert answer.headers["ETag"] == f'"{job["revision"]}"'
    read = await site.get(answer.headers["Location"])
    assert read.json() == job
    assert (await site.get("/v1/jobs/demo")).json() == job


async def test_a_job_that_the_projection_has_not_seen_is_read_from_the_log(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    site.jobs._jobs.clear()
    assert (await site.get(f"/v1/jobs/{job['job_id']}")).json()["name"] == "demo"


async def test_the_log_holds_the_creation_with_the_request_as_its_cause(site: Site) -> None:
    answer = await site.post(DEMO, **{"X-Request-Id": "my-request"})
    (event,) = (await site.get(f"/v1/jobs/{answer.json()['job_id']}/events")).json()["data"]
    assert (event["type"], event["correlationid"]) == ("dev.hostler.job.created.v1", "my-request")
    assert answer.headers["X-Request-Id"] == "my-request"


async def test_what_a_traced_request_did_is_part_of_its_trace(site: Site) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    traced = {"traceparent": parent, "tracestate": "rojo=1"}
    made = (await site.post(DEMO, **traced)).json()
    again = await site.post({**DEMO, "name": "other"}, traceparent="nonsense", tracestate="rojo=1")
    events = [
        (await site.get(f"/v1/jobs/{job_id}/events")).json()["data"][0]
        for job_id in (made["job_id"], again.json()["job_id"])
    ]
    assert (events[0]["traceparent"], events[0]["tracestate"]) == (parent, "rojo=1")
    assert not {"traceparent", "tracestate"} & set(events[1])


async def test_a_list_is_newest_first_and_comes_in_pages_that_show_each_job_once(site: Site) -> None:
    names = [f"job-{number}" for number in range(5)]
    for name in names:
        await site.post({"model": MODEL, "name": name})
    seen: list[str] = []
    after = ""
    while True:
        page = (await site.get(f"/v1/jobs?limit=2{after}")).json()
        seen += [job["name"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == names[::-1]


async def test_a_list_can_be_narrowed_by_phase_and_leaves_tombstones_out(site: Site) -> None:
    gone = (await site.post({"model": MODEL, "name": "gone"})).json()
    await site.post(DEMO)
    await site.delete("/v1/jobs/gone")
    entry = await site.log.find(gone["job_id"])
    assert entry is not None
    site.jobs.apply(await site.log.append(entry, JobDeleted(NOW)))
    assert [job["name"] for job in (await site.get("/v1/jobs")).json()["data"]] == ["demo"]
    everything = (await site.get("/v1/jobs?include_deleted=true")).json()["data"]
    assert [job["name"] for job in everything] == ["demo", "gone"]
    assert (await site.get("/v1/jobs?phase=Running")).json()["data"] == []


async def test_deleting_is_accepted_and_again_changes_nothing(site: Site) -> None:
    await site.post(DEMO)
    first, second = await site.delete("/v1/jobs/demo"), await site.delete("/v1/jobs/demo")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["status"]["phase"] == "Deleting"
    assert first.json()["revision"] == second.json()["revision"]


BAD = {
    "no model": ({}, ["model"]),
    "a model that is none": ({"model": "gpt2", "runtime": "vllm"}, ["model"]),
    "a field nobody knows": ({**DEMO, "replicas": 2}, ["replicas"]),
    "bounds the wrong way round": (
        {**DEMO, "scaling": {"min_replicas": 3, "max_replicas": 1}},
        ["scaling.max_replicas"],
    ),
    "not a number": ({**DEMO, "scaling": {"min_replicas": "many"}}, ["scaling.min_replicas"]),
    "a profile nobody has": ({**DEMO, "hardware_profile": "gpu.z9"}, ["hardware_profile"]),
    "two at once": ({**DEMO, "priority": 999, "gpu_count": -1}, ["gpu_count", "priority"]),
}


@pytest.mark.parametrize(("body", "fields"), BAD.values(), ids=BAD.keys())
async def test_a_bad_job_is_a_400_that_names_the_field_and_leaves_nothing(
    site: Site, body: dict[str, object], fields: list[str]
) -> None:
    answer = await site.post(body)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert [error["field"] for error in problem["errors"]][: len(fields)] == fields
    assert problem["errors"][0]["pointer"] == "/" + fields[0].replace(".", "/")
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert site.jobs.jobs == {}


async def test_what_is_not_json_is_a_400(site: Site) -> None:
    answer = await site.client.post(
        "/v1/jobs",
        content=b"{",
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


async def test_a_name_that_is_taken_is_a_conflict_and_free_again_after_the_deletion(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    assert (await site.post(DEMO)).status_code == 409
    await site.delete("/v1/jobs/demo")
    entry = await site.log.find(job["job_id"])
    assert entry is not None
    site.jobs.apply(await site.log.append(entry, JobDeleted(NOW)))
    assert (await site.post(DEMO)).status_code == 202


async def test_a_job_without_a_name_gets_one_from_its_model(site: Site) -> None:
    names = [(await site.post({"model": MODEL})).json()["name"] for _ in range(2)]
    assert names == ["smollm2-135m-instruct", "smollm2-135m-instruct-2"]


async def test_fifty_requests_with_one_idempotency_key_make_one_job(site: Site) -> None:
    answers = await asyncio.gather(*(site.post(DEMO, **{"Idempotency-Key": "once"}) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(site.jobs.jobs) == 1


async def test_a_key_that_comes_again_while_its_job_is_being_made_does_not_collide_with_its_own_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await site.post(DEMO, **{"Idempotency-Key": "once"})
    load = site.log.load
    # What the log said the moment before the first request appended, heard after the projection has its job.
    stale: list[JobEntry | None] = [None]

    async def late(project: str, job_id: str) -> JobEntry | None:
        return stale.pop() if stale else await load(project, job_id)

    monkeypatch.setattr(site.log, "load", late)
    second = await site.post(DEMO, **{"Idempotency-Key": "once"})

    assert (second.status_code, second.json()["job_id"]) == (202, first.json()["job_id"])


async def test_an_api_that_still_reads_what_is_stored_calls_no_key_unknown(site: Site) -> None:
    site.catalogues.keys.caught_up = False
    answer = await site.get("/v1/jobs")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


async def test_an_idempotency_key_with_another_request_is_refused(site: Site) -> None:
    await site.post(DEMO, **{"Idempotency-Key": "once"})
    answer = await site.post({**DEMO, "name": "other"}, **{"Idempotency-Key": "once"})
    assert answer.status_code == 422


async def test_a_claim_whose_job_was_never_made_is_fulfilled_by_the_next_try(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash, or an outage of NATS, between the claim and the append."""

    async def unavailable(*args: object, **kwargs: object) -> None:
        raise BusUnavailable("no answer from NATS")

    with monkeypatch.context() as outage:
        outage.setattr(site.log, "append", unavailable)
        first = await site.post(DEMO, **{"Idempotency-Key": "once"})
    assert (first.status_code, first.headers["Retry-After"]) == (503, "1")
    second, third = [await site.post(DEMO, **{"Idempotency-Key": "once"}) for _ in range(2)]
    assert (second.status_code, third.json()) == (202, second.json())


@pytest.mark.parametrize(
    ("key", "status"),
    [("", 401), ("hsk_wrong", 401), (ADMIN_KEY[:-1] + "!", 401)],
    ids=["none", "malformed", "bad checksum"],
)
async def test_a_caller_without_a_good_key_is_unauthorized(site: Site, key: str, status: int) -> None:
    answer = await site.get("/v1/jobs", key)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (status, "Bearer")
    assert "hsk_wrong" not in answer.text


async def test_a_key_without_the_scope_is_forbidden(site: Site) -> None:
    assert (await site.get("/v1/jobs", READ_KEY)).status_code == 200
    assert (await site.post(DEMO, READ_KEY)).status_code == 403


async def test_another_projects_job_does_not_exist(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    for path in (f"/v1/jobs/{job['job_id']}", f"/v1/jobs/{job['job_id']}/events", "/v1/jobs/demo"):
        assert (await site.get(path, TEAM_KEY)).status_code == 404
    assert (await site.delete(f"/v1/jobs/{job['job_id']}", TEAM_KEY)).status_code == 404
    assert (await site.get("/v1/jobs", TEAM_KEY)).json()["data"] == []


async def test_a_key_can_not_make_jobs_for_another_project(site: Site) -> None:
    assert (await site.post({**DEMO, "project": "default"}, TEAM_KEY)).status_code == 403
    assert (await site.post({**DEMO, "project": "team"}, TEAM_KEY)).json()["project"] == "team"


async def test_the_token_is_sealed_and_shows_nowhere(site: Site) -> None:
    answer = await site.post({**DEMO, "hf_token": "hf_canary"})
    job = answer.json()
    name = job["spec"]["hf_token_secret"]
    stored = await site.bus.bucket(subjects.BUCKET_SECRETS).get(name)
    assert stored is not None
    assert site.secret_key.open(name, stored.value) == "hf_canary"
    events = await site.get(f"/v1/jobs/{job['job_id']}/events")
    assert "hf_canary" not in answer.text + events.text + str(stored.value)


SERVERS: dict[str, object] = {
    "model": "their/model",
    "external": {"endpoints": ["http://gpu-1:8000/v1"], "api_key": "canary-key"},
}


async def test_the_key_of_adopted_servers_is_sealed_and_shows_nowhere(site: Site) -> None:
    answer = await site.post(SERVERS)
    job = answer.json()
    servers = job["spec"]["external"]
    assert (job["spec"]["runtime"], servers["endpoints"]) == ("external", ["http://gpu-1:8000"])
    stored = await site.bus.bucket(subjects.BUCKET_SECRETS).get(servers["api_key_secret"])
    assert stored is not None
    assert site.secret_key.open(servers["api_key_secret"], stored.value) == "canary-key"
    events = await site.get(f"/v1/jobs/{job['job_id']}/events")
    assert "canary-key" not in answer.text + events.text + str(stored.value)


async def test_a_change_of_a_job_that_adopts_servers_keeps_them(site: Site) -> None:
    job = (await site.post(SERVERS)).json()
    url = f"/v1/jobs/{job['job_id']}"
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    answer = await site.client.patch(url, json={"priority": 40}, headers=headers)
    assert (answer.status_code, answer.json()["spec"]["external"]) == (202, job["spec"]["external"])


async def test_only_an_admin_may_name_the_addresses_of_servers(site: Site) -> None:
    assert (await site.post(SERVERS, TEAM_KEY)).status_code == 403
    refused = await site.post({**SERVERS, "external": {"endpoints": ["http://169.254.169.254"]}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "external.endpoints.0")


async def test_every_route_but_the_probes_and_documents_needs_a_key(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()
    # A key comes in the body where a session token is to be had for it, and everybody may read what errors mean.
    open_to_all = {"/api/v1/token", "/problems/{slug}"}
    paths = {path: methods for path, methods in document["paths"].items() if path not in open_to_all}
    for path, methods in paths.items():
        for method in methods:
            url = path.replace("{job}", "demo")
            answer = await site.client.request(method.upper(), url, json=DEMO)
            assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/v1/jobs", 405)])
async def test_what_is_no_route_is_a_problem_too(site: Site, method: str, path: str, status: int) -> None:
    answer = await site.client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


async def test_the_type_of_a_problem_leads_to_a_page_about_it(site: Site) -> None:
    problem = (await site.get("/v1/jobs", "")).json()
    page = await site.client.get(problem["type"])
    assert (page.status_code, page.json()["title"]) == (200, problem["title"])
    assert (await site.client.get("/problems/nothing")).status_code == 404


async def read_stream(site: Site, path: str, **headers: str) -> list[dict[str, str]]:
    """Events of a stream that ends by itself."""
    answer = await site.get(path, Accept="text/event-stream", **headers)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]  # type: ignore[misc]  # "a: b" splits in two


async def test_events_stream_with_their_sequence_as_id_and_go_on_after_the_last_one(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    await site.delete("/v1/jobs/demo")
    path = f"/v1/jobs/{job['job_id']}/events?follow=false"
    first, second = await read_stream(site, path)
    assert (first["event"], second["event"]) == ("job.created", "job.delete_requested")
    assert json.loads(first["data"])["sequence"] == int(first["id"])
    assert await read_stream(site, path, **{"Last-Event-ID": first["id"]}) == [second]


async def test_a_followed_stream_ends_with_the_tombstone(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    reading = asyncio.create_task(read_stream(site, f"/v1/jobs/{job['job_id']}/events"))
    await site.delete("/v1/jobs/demo")
    entry = await site.log.find(job["job_id"])
    assert entry is not None
    await site.log.append(entry, JobDeleted(NOW))
    async with asyncio.timeout(5):
        names = [frame["event"] for frame in await reading]
    assert names == ["job.created", "job.delete_requested", "job.deleted"]


async def test_a_page_of_events_says_where_the_next_begins(site: Site) -> None:
    job = (await site.post(DEMO)).json()
    entry = await site.log.find(job["job_id"])
    assert entry is not None
    await site.log.append(entry, scheduled())
    page = (await site.get("/v1/jobs/demo/events?limit=1")).json()
    rest = (await site.get(f"/v1/jobs/demo/events?after={page['next']}")).json()
    assert [event["type"].split(".")[-2] for event in page["data"] + rest["data"]] == ["created", "scheduled"]
    assert (page["has_more"], rest["has_more"]) == (True, False)


async def test_a_bad_last_event_id_is_named(site: Site) -> None:
    await site.post(DEMO)
    answer = await site.get("/v1/jobs/demo/events", **{"Last-Event-ID": "yesterday"})
    assert [error["field"] for error in answer.json()["errors"]] == ["Last-Event-ID"]
