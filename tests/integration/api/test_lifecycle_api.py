"""Stop, resume, restart, update and explain over HTTP: what is appended, what is refused and how."""

import httpx2
import pytest

from hostler_domain.changes import Change, JobPending, JobScaled
from hostler_domain.lifecycle import FinishStop, decide_lifecycle
from hostler_domain.phases import PhaseReason
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, Site
from tests.support.builders import MODEL, NOW, ready, scheduled

DEMO = {"model": MODEL, "name": "demo", "scaling": {"min_replicas": 1, "max_replicas": 2}}


async def send(
    site: Site, method: str, path: str, body: object = None, key: str = ADMIN_KEY, **headers: str
) -> httpx2.Response:
    return await site.client.request(
        method, f"/v1/jobs/demo{path}", json=body, headers={"Authorization": f"Bearer {key}", **headers}
    )


async def happens(site: Site, *changes: Change) -> None:
    job = (await site.get("/v1/jobs/demo")).json()
    entry = await site.log.find(job["job_id"])
    for change in changes:
        entry = await site.log.append(entry, change)
    assert entry is not None
    site.jobs.apply(entry)


async def stopped(site: Site) -> None:
    await site.post(DEMO)
    await send(site, "POST", "/stop")
    entry = await site.log.find((await site.get("/v1/jobs/demo")).json()["job_id"])
    assert entry is not None
    await happens(site, *decide_lifecycle(entry.job, FinishStop(NOW)))


async def names(site: Site) -> list[str]:
    events = (await site.get("/v1/jobs/demo/events")).json()["data"]
    return [event["type"].removeprefix("dev.hostler.").removesuffix(".v1") for event in events]


async def test_stop_is_accepted_and_asking_again_changes_nothing(site: Site) -> None:
    await site.post(DEMO)
    answers = [await send(site, "POST", "/stop") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["status"]["desired_phase"] == "Stopped"
    assert await names(site) == ["job.created", "job.stop_requested"]


async def test_resume_waits_for_the_stop_and_then_starts_over(site: Site) -> None:
    await site.post(DEMO)
    await send(site, "POST", "/stop")
    too_early = await send(site, "POST", "/resume")
    assert (too_early.status_code, too_early.json()["type"]) == (409, "/problems/conflict")
    await happens(site, *decide_lifecycle((await _job(site)), FinishStop(NOW)))
    answer = await send(site, "POST", "/resume")
    assert (answer.status_code, answer.json()["status"]["phase"]) == (202, "Resuming")


async def _job(site: Site):  # type: ignore[no-untyped-def]  # the domain's job
    entry = await site.log.find((await site.get("/v1/jobs/demo")).json()["job_id"])
    assert entry is not None
    return entry.job


async def test_a_stopped_job_is_not_restarted_but_resumed(site: Site) -> None:
    await stopped(site)
    answer = await send(site, "POST", "/restart")
    assert answer.status_code == 409
    assert "resume" in answer.json()["detail"]


async def test_a_restart_of_a_generation_happens_once(site: Site) -> None:
    await site.post(DEMO)
    await happens(site, scheduled(), ready())
    answers = [await send(site, "POST", "/restart?of_generation=1") for _ in range(2)]
    assert [answer.json()["generation"] for answer in answers] == [2, 2]
    assert answers[0].json()["status"]["phase"] == "Updating"
    assert (await names(site)).count("job.restart_requested") == 1


async def test_new_bounds_keep_the_generation_and_bring_the_count_within(site: Site) -> None:
    await site.post(DEMO)
    answer = await send(site, "PATCH", "", {"scaling": {"min_replicas": 2, "max_replicas": 3}})
    job = answer.json()
    assert (answer.status_code, job["generation"], job["status"]["desired_replicas"]) == (202, 1, 2)
    assert job["spec"]["scaling"]["activation_replicas"] == 2


async def test_new_arguments_make_a_generation_and_null_brings_the_masters_back(site: Site) -> None:
    before = (await site.post(DEMO)).json()
    answer = await send(site, "PATCH", "", {"serving": {"args": {"n_ctx": "1024"}}})
    assert (answer.json()["generation"], answer.json()["spec"]["serving"]["args"]["n_ctx"]) == (2, "1024")
    back = await send(site, "PATCH", "", {"serving": {"args": {"n_ctx": None}}})
    assert back.json()["spec"] == before["spec"]


async def test_a_patch_that_changes_nothing_appends_nothing(site: Site) -> None:
    await site.post(DEMO)
    answer = await send(site, "PATCH", "", {"priority": 150, "labels": {"gone": None}})
    assert answer.status_code == 202
    assert await names(site) == ["job.created"]


async def test_if_match_refuses_what_somebody_overtook_but_not_what_is_done_already(site: Site) -> None:
    etag = (await site.post(DEMO)).headers["ETag"]
    first = await send(site, "PATCH", "", {"priority": 100}, **{"If-Match": etag})
    again = await send(site, "PATCH", "", {"priority": 100}, **{"If-Match": etag})
    other = await send(site, "PATCH", "", {"priority": 90}, **{"If-Match": etag})
    assert [each.status_code for each in (first, again, other)] == [202, 202, 412]
    assert other.json()["type"].endswith("/precondition-failed")
    assert (await send(site, "PATCH", "", {}, **{"If-Match": "rubbish"})).status_code == 400


CHOSEN = {
    "balancing": "session",
    "prefix_chars": 256,
    "session_header": "x-chat",
    "concurrency_per_replica": 64,
    "queue_max": 500,
    "queue_timeout_seconds": 30,
    "resume_streams": False,
    "extra_routes": ["rerank", "score"],
}


async def routing(site: Site) -> dict[str, object]:
    spec = (await site.get("/v1/jobs/demo")).json()["spec"]
    chosen: dict[str, object] = spec["routing"]
    return chosen


async def test_a_job_is_made_with_a_routing_and_shows_it(site: Site) -> None:
    answer = await site.post({**DEMO, "routing": CHOSEN})
    assert (answer.status_code, answer.json()["spec"]["routing"]) == (202, CHOSEN)
    assert await routing(site) == CHOSEN


async def test_a_patch_of_the_routing_changes_what_it_names_and_replaces_no_replica(site: Site) -> None:
    await site.post({**DEMO, "routing": CHOSEN})
    answer = await send(site, "PATCH", "", {"routing": {"queue_max": 0, "extra_routes": ["tokenize"]}})
    assert (answer.status_code, answer.json()["generation"]) == (202, 1)
    assert await routing(site) == {**CHOSEN, "queue_max": 0, "extra_routes": ["tokenize"]}


async def test_null_gives_each_choice_and_then_all_their_defaults_back(site: Site) -> None:
    await site.post(DEMO)
    default = await routing(site)
    for name in CHOSEN:
        await send(site, "PATCH", "", {"routing": CHOSEN})
        await send(site, "PATCH", "", {"routing": {name: None}})
        assert await routing(site) == {**CHOSEN, name: default[name]}
    await send(site, "PATCH", "", {"routing": None})
    assert await routing(site) == default


async def test_a_patch_of_something_else_keeps_the_routing(site: Site) -> None:
    await site.post({**DEMO, "routing": CHOSEN})
    await send(site, "PATCH", "", {"priority": 100})
    assert await routing(site) == CHOSEN


async def test_a_wrong_choice_is_pointed_at(site: Site) -> None:
    answer = await site.post({**DEMO, "routing": {"queue_max": -1, "extra_routes": ["rerank", "rerank"]}})
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/routing/queue_max",
        "/routing/extra_routes/1",
    ]


