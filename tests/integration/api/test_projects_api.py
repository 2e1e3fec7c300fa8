"""Projects over HTTP: bounds that make sense, nothing without a home, nothing taken away that is lived in."""

from urllib.parse import quote

import pytest

from hostler_domain.changes import JobDeleted
from tests.integration.api.conftest import TEAM_KEY, Site
from tests.support.builders import MODEL, NOW

PROJECTS = "/v1/projects"


async def test_a_project_is_made_read_changed_and_deleted(site: Site) -> None:
    answer = await site.send(
        "POST", PROJECTS, {"name": "new", "description": "for tests", "gpu_quota": 2, "gpu_limit": 4}
    )
    project = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{PROJECTS}/new")
    assert (await site.get(f"{PROJECTS}/new")).json() == project
    changed = await site.send("PATCH", f"{PROJECTS}/new", {"gpu_quota": None, "gpu_limit": 8})
    assert changed.json() == project | {"gpu_quota": None, "gpu_limit": 8}
    assert (await site.delete(f"{PROJECTS}/new")).status_code == 204
    assert (await site.get(f"{PROJECTS}/new")).status_code == 404
    assert (await site.delete(f"{PROJECTS}/new")).status_code == 404
    actions = [each["action"] for each in (await site.get("/v1/audit?project=new")).json()["data"]]
    assert actions == ["project.deleted", "project.updated", "project.created"]


BAD = {
    "a name with capitals": ({"name": "New"}, "name"),
    "a name with a dot": ({"name": "a.b"}, "name"),
    "a wildcard": ({"name": "*"}, "name"),
    "a name of the platform's own": ({"name": "_none"}, "name"),
    "no name": ({}, "name"),
    "a quota below zero": ({"name": "new", "gpu_quota": -1}, "gpu_quota"),
    "a limit below zero": ({"name": "new", "gpu_limit": -1}, "gpu_limit"),
    "a quota above the limit": ({"name": "new", "gpu_quota": 5, "gpu_limit": 4}, "gpu_quota"),
    "half a GPU": ({"name": "new", "gpu_quota": 0.5}, "gpu_quota"),
    "a number beyond all": ({"name": "new", "gpu_limit": 10**30}, "gpu_limit"),
    "a limit of nothing": ({"name": "new", "limits": {"tokens_per_minute": 0}}, "limits.tokens_per_minute"),
    "a field nobody knows": ({"name": "new", "owner": "me"}, "owner"),
}


@pytest.mark.parametrize(("body", "field"), BAD.values(), ids=BAD)
async def test_a_project_that_makes_no_sense_is_refused_by_field(
    site: Site, body: dict[str, object], field: str
) -> None:
    answer = await site.send("POST", PROJECTS, body)
    assert answer.status_code == 400, answer.text
    assert {each["field"] for each in answer.json()["errors"]} == {field}
    assert (await site.get(f"{PROJECTS}/new")).status_code == 404


async def test_limits_of_a_project_change_as_a_merge_patch_says(site: Site) -> None:
    answer = await site.send("POST", PROJECTS, {"name": "new", "limits": {"requests_per_minute": 5}})
    limits = {"requests_per_minute": 5, "tokens_per_minute": None, "concurrency": None}
    assert answer.json()["limits"] == limits

    async def patched(fields: dict[str, object]) -> object:
        changed = await site.send("PATCH", f"{PROJECTS}/new", fields)
        assert changed.status_code == 200, changed.text
        return changed.json()["limits"]

    assert await patched({"limits": {"concurrency": 7}}) == limits | {"concurrency": 7}
    assert await patched({"description": "other"}) == limits | {"concurrency": 7}
    assert await patched({"limits": {"requests_per_minute": None}}) == limits | {
        "requests_per_minute": None,
        "concurrency": 7,
    }
    assert await patched({"limits": None}) is None


async def test_a_change_is_held_against_what_is_there(site: Site) -> None:
    await site.send("POST", PROJECTS, {"name": "new", "gpu_quota": 4})
    answer = await site.send("PATCH", f"{PROJECTS}/new", {"gpu_limit": 3})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "gpu_quota")


async def test_a_name_is_taken_once(site: Site) -> None:
    assert (await site.send("POST", PROJECTS, {"name": "team"})).status_code == 409


async def test_a_job_in_a_project_that_does_not_exist_is_refused_by_field(site: Site) -> None:
    answer = await site.post({"model": MODEL, "project": "nowhere"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "project")


@pytest.mark.parametrize("name", ["a b", "ä", "../default", "a.b", ">", "a\u0000b", "x" * 63, "Default"])
async def test_a_name_that_no_project_can_have_is_a_project_that_is_not_there(site: Site, name: str) -> None:
    for path, body in (
        ("/v1/jobs", {"model": MODEL, "project": name}),
        ("/v1/api-keys", {"name": "k", "project": name, "scopes": ["jobs:read"]}),
    ):
        answer = await site.send("POST", path, body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "project")
    for method, body in (("GET", None), ("PATCH", {"description": "d"}), ("DELETE", None)):
        answer = await site.send(method, f"{PROJECTS}/{quote(name, safe='')}", body)
        assert answer.status_code == 404, answer.text


async def test_a_project_with_a_living_job_stays(site: Site) -> None:
    await site.send("POST", PROJECTS, {"name": "new"})
    job = (await site.post({"model": MODEL, "project": "new"})).json()
    refused = await site.delete(f"{PROJECTS}/new")
    assert (refused.status_code, "1 jobs" in refused.json()["detail"]) == (409, True)
    await site.delete(f"/v1/jobs/{job['job_id']}")
    entry = await site.log.find(job["job_id"])
    assert entry is not None
    site.jobs.apply(await site.log.append(entry, JobDeleted(NOW)))
    assert (await site.delete(f"{PROJECTS}/new")).status_code == 204


async def test_a_project_with_a_working_key_stays(site: Site) -> None:
    await site.send("POST", PROJECTS, {"name": "new"})
    key = (
        await site.send("POST", "/v1/api-keys", {"name": "k", "project": "new", "scopes": ["jobs:read"]})
    ).json()
    assert (await site.delete(f"{PROJECTS}/new")).status_code == 409
    await site.delete(f"/v1/api-keys/{key['key_id']}")
    assert (await site.delete(f"{PROJECTS}/new")).status_code == 204


async def test_the_default_project_stays(site: Site) -> None:
    assert (await site.delete(f"{PROJECTS}/default")).status_code == 409


async def test_a_key_sees_its_own_project_and_changes_none(site: Site) -> None:
    await site.send("POST", PROJECTS, {"name": "new"})
    listed = (await site.get(PROJECTS, TEAM_KEY)).json()["data"]
    assert [each["name"] for each in listed] == ["team"]
    assert (await site.get(f"{PROJECTS}/new", TEAM_KEY)).status_code == 404
    assert (await site.send("PATCH", f"{PROJECTS}/team", {"gpu_quota": 9}, TEAM_KEY)).status_code == 403


async def test_the_list_comes_in_pages_by_name(site: Site) -> None:
    for name in ("b", "a", "c"):
        await site.send("POST", PROJECTS, {"name": name})
    first = (await site.get(f"{PROJECTS}?limit=3")).json()
    second = (await site.get(f"{PROJECTS}?limit=3&after={first['next']}")).json()
    assert [each["name"] for each in first["data"]] == ["a", "b", "c"]
    assert [each["name"] for each in second["data"]] == ["default", "team"]
    assert (first["has_more"], second["has_more"]) == (True, False)
