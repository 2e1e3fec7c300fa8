"""Model masters and hardware profiles: who may change them, what is refused, and what a job takes from them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.support.builders import MODEL, ready, scheduled

MASTER = {
    "model": "acme/model-7b",
    "runtime": "vllm",
    "parameters": {
        "max-model-len": {"value": "8192"},
        "tool-call-parser": {"value": "hermes", "tunable": False},
    },
    "overrides": {"root_disk_gb": 80, "env": {"VLLM_LOGGING_LEVEL": "WARNING"}},
    "hardware_profile": "gpu.a100",
    "gpu_count": 2,
    "context_length_tokens": 8192,
}
PROFILE = {
    "name": "gpu.b200",
    "gpu_model": "B200",
    "cpu_cores": 16,
    "memory_bytes": 2**37,
    "price_per_hour": 6,
}


async def test_a_job_is_prefilled_by_its_master_and_keeps_a_snapshot(site: Site) -> None:
    made = await site.send("POST", "/v1/model-masters", MASTER)
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/v1/model-masters/acme/model-7b"
    job = (await site.post({"model": "acme/model-7b", "name": "one", "serving": {"env": {"A": "b"}}})).json()
    spec = job["spec"]
    assert (spec["runtime"], spec["hardware_profile"], spec["gpu_count"]) == ("vllm", "gpu.a100", 2)
    assert spec["serving"]["args"] == {"max-model-len": "8192", "tool-call-parser": "hermes"}
    assert spec["serving"]["env"] == {"VLLM_LOGGING_LEVEL": "WARNING", "A": "b"}
    assert spec["root_disk_gb"] == 80
    changed = {**MASTER, "overrides": {"root_disk_gb": 10}}
    changed.pop("model")
    assert (await site.send("PUT", "/v1/model-masters/acme/model-7b", changed)).status_code == 200
    assert (await site.get(f"/v1/jobs/{job['job_id']}")).json()["spec"]["root_disk_gb"] == 80
    later = (await site.post({"model": "acme/model-7b", "name": "two"})).json()
    assert later["spec"]["root_disk_gb"] == 10


async def test_a_fixed_parameter_refuses_a_change_and_a_tunable_one_takes_it(site: Site) -> None:
    await site.send("POST", "/v1/model-masters", MASTER)
    fixed = await site.post({"model": "acme/model-7b", "serving": {"args": {"tool-call-parser": "openai"}}})
    assert fixed.status_code == 400
    (error,) = fixed.json()["errors"]
    assert error["field"] == "serving.args.tool-call-parser"
    assert "fixed at 'hermes'" in error["message"]
    tuned = await site.post({"model": "acme/model-7b", "serving": {"args": {"max-model-len": "4096"}}})
    assert tuned.json()["spec"]["serving"]["args"]["max-model-len"] == "4096"


async def test_the_same_again_changes_nothing_and_an_old_etag_is_refused(site: Site) -> None:
    path = "/v1/hardware-profiles/gpu.b200"
    body = {key: value for key, value in PROFILE.items() if key != "name"}
    first = await site.send("PUT", path, body)
    assert first.status_code == 201
    again = await site.send("PUT", path, body)
    assert (again.status_code, again.headers["ETag"]) == (200, first.headers["ETag"])
    dearer = await site.send(
        "PUT", path, {**body, "price_per_hour": 7}, **{"If-Match": first.headers["ETag"]}
    )
    assert dearer.json()["price_per_hour"] == 7
    stale = await site.send("PUT", path, body, **{"If-Match": first.headers["ETag"]})
    assert stale.status_code == 412
    assert (await site.send("DELETE", path, None, **{"If-Match": first.headers["ETag"]})).status_code == 412
    assert (await site.send("DELETE", path)).status_code == 204
    assert (await site.get(path)).status_code == 404


async def test_one_of_the_same_name_is_a_conflict(site: Site) -> None:
    assert (await site.send("POST", "/v1/hardware-profiles", PROFILE)).status_code == 201
    assert (await site.send("POST", "/v1/hardware-profiles", PROFILE)).status_code == 409
    assert (await site.send("POST", "/v1/model-masters", {**MASTER, "model": MODEL})).status_code == 409


async def test_a_profile_that_is_asked_for_stays(site: Site) -> None:
    await site.post({"model": MODEL, "name": "demo"})
    refused = await site.delete("/v1/hardware-profiles/cpu.small")
    assert refused.status_code == 409
    assert "1 jobs" in refused.json()["detail"]


async def test_lists_come_in_pages_by_name(site: Site) -> None:
    seen: list[str] = []
    after = ""
    while True:
        page = (await site.get(f"/v1/hardware-profiles?limit=2{after}", READ_KEY)).json()
        seen += [each["name"] for each in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(seen)
    assert "cpu.small" in seen
    masters = (await site.get("/v1/model-masters?limit=500", READ_KEY)).json()["data"]
    assert {"Qwen/Qwen3-32B", "nvidia/parakeet-tdt-0.6b-v3", MODEL} <= {each["model"] for each in masters}


@pytest.mark.parametrize("path", ["/v1/model-masters", "/v1/hardware-profiles"])
async def test_only_admins_change_catalogues(site: Site, path: str) -> None:
    assert (await site.send("POST", path, {}, TEAM_KEY)).status_code == 403
    assert (await site.get(path, TEAM_KEY)).status_code == 200


@pytest.mark.parametrize("name", ["nobody/knows", "a..b/c", "x y", "%2e%2e", "*"])
async def test_what_is_not_there_is_absent_whatever_it_is_called(site: Site, name: str) -> None:
    assert (await site.get(f"/v1/model-masters/{name}")).status_code == 404
    assert (await site.delete(f"/v1/model-masters/{name}")).status_code == 404


async def test_changes_are_on_the_audit(site: Site) -> None:
    await site.send("POST", "/v1/hardware-profiles", PROFILE)
    await site.delete("/v1/hardware-profiles/gpu.b200")
    entries = (await site.get("/v1/audit")).json()["data"]
    actions = [each["action"] for each in entries]
    assert actions[:2] == ["hardware_profile.deleted", "hardware_profile.created"]


async def test_scaling_by_hand_keeps_to_the_bounds(site: Site) -> None:
    job = (await site.post({"model": MODEL, "name": "demo", "scaling": {"max_replicas": 3}})).json()
    path = f"/v1/jobs/{job['job_id']}"
    scaled = await site.send("POST", f"{path}/scale", {"replicas": 2})
    assert (scaled.status_code, scaled.json()["status"]["desired_replicas"]) == (202, 2)
    refused = await site.send("POST", f"{path}/scale", {"replicas": 4})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "replicas")
    await site.send("POST", f"{path}/stop")
    assert (await site.send("POST", f"{path}/scale", {"replicas": 1})).status_code == 409


async def test_a_number_that_is_held_shows_until_when_and_an_owner_ends_it(site: Site) -> None:
    job = (await site.post({"model": MODEL, "name": "demo", "scaling": {"max_replicas": 3}})).json()
    path = f"/v1/jobs/{job['job_id']}"
    before = datetime.now(UTC)
    held = (await site.send("POST", f"{path}/scale", {"replicas": 2, "hold_seconds": 7200})).json()
    assert held["status"]["hold"]["replicas"] == 2
    until = datetime.fromisoformat(held["status"]["hold"]["until"])
    assert timedelta(seconds=7200) <= until - before < timedelta(seconds=7260)
    refused = await site.send("POST", f"{path}/scale", {"replicas": 2, "hold_seconds": 5})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "hold_seconds")
    again = (await site.send("POST", f"{path}/scale", {"replicas": 2})).json()
    assert (again["status"]["hold"], again["status"]["desired_replicas"]) == (None, 2)


async def test_the_windows_of_a_schedule_are_replaced_as_a_whole(site: Site) -> None:
    window = {
        "start": "0 8 * * 1-5",
        "duration_seconds": 36000,
        "time_zone": "Europe/Berlin",
        "min_replicas": 2,
    }
    body = {"model": MODEL, "name": "demo", "scaling": {"max_replicas": 3, "schedule": [window]}}
    job = (await site.post(body)).json()
    assert job["spec"]["scaling"]["schedule"] == [{**window, "max_replicas": None}]
    path = f"/v1/jobs/{job['job_id']}"
    kept = (await site.send("PATCH", path, {"scaling": {"max_replicas": 2}})).json()
    assert len(kept["spec"]["scaling"]["schedule"]) == 1
    refused = await site.send("PATCH", path, {"scaling": {"schedule": [{**window, "time_zone": "Mars"}]}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (
        400,
        "scaling.schedule.0.time_zone",
    )
    gone = (await site.send("PATCH", path, {"scaling": {"schedule": None}})).json()
    assert gone["spec"]["scaling"]["schedule"] == []


async def test_a_shadow_is_set_promoted_and_taken_away(site: Site) -> None:
    body = {"model": MODEL, "name": "demo", "target_rps": 5, "scaling": {"max_replicas": 3}}
    job = (await site.post(body)).json()
    path = f"/v1/jobs/{job['job_id']}"
    assert (await site.send("POST", f"{path}/shadow/promote")).status_code == 409
    shadow = {"targets": [{"metric": "throughput", "threshold": 2.5}], "stabilisation_window_seconds": 60}
    there = (await site.send("PATCH", path, {"scaling": {"shadow": shadow}})).json()
    assert there["spec"]["scaling"]["shadow"]["targets"][0]["threshold"] == 2.5
    assert there["spec"]["scaling"]["targets"][0]["threshold"] == 5
    assert there["generation"] == 1
    late = await site.send("POST", f"{path}/shadow/promote", **{"If-Match": f'"{job["revision"]}"'})
    assert late.status_code == 412
    promoted = (await site.send("POST", f"{path}/shadow/promote")).json()["spec"]["scaling"]
    assert (promoted["targets"][0]["threshold"], promoted["stabilisation_window_seconds"]) == (2.5, 60)
    assert promoted["shadow"] is None
    events = [each["type"] for each in (await site.get(f"{path}/events")).json()["data"]]
    assert events[-1] == "dev.hostler.job.updated.v1"
    await site.send("PATCH", path, {"scaling": {"shadow": {"mode": "target"}}})
    gone = (await site.send("PATCH", path, {"scaling": {"shadow": None}})).json()
    assert gone["spec"]["scaling"]["shadow"] is None


async def test_a_wait_ends_when_the_wish_is_fulfilled(site: Site) -> None:
    job = (await site.post({"model": MODEL, "name": "demo"})).json()
    path = f"/v1/jobs/{job['job_id']}/wait"
    waiting = asyncio.create_task(site.get(f"{path}?for=ready&timeout_seconds=20"))
    entry = site.jobs.get(job["job_id"])
    for change in (scheduled(), ready()):
        entry = await site.log.append(entry, change)
    answer = (await waiting).json()
    assert answer["reached"] is True
    assert [each["state"] for each in answer["job"]["status"]["replicas"]] == ["Ready"]
    replicas = (await site.get(f"/v1/jobs/{job['job_id']}/replicas")).json()["data"]
    assert [each["replica_id"] for each in replicas] == ["r1"]


async def test_a_wait_that_runs_out_says_that_nothing_was_reached(site: Site) -> None:
    job = (await site.post({"model": MODEL, "name": "demo"})).json()
    path = f"/v1/jobs/{job['job_id']}/wait"
    assert (await site.get(f"{path}?timeout_seconds=0")).json()["reached"] is False
    assert (await site.get(f"{path}?timeout_seconds=0.02")).json()["reached"] is False


async def test_a_wait_for_what_nobody_asked_for_ends_at_once(site: Site) -> None:
    job = (await site.post({"model": MODEL, "name": "demo"})).json()
    path = f"/v1/jobs/{job['job_id']}/wait"
    assert (await site.get(f"{path}?for=deleted&timeout_seconds=300")).json()["reached"] is False
    assert (await site.get(f"{path}?for=stopped&timeout_seconds=300")).json()["reached"] is False
    await site.send("POST", f"/v1/jobs/{job['job_id']}/stop")
    assert (await site.get(f"{path}?for=ready&timeout_seconds=300")).json()["reached"] is False


async def test_a_list_can_be_narrowed_by_model_and_labels(site: Site) -> None:
    await site.post({"model": MODEL, "name": "one", "labels": {"team": "a", "tier": "gold"}})
    await site.post({"model": MODEL, "name": "two", "labels": {"team": "a"}})
    await site.post({"model": "Qwen/Qwen3-8B", "name": "three", "labels": {"team": "b"}})

    async def names(query: str) -> list[str]:
        answer = await site.get(f"/v1/jobs?{query}", ADMIN_KEY)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["data"]]

    assert await names("label=team=a") == ["two", "one"]
    assert await names("label=team=a&label=tier=gold") == ["one"]
    assert await names("model=Qwen/Qwen3-8B") == ["three"]
    assert (await site.get("/v1/jobs?label=team")).status_code == 400
