"""What is put down about API keys: on the audit, as usage, and what a stream of events shows of it."""

from datetime import UTC, datetime, timedelta

import pytest

from hostler_api.access import Caller
from hostler_api.routes import _while_it_holds
from hostler_api.usage import UsageTotals
from hostler_api.usage_times import Granularity
from hostler_bus.errors import StreamFull
from hostler_bus.memory import MemoryBus
from hostler_bus.port import Appended
from hostler_contracts import subjects
from hostler_contracts.usage import encode_usage
from tests.integration.api.conftest import KEEPER_KEY, READ_KEY, Site
from tests.integration.api.test_keys_api import KEYS, READER, admin_of, made, works
from tests.support.builders import MODEL
from tests.support.eventually import eventually
from tests.support.usage import event, request


async def test_changes_of_keys_and_refused_logins_are_on_the_audit(site: Site) -> None:
    key = await made(site)
    await site.send("POST", f"{KEYS}/{key['key_id']}/rotate", {"overlap_seconds": 0})
    await site.send("DELETE", f"{KEYS}/{key['key_id']}")
    for _ in range(3):
        await works(site, key["secret"])
    await site.get("/v1/jobs", "not-a-key")
    await site.get("/v1/audit", READ_KEY)
    await site.refused.flush()
    page = (await site.get("/v1/audit")).json()["data"]
    assert [(each["action"], each["target"]) for each in page[::-1] if each["target"] == key["key_id"]] == [
        ("key.created", key["key_id"]),
        ("key.rotated", key["key_id"]),
        ("key.revoked", key["key_id"]),
        ("login.refused", key["key_id"]),
    ]
    refused = {
        (each["details"]["reason"], each["target"], each["count"])
        for each in page
        if each["action"] == "login.refused"
    }
    assert refused == {
        ("revoked", key["key_id"], 3),
        ("malformed", "", 1),
        ("scope", "key-of-default", 1),
    }
    only = (await site.get("/v1/audit?action=key.rotated&limit=1")).json()
    assert ([each["action"] for each in only["data"]], only["has_more"]) == (["key.rotated"], False)
    first = (await site.get("/v1/audit?limit=2")).json()
    second = (await site.get(f"/v1/audit?limit=2&before={first['next']}")).json()
    assert [each["sequence"] for each in first["data"] + second["data"]] == [
        each["sequence"] for each in page[:4]
    ]


async def test_usage_is_what_the_routers_put_down_by_key_and_time(site: Site) -> None:
    mine, other = await made(site), await made(site, project="team")
    now = datetime.now(UTC)
    for number, key in enumerate((mine, mine, other)):
        finished = request(now, usage_id=str(number), key_id=key["key_id"])
        batch = event(finished, event_id=f"e{number}")
        await site.bus.append(subjects.usage("default", "job-1"), encode_usage(batch), msg_id=batch.id)
    await site.bus.append(subjects.usage("default", "job-1"), b"{}", msg_id="poison")
    usage: UsageTotals = site.app.state.usage
    ids = (mine["key_id"], other["key_id"])
    soon = now + timedelta(hours=1)
    await eventually(
        lambda: sum(each.totals.requests for each in usage.between(ids, Granularity.DAY, now, soon)) == 3
    )
    answer = (await site.get(f"{KEYS}/{mine['key_id']}/usage?granularity=hour")).json()
    (bucket,) = answer["data"]
    assert datetime.fromisoformat(bucket["start"]) == now.replace(minute=0, second=0, microsecond=0)
    assert (bucket["requests"], bucket["prompt_tokens"], bucket["completion_tokens"]) == (2, 10, 4)
    everyone = (await site.get(f"{KEYS}/usage?granularity=month")).json()["data"]
    assert {(each["key_id"], each["requests"]) for each in everyone} == {
        (mine["key_id"], 2),
        (other["key_id"], 1),
    }
    seen = (await site.get(f"{KEYS}/usage", KEEPER_KEY)).json()["data"]
    assert {each["key_id"] for each in seen} == {other["key_id"]}


@pytest.mark.parametrize(
    "query", ["granularity=year", "start=yesterday", "start=2026-01-01T00:00:00", "end=0001-01-01T00:00:00Z"]
)
async def test_a_question_about_usage_that_makes_no_sense_is_refused(site: Site, query: str) -> None:
    assert (await site.get(f"{KEYS}/usage?{query}")).status_code == 400


async def test_what_can_not_be_put_on_the_audit_is_not_done(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await made(site)
    append = MemoryBus.append

    async def full(self: MemoryBus, subject: str, data: bytes, **options: object) -> Appended:
        if subject.startswith("hostler.audit."):
            raise StreamFull("no room")
        return await append(self, subject, data, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(MemoryBus, "append", full)
    path = f"{KEYS}/{key['key_id']}"
    for method, at_path, body in (
        ("POST", KEYS, READER | {"name": "unseen"}),
        ("POST", f"{path}/rotate", {"overlap_seconds": 0}),
        ("PATCH", path, {"name": "unseen"}),
        ("POST", f"{path}/revoke", None),
        ("POST", "/v1/projects", {"name": "unseen"}),
        ("PATCH", "/v1/projects/team", {"description": "unseen"}),
    ):
        assert (await site.send(method, at_path, body)).status_code == 503, at_path
    assert await works(site, key["secret"]) == 200
    for listed in (KEYS, "/v1/projects"):
        assert "unseen" not in (await site.get(f"{listed}?limit=500")).text


async def test_an_entry_of_the_audit_that_can_not_be_read_hides_no_other(site: Site) -> None:
    await made(site)
    await site.bus.append(subjects.audit("default", "key.created"), b"{}", msg_id="poison")
    await made(site)
    page = (await site.get("/v1/audit?action=key.created")).json()["data"]
    assert len(page) == 2


async def test_a_stream_of_events_shows_nothing_more_once_its_key_is_revoked(site: Site) -> None:
    """Frame by frame, because a client within the process sees an answer only when it is whole."""
    key = await made(site)
    job = (await site.post({"model": MODEL, "name": "demo"})).json()
    entry = await site.log.find(job["job_id"])
    assert entry is not None
    caller = Caller(site.keys.get(admin_of(site), key["key_id"]).latest, "request")
    frames = _while_it_holds(
        site.app.state.gate, caller, site.app.state.feed.stream(entry, after_seq=0, follow=True)
    )
    assert b"job.created" in await anext(frames)
    await site.send("POST", f"{KEYS}/{key['key_id']}/revoke")
    await site.delete("/v1/jobs/demo")
    assert await anext(frames, None) is None
