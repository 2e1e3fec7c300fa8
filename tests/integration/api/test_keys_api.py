"""API keys over HTTP: who may make which, what is shown of them, and from when on they work no more."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hostler_api.access import Caller
from hostler_api.catalogues import Catalogues
from hostler_contracts import catalogue, subjects
from hostler_domain.api_keys import checksum_ok, hash_key
from tests.integration.api.conftest import ADMIN_KEY, KEEPER_KEY, TEAM_KEY, Site
from tests.support.builders import MODEL
from tests.support.eventually import eventually

KEYS = "/v1/api-keys"
READER = {"name": "ci", "scopes": ["jobs:read"]}


async def made(site: Site, key: str = ADMIN_KEY, **fields: object) -> dict[str, str]:
    answer = await site.send("POST", KEYS, READER | fields, key)
    assert answer.status_code == 201, answer.text
    document: dict[str, str] = answer.json()
    return document


async def works(site: Site, secret: str) -> int:
    return (await site.get("/v1/jobs", secret)).status_code


async def test_a_new_key_works_at_once_and_its_secret_is_in_that_answer_alone(site: Site) -> None:
    answer = await site.send("POST", KEYS, READER)
    document = answer.json()
    assert answer.headers["Location"] == f"{KEYS}/{document['key_id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    secret = document.pop("secret")
    assert checksum_ok(secret)
    assert await works(site, secret) == 200
    read = await site.get(f"{KEYS}/{document['key_id']}")
    assert (read.json(), document["status"], document["project"]) == (document, "active", "default")
    for text in (read.text, (await site.get(KEYS)).text, (await site.get("/v1/audit")).text):
        assert secret not in text
        assert hash_key(secret) not in text


async def test_what_is_stored_does_not_hold_the_secret(site: Site) -> None:
    secret = (await made(site))["secret"]
    bucket = site.bus.bucket(subjects.BUCKET_API_KEYS)
    stored = [entry.value for key in await bucket.keys() if (entry := await bucket.get(key)) is not None]
    assert len(stored) > 3
    assert not [value for value in stored if secret.encode() in value]


NOT_ALLOWED = {
    "a scope that the maker lacks": ({"scopes": ["jobs:write"]}, 400, "scopes"),
    "an admin's scope": ({"scopes": ["admin"]}, 400, "scopes"),
    "no scope": ({"scopes": []}, 400, "scopes"),
    "a scope nobody knows": ({"scopes": ["everything"]}, 400, "scopes.0"),
    "another project": ({"project": "default"}, 403, ""),
    "an end in the past": ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "expires_at"),
    "an end without a zone": ({"expires_at": "2099-01-01T00:00:00"}, 400, "expires_at"),
    "an empty name": ({"name": ""}, 400, "name"),
    "a name with a line break": ({"name": "a\nb"}, 400, "name"),
    "no job at all": ({"allowed_jobs": []}, 400, "allowed_jobs"),
    "a field nobody knows": ({"key_hash": "00"}, 400, "key_hash"),
    "a limit of nothing": ({"limits": {"concurrency": 0}}, 400, "limits.concurrency"),
    "a limit that is no number": (
        {"limits": {"requests_per_minute": "60"}},
        400,
        "limits.requests_per_minute",
    ),
    "a limit nobody knows": ({"limits": {"rpm": 60}}, 400, "limits.rpm"),
}


@pytest.mark.parametrize(("fields", "status", "field"), NOT_ALLOWED.values(), ids=NOT_ALLOWED)
async def test_a_key_that_would_be_wider_than_its_maker_is_refused_by_field(
    site: Site, fields: dict[str, object], status: int, field: str
) -> None:
    answer = await site.send("POST", KEYS, READER | fields, KEEPER_KEY)
    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])


async def test_only_an_admin_makes_keys_of_other_projects_and_only_of_such_as_exist(site: Site) -> None:
    assert (await made(site, project="team"))["project"] == "team"
    answer = await site.send("POST", KEYS, READER | {"project": "nowhere"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "project")


async def test_a_key_can_pass_on_neither_more_time_nor_more_jobs_than_it_has(site: Site) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    keeper = await made(
        site, scopes=["keys:write", "jobs:read"], expires_at=ends.isoformat(), allowed_jobs=["demo"]
    )
    later = (ends + timedelta(seconds=1)).isoformat()
    for fields, field in (
        ({"allowed_jobs": ["demo"]}, "expires_at"),
        ({"allowed_jobs": ["demo"], "expires_at": later}, "expires_at"),
        ({"allowed_jobs": ["demo", "other"], "expires_at": ends.isoformat()}, "allowed_jobs"),
    ):
        answer = await site.send("POST", KEYS, READER | fields, keeper["secret"])
        assert [each["field"] for each in answer.json()["errors"]] == [field]
    child = await made(site, keeper["secret"], expires_at=ends.isoformat())
    assert child["allowed_jobs"] == ["demo"]


async def test_a_key_for_some_jobs_sees_makes_and_changes_no_others(site: Site) -> None:
    mine, other = [
        (await site.post({"model": MODEL, "name": name})).json()["job_id"] for name in ("mine", "other")
    ]
    key = (await made(site, scopes=["jobs:read", "jobs:write"], allowed_jobs=["mine"]))["secret"]
    assert [job["job_id"] for job in (await site.get("/v1/jobs", key)).json()["data"]] == [mine]
    assert (await site.get(f"/v1/jobs/{mine}", key)).status_code == 200
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/stop"),
        ("GET", "/events"),
        ("GET", "/explain"),
    ):
        assert (await site.send(method, f"/v1/jobs/{other}{path}", key=key)).status_code == 404
    assert (await site.post({"model": MODEL, "name": "third"}, key)).status_code == 403
    by_id = (await made(site, allowed_jobs=[other]))["secret"]
    assert [job["job_id"] for job in (await site.get("/v1/jobs", by_id)).json()["data"]] == [other]


async def test_the_list_has_every_key_of_the_project_once_in_pages(site: Site) -> None:
    ids = [(await made(site, name=f"key {number}", project="team"))["key_id"] for number in range(5)]
    for sort, wanted in (("-created_at", ids[::-1]), ("created_at", ids)):
        seen: list[str] = []
        after = ""
        while True:
            page = (await site.get(f"{KEYS}?limit=2&sort={sort}{after}", KEEPER_KEY)).json()
            seen += [each["key_id"] for each in page["data"]]
            if not page["has_more"]:
                break
            after = f"&after={page['next']}"
        assert [key_id for key_id in seen if key_id in ids] == wanted
        assert len(set(seen)) == len(seen)
        assert {"key-of-team", "keeper-of-team"} < set(seen)


async def test_the_list_is_filtered_by_status(site: Site) -> None:
    active, revoked = (await made(site))["key_id"], (await made(site))["key_id"]
    expiring = await made(site, expires_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    await site.send("POST", f"{KEYS}/{revoked}/revoke")

    async def listed(status: str) -> set[str]:
        page = (await site.get(f"{KEYS}?status={status}&limit=500")).json()
        return {each["key_id"] for each in page["data"]} & {active, revoked, expiring["key_id"]}

    # One second, because an end in the past is refused and the api runs on the machine's clock.
    await eventually(lambda: datetime.now(UTC) > datetime.fromisoformat(expiring["expires_at"]))
    assert await listed("expired") == {expiring["key_id"]}
    assert await listed("active") == {active}
    assert await listed("revoked") == {revoked}
    assert await listed("all") == {active, revoked, expiring["key_id"]}
    assert await works(site, expiring["secret"]) == 401


async def test_a_revoked_key_works_no_more_and_stays_in_the_history(site: Site) -> None:
    key = await made(site)
    first = await site.send("POST", f"{KEYS}/{key['key_id']}/revoke")
    assert (first.json()["status"], await works(site, key["secret"])) == ("revoked", 401)
    again = await site.send("DELETE", f"{KEYS}/{key['key_id']}")
    assert again.json() == first.json()
    assert (await site.get(f"{KEYS}/{key['key_id']}")).json()["revoked_at"] is not None


async def test_after_a_rotation_both_secrets_work_for_the_overlap_and_then_the_new_one_alone(
    site: Site,
) -> None:
    key = await made(site)
    rotated = (await site.send("POST", f"{KEYS}/{key['key_id']}/rotate", {"overlap_seconds": 600})).json()
    assert (rotated["key_id"], rotated["secret"] == key["secret"]) == (key["key_id"], False)
    assert rotated["overlap_ends_at"] is not None
    assert (await works(site, key["secret"]), await works(site, rotated["secret"])) == (200, 200)
    third = (await site.send("POST", f"{KEYS}/{key['key_id']}/rotate", {"overlap_seconds": 0})).json()
    assert [await works(site, each["secret"]) for each in (key, rotated, third)] == [200, 401, 200]
    page = (await site.get(f"{KEYS}?limit=500")).json()
    assert [each["key_id"] for each in page["data"]].count(key["key_id"]) == 1
    await site.send("POST", f"{KEYS}/{key['key_id']}/revoke")
    assert [await works(site, each["secret"]) for each in (key, rotated, third)] == [401, 401, 401]


async def test_of_two_rotations_at_once_one_wins_and_the_other_leaves_no_secret_behind(site: Site) -> None:
    key = await made(site)
    path = f"{KEYS}/{key['key_id']}/rotate"
    answers = await asyncio.gather(*(site.send("POST", path, {"overlap_seconds": 0}) for _ in range(4)))
    won = [answer.json()["secret"] for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert won
    page = (await site.get(f"{KEYS}?limit=500")).json()["data"]
    assert [each["key_id"] for each in page].count(key["key_id"]) == 1
    assert [await works(site, secret) for secret in won].count(200) == 1
    records = [
        each for each in site.app.state.catalogues.keys.records.values() if each.key_id == key["key_id"]
    ]
    assert len(records) == 1 + len(won)


async def test_only_a_working_key_is_renamed_or_rotated_and_nothing_but_its_name_changes(site: Site) -> None:
    key = await made(site)
    path = f"{KEYS}/{key['key_id']}"
    assert (await site.send("PATCH", path, {"name": "other"})).json()["name"] == "other"
    assert (await site.send("PATCH", path, {"name": "other", "scopes": ["admin"]})).status_code == 400
    assert await works(site, key["secret"]) == 200
    await site.send("DELETE", path)
    assert (await site.send("PATCH", path, {"name": "third"})).status_code == 409
    assert (await site.send("POST", f"{path}/rotate", {})).status_code == 409


async def test_limits_are_set_changed_and_taken_away_as_a_merge_patch_says(site: Site) -> None:
    key = await made(site, limits={"requests_per_minute": 60, "concurrency": 2})
    path = f"{KEYS}/{key['key_id']}"
    assert key["limits"] == {"requests_per_minute": 60, "tokens_per_minute": None, "concurrency": 2}

    async def patched(limits: object) -> object:
        answer = await site.send("PATCH", path, {"limits": limits})
        assert answer.status_code == 200, answer.text
        assert answer.json()["name"] == key["name"]
        return answer.json()["limits"]

    assert await patched({"concurrency": None, "tokens_per_minute": 9}) == {
        "requests_per_minute": 60,
        "tokens_per_minute": 9,
        "concurrency": None,
    }
    assert await patched({"requests_per_minute": None, "tokens_per_minute": None}) is None
    assert await patched({"concurrency": 1}) == key["limits"] | {
        "requests_per_minute": None,
        "concurrency": 1,
    }
    assert await patched(None) is None
    refused = await site.send("PATCH", path, {"limits": {"tokens_per_minute": -1}, "name": "other"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "/limits/tokens_per_minute"
    assert (await site.get(path)).json()["name"] == key["name"]
    assert (await site.send("PATCH", path, {"name": None})).status_code == 400
    audit = (await site.get("/v1/audit")).json()["data"]
    said = [each["details"]["limits"] for each in audit if each["action"] == "key.limited"]
    assert said == [
        "none",
        "concurrency=1",
        "none",
        "requests_per_minute=60 tokens_per_minute=9",
    ]


async def test_limits_hold_for_every_secret_of_a_key(site: Site) -> None:
    key = await made(site)
    path = f"{KEYS}/{key['key_id']}"
    await site.send("POST", f"{path}/rotate", {"overlap_seconds": 600})
    await site.send("PATCH", path, {"limits": {"concurrency": 3}})
    records = site.app.state.catalogues.keys.records.values()
    assert [each.limits.concurrency for each in records if each.key_id == key["key_id"]] == [3, 3]


async def test_a_key_with_limits_passes_on_no_more_than_it_has(site: Site) -> None:
    keeper = await made(
        site,
        scopes=["keys:write", "keys:read", "jobs:read"],
        limits={"requests_per_minute": 60, "concurrency": 2},
    )
    free, secret = await made(site), keeper["secret"]
    child = await made(site, secret)
    assert child["limits"] == keeper["limits"]
    for limits, field in (
        ({"requests_per_minute": 61, "concurrency": 2}, "limits.requests_per_minute"),
        ({"requests_per_minute": 60}, "limits.concurrency"),
    ):
        answer = await site.send("POST", KEYS, READER | {"limits": limits}, secret)
        assert [each["field"] for each in answer.json()["errors"]] == [field]
    own = f"{KEYS}/{keeper['key_id']}"
    wider = await site.send("PATCH", own, {"limits": {"concurrency": None}}, secret)
    assert [each["pointer"] for each in wider.json()["errors"]] == ["/limits/concurrency"]
    assert (await site.send("PATCH", own, {"limits": {"concurrency": 1}}, secret)).status_code == 200
    # A key without limits may do more, so its secret is not to be had either.
    for verb in ("rotate", "revoke"):
        assert (await site.send("POST", f"{KEYS}/{free['key_id']}/{verb}", key=secret)).status_code == 403


async def test_nobody_takes_over_or_ends_a_key_that_may_do_more_than_the_own_one(site: Site) -> None:
    boss = await made(site, project="team", scopes=["admin"])
    writer = await made(site, project="team", scopes=["jobs:write"])
    for target in (boss, writer):
        for verb in ("rotate", "revoke"):
            answer = await site.send("POST", f"{KEYS}/{target['key_id']}/{verb}", key=KEEPER_KEY)
            assert answer.status_code == 403, answer.text
        assert await works(site, target["secret"]) in (200, 403)
    assert (await site.send("POST", f"{KEYS}/keeper-of-team/rotate", key=KEEPER_KEY)).status_code == 200


async def test_the_same_request_sent_twice_makes_one_key(site: Site) -> None:
    first = await site.send("POST", KEYS, READER, **{"Idempotency-Key": "once"})
    again = await site.send("POST", KEYS, READER, **{"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (201, 409)
    assert first.json()["key_id"] in again.json()["detail"]
    page = (await site.get(f"{KEYS}?limit=500")).json()
    assert [each["name"] for each in page["data"]].count("ci") == 1


async def test_the_last_use_is_shown_by_the_hour(site: Site) -> None:
    key = await made(site)
    assert key["last_used_at"] is None
    await works(site, key["secret"])
    await site.uses.flush()
    bucket = site.bus.bucket(subjects.BUCKET_KEY_USES)
    stored = await bucket.get(key["key_id"])
    assert stored is not None
    hour = catalogue.KEY_USES.decode(stored.value).used_at
    assert (hour.minute, hour.second) == (0, 0)

    uses = site.app.state.catalogues.key_uses
    await eventually(lambda: key["key_id"] in uses.records)
    shown = (await site.get(f"{KEYS}/{key['key_id']}")).json()["last_used_at"]
    assert datetime.fromisoformat(shown) == hour


async def test_a_session_stands_for_its_key_until_the_key_is_revoked(site: Site) -> None:
    key = await made(site)
    record = site.keys.get(admin_of(site), key["key_id"]).latest
    token, ends = site.keys.mint_session(record, 600)
    assert timedelta(seconds=598) < ends - datetime.now(UTC) <= timedelta(seconds=600)
    assert await works(site, token) == 200
    assert (await site.post({"model": MODEL}, token)).status_code == 403
    claim, _, signature = token.rpartition(".")
    # What else can be forged: tests/unit/api/test_sessions.py.
    for forged in (f"{claim}.{signature[:-1]}", f"{claim}.", "a.b.c", ".."):
        assert await works(site, forged) == 401
    await site.send("DELETE", f"{KEYS}/{key['key_id']}")
    assert await works(site, token) == 401


async def test_a_session_that_has_ended_opens_nothing(site: Site) -> None:
    key = await made(site)
    record = site.keys.get(admin_of(site), key["key_id"]).latest
    token, _ = site.keys.mint_session(record, 0)
    assert await works(site, token) == 401


async def test_a_key_of_another_project_does_not_exist(site: Site) -> None:
    key = await made(site)
    path = f"{KEYS}/{key['key_id']}"
    for method, end in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/revoke"),
        ("POST", "/rotate"),
        ("GET", "/usage"),
    ):
        assert (await site.send(method, path + end, key=KEEPER_KEY)).status_code == 404
    listed = (await site.get(f"{KEYS}?limit=500", KEEPER_KEY)).json()["data"]
    assert {each["project"] for each in listed} == {"team"}
    assert (await site.get(KEYS, TEAM_KEY)).status_code == 403


def admin_of(site: Site) -> Caller:
    """An admin, for asking the service itself."""
    catalogues: Catalogues = site.app.state.catalogues
    return Caller(
        next(each for each in catalogues.keys.records.values() if "admin" in each.scopes), "request"
    )