WRONG = {
    "unknown": ({"colour": "red"}, "colour"),
    "name": ({"name": "other"}, "name"),
    "model": ({"model": "a/b"}, "model"),
    "project": ({"project": "team"}, "project"),
    "bounds": ({"scaling": {"min_replicas": 3, "max_replicas": 1}}, "scaling.max_replicas"),
    "unknown bound": ({"scaling": {"replicas": 3}}, "scaling.replicas"),
    "profile": ({"hardware_profile": "gpu.none"}, "hardware_profile"),
    "rate": ({"target_rps": -1}, "target_rps"),
    "priority": ({"priority": 1000}, "priority"),
    "queue": ({"routing": {"queue_max": -1}}, "routing.queue_max"),
    "route": ({"routing": {"extra_routes": ["rerank", "files"]}}, "routing.extra_routes.1"),
    "argument": ({"serving": {"args": {"--x": "1"}}}, "serving.args.'--x'"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG.keys())
async def test_a_patch_that_makes_no_sense_is_400_and_names_the_field(
    site: Site, body: dict[str, object], field: str
) -> None:
    await site.post(DEMO)
    answer = await send(site, "PATCH", "", body)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert await names(site) == ["job.created"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/stop"), ("POST", "/resume"), ("POST", "/restart"), ("PATCH", "")],
)
async def test_a_key_that_only_reads_changes_nothing(site: Site, method: str, path: str) -> None:
    await site.post(DEMO)
    answer = await send(site, method, path, {} if method == "PATCH" else None, key=READ_KEY)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/stop"), ("POST", "/resume"), ("POST", "/restart"), ("PATCH", "")]
)
async def test_a_deleted_job_stays_deleted(site: Site, method: str, path: str) -> None:
    job = (await site.post(DEMO)).json()
    await site.delete("/v1/jobs/demo")
    answer = await site.client.request(
        method,
        f"/v1/jobs/{job['job_id']}{path}",
        json={"priority": 1} if method == "PATCH" else None,
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
    )
    assert answer.status_code == 409


async def test_explain_says_node_by_node_why_a_job_waits_and_what_comes_next(site: Site) -> None:
    await site.post(DEMO)
    detail = "local/a: needs 1 CPU cores, 0 free; local/b: has no GPU"
    await happens(site, JobPending(NOW, PhaseReason.NO_CAPACITY, detail))
    explained = (await send(site, "GET", "/explain", key=READ_KEY)).json()
    assert explained["phase_reason"] == "NoCapacity"
    assert explained["why"] == ["local/a: needs 1 CPU cores, 0 free", "local/b: has no GPU"]
    assert explained["next"] == ["a replica is placed as soon as a node has room"]


async def test_explain_shows_the_next_try_the_replicas_and_the_latest_scaling(site: Site) -> None:
    await site.post(DEMO)
    await happens(site, scheduled(), ready(), JobScaled(NOW, 1, 2, ("throughput: 14 rps",)))
    explained = (await send(site, "GET", "/explain")).json()
    (replica,) = explained["replicas"]
    assert (replica["state"], replica["node"], replica["outdated"]) == ("Ready", "local/node-a", False)
    assert explained["scaling"]["reasons"] == ["throughput: 14 rps"]


async def test_explain_of_a_start_that_backs_off_has_the_time_of_the_next_try(site: Site) -> None:
    await site.post(DEMO)
    detail = "next try at 2026-11-21T12:00:12Z: 1 start in a row failed"
    await happens(site, JobPending(NOW, PhaseReason.BACKING_OFF, detail))
    explained = (await send(site, "GET", "/explain")).json()
    assert explained["next"][0].startswith("next try at 2026-11-21T12:00:12Z;")
