"""What replicas wrote, over HTTP: asked of whoever acts for the cluster, refused where there is nobody or nothing."""

import pytest

from hostler_bus.errors import RequestTimeout
from hostler_contracts import subjects
from hostler_contracts.replica_logs import LogAnswer, LogQuestion
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.integration.api.test_lifecycle_api import DEMO, happens
from tests.support.builders import scheduled

PATH = "/v1/jobs/demo/replicas/r1/logs"


async def serve(site: Site, *answers: LogAnswer) -> list[LogQuestion]:
    """Stand in for the provisioner of the cluster `local`; gives the questions that it was asked."""
    asked: list[LogQuestion] = []

    async def answer(data: bytes) -> bytes:
        asked.append(LogQuestion.model_validate_json(data))
        return answers[len(asked) - 1].model_dump_json().encode()

    await site.bus.serve(subjects.provisioner_logs("local"), answer)
    return asked


@pytest.fixture
async def placed(site: Site) -> Site:
    await site.post(DEMO)
    await happens(site, scheduled())
    return site


async def test_the_last_lines_come_and_then_what_is_behind_them(placed: Site) -> None:
    asked = await serve(
        placed, LogAnswer(found=True, text="one\n", next=4), LogAnswer(found=True, next=4, ended=True)
    )
    first = await placed.get(f"{PATH}?tail=7", READ_KEY)
    second = await placed.get(f"{PATH}?after=4")

    assert first.json() == {"replica_id": "r1", "text": "one\n", "next": 4, "ended": False}
    assert second.json()["ended"]
    assert [(each.replica_id, each.tail_lines, each.after) for each in asked] == [
        ("r1", 7, None),
        ("r1", 200, 4),
    ]


async def test_without_a_provisioner_it_is_to_be_tried_again(placed: Site) -> None:
    answer = await placed.get(PATH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "provisioner of the cluster local" in answer.json()["detail"]


async def test_a_provisioner_that_is_silent_is_to_be_tried_again(
    placed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*args: object, **kwargs: object) -> bytes:
        raise RequestTimeout("no answer")

    monkeypatch.setattr(placed.bus, "request", silent)
    assert (await placed.get(PATH)).status_code == 503


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/jobs/demo/replicas/r2/logs", ADMIN_KEY, 404),
        ("/v1/jobs/demo/replicas/r1.x/logs", ADMIN_KEY, 404),
        ("/v1/jobs/other/replicas/r1/logs", ADMIN_KEY, 404),
        (PATH, TEAM_KEY, 404),
        (PATH, "", 401),
        (f"{PATH}?tail=-1", ADMIN_KEY, 400),
        (f"{PATH}?tail=99999", ADMIN_KEY, 400),
        (f"{PATH}?after=x", ADMIN_KEY, 400),
    ],
    ids=["replica", "odd-id", "job", "other-project", "no-key", "negative", "too-many", "no-number"],
)
async def test_what_is_not_there_or_not_allowed_is_never_asked_for(
    placed: Site, path: str, key: str, status: int
) -> None:
    asked = await serve(placed)
    assert (await placed.get(path, key)).status_code == status
    assert asked == []


async def test_a_log_that_is_gone_is_not_found(placed: Site) -> None:
    await serve(placed, LogAnswer(found=False))
    answer = await placed.get(PATH)
    assert answer.status_code == 404
    assert "not any more" in answer.json()["detail"]
