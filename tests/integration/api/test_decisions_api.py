"""`GET /v1/jobs/{job}/decisions`: who may read what, from when, page by page."""

from datetime import UTC, datetime, timedelta

from hostler_autoscaler.decision import ProposalKind
from hostler_autoscaler.observation import NoData
from hostler_autoscaler.records import Made, record_of
from hostler_contracts import subjects
from hostler_contracts.decisions import ScalingDecidedV1, encode_decision
from hostler_kit.ids import new_id
from tests.integration.api.conftest import READ_KEY, TEAM_KEY, Site
from tests.support.builders import JOB_ID, created, fold
from tests.support.decisions import made


async def a_job(site: Site) -> None:
    await site.log.execute("default", JOB_ID, lambda _: (created(),))
    assert fold(created()).job_id == JOB_ID


async def stored(site: Site, *decisions: Made, shadow: Made | None = None) -> None:
    for each in decisions:
        event = ScalingDecidedV1(
            id=new_id(),
            source="/hostler/autoscaler/test",
            subject=JOB_ID,
            time=each.observation.now,
            project="default",
            data=record_of(each, bounds=("held at 1",), shadow=shadow),
        )
        await site.bus.append(subjects.decisions("default", JOB_ID), encode_decision(event), msg_id=event.id)


async def test_decisions_come_oldest_first_with_their_inputs(site: Site) -> None:
    await a_job(site)
    now = datetime.now(UTC)
    up = made(now, replicas=3, reason="up from 1 to 3", kind=ProposalKind.BACKLOG)
    await stored(
        site, up, made(now, desired=3, replicas=3, load=NoData("none")), shadow=made(now, replicas=2)
    )
    answer = await site.get(f"/v1/jobs/{JOB_ID}/decisions", key=READ_KEY)
    assert answer.status_code == 200
    document = answer.json()
    assert (document["has_more"], document["next"]) == (False, None)
    first, second = document["data"]
    assert (first["previous_replicas"], first["replicas"], first["kind"]) == (1, 3, "up: backlog")
    assert first["reason"] == "up from 1 to 3"
    assert first["proposals"][0]["sentence"] == "backlog asks for 3"
    assert first["bounds"] == ["held at 1"]
    assert first["inputs"]["load"]["rps"] == 4.0
    assert first["scaling"]["max_replicas"] == 8
    assert first["shadow"]["replicas"] == 2
    assert second["inputs"]["load"] == {"reason": "none"}
    assert second["sequence"] > first["sequence"]


async def test_pages(site: Site) -> None:
    await a_job(site)
    await stored(site, *(made(reason=f"number {number}") for number in range(5)))
    path, reasons, after = f"/v1/jobs/{JOB_ID}/decisions?limit=2", [], ""
    for _ in range(3):
        page = (await site.get(path + after)).json()
        reasons.append([each["reason"] for each in page["data"]])
        after = f"&after={page['next']}"
    assert reasons == [["number 0", "number 1"], ["number 2", "number 3"], ["number 4"]]
    assert not page["has_more"]


async def test_only_from_a_moment_on(site: Site) -> None:
    await a_job(site)
    await stored(site, made())
    path = f"/v1/jobs/{JOB_ID}/decisions"
    ago, ahead = (
        (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat().replace("+", "%2B")
        for minutes in (-5, 5)
    )
    assert len((await site.get(f"{path}?since={ago}")).json()["data"]) == 1
    assert (await site.get(f"{path}?since={ahead}")).json()["data"] == []
    assert (await site.get(f"{path}?since=2026-11-21T12:00:00")).status_code == 400


async def test_a_job_of_others_has_none(site: Site) -> None:
    await a_job(site)
    await stored(site, made())
    assert (await site.get(f"/v1/jobs/{JOB_ID}/decisions", key=TEAM_KEY)).status_code == 404
    assert (await site.get(f"/v1/jobs/{JOB_ID}/decisions", key="")).status_code == 401


async def test_what_cannot_be_read_is_passed_over(site: Site) -> None:
    await a_job(site)
    await site.bus.append(subjects.decisions("default", JOB_ID), b"{", msg_id="poison")
    await stored(site, made())
    assert len((await site.get(f"/v1/jobs/{JOB_ID}/decisions")).json()["data"]) == 1
