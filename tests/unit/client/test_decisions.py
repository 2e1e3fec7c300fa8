"""What the clients share: connections, retries, reading of answers, the end of a wait."""

import json
import random

import pytest
from pydantic import SecretStr, ValidationError

from hostler_client import (
    ApiError,
    Connection,
    NewJob,
    NewScaling,
    NotConfigured,
    RetryPolicy,
    Unavailable,
    Unreachable,
    jobs_api,
)
from hostler_client.connection import base_url, from_environment, is_loopback
from hostler_client.jobs_api import Reply, UnreadableAnswer
from hostler_client.models import Job
from hostler_client.retrying import Again, Done, NoReply, decide
from tests.support.builders import running_job

POLICY = RetryPolicy(attempts=3, first_delay_seconds=1.0, delay_seconds_max=4.0)
CALL = jobs_api.delete("demo")


def reply(status: int, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


@pytest.mark.parametrize(
    ("outcome", "attempt", "lowest", "highest"),
    [
        pytest.param(NoReply("reset"), 1, 0.5, 1.0, id="no reply"),
        pytest.param(NoReply("reset"), 2, 1.0, 2.0, id="the second delay is twice the first"),
        pytest.param(reply(502), 1, 0.5, 1.0, id="a proxy without its server"),
        pytest.param(reply(503, retry_after="3"), 1, 3.0, 3.0, id="the api says how long"),
        pytest.param(reply(504, retry_after="Wed, 21 Oct"), 1, 0.5, 1.0, id="a date is passed over"),
    ],
)
def test_what_may_help_is_tried_again(
    outcome: Reply | NoReply, attempt: int, lowest: float, highest: float
) -> None:
    for seed in range(20):
        decision = decide(CALL, outcome, attempt=attempt, policy=POLICY, rng=random.Random(seed))
        assert isinstance(decision, Again)
        assert lowest <= decision.delay_seconds <= highest


@pytest.mark.parametrize(
    ("outcome", "attempt", "error"),
    [
        pytest.param(NoReply("reset"), 3, Unreachable, id="often enough without a reply"),
        pytest.param(reply(503), 3, Unavailable, id="often enough unavailable"),
        pytest.param(reply(503, retry_after="60"), 1, Unavailable, id="more patience asked than there is"),
        pytest.param(reply(500), 1, ApiError, id="a fault inside"),
        pytest.param(reply(307), 1, ApiError, id="a redirect, which could lead the key elsewhere"),
    ],
)
def test_what_can_not_help_is_given_up(
    outcome: Reply | NoReply, attempt: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        decide(CALL, outcome, attempt=attempt, policy=POLICY, rng=random.Random(1))


def test_a_good_answer_is_read() -> None:
    call = jobs_api.Call("GET", "/", json.loads)
    assert decide(call, Reply(200, {}, b"[1]"), attempt=1, policy=POLICY, rng=random.Random(1)) == Done([1])


def test_an_answer_of_something_else_is_not_taken_for_a_job() -> None:
    with pytest.raises(UnreadableAnswer, match="no Job of Hostler's API"):
        CALL.read(b"<html>")


@pytest.mark.parametrize(
    ("body", "content_type", "title"),
    [
        pytest.param(b"<html>Bad Gateway", "text/html", "unexpected answer", id="a page of a proxy"),
        pytest.param(b"{", "application/json", "unexpected answer", id="broken json"),
        pytest.param(b"[]", "application/json", "unexpected answer", id="no object"),
        pytest.param(b'{"title": "No"}', "application/problem+json", "No", id="a problem"),
    ],
)
def test_any_refusal_becomes_an_error_with_the_id_of_its_request(
    body: bytes, content_type: str, title: str
) -> None:
    error = jobs_api.problem(Reply(418, {"content-type": content_type, "x-request-id": "r-9"}, body))
    assert (error.status, error.title, error.request_id) == (418, title, "r-9")


def test_a_token_is_sent_and_shown_nowhere_else() -> None:
    job = NewJob(model="a/b", hf_token=SecretStr("hf_secret"), scaling=NewScaling(min_replicas=2))
    call = jobs_api.create(job, idempotency_key="k")
    assert call.body is not None
    assert json.loads(call.body) == {"model": "a/b", "hf_token": "hf_secret", "scaling": {"min_replicas": 2}}
    assert "hf_secret" not in f"{job!r} {call!r} {job.model_dump_json()}"


def test_a_mistyped_field_of_a_request_fails_where_it_was_written() -> None:
    with pytest.raises(ValidationError, match="min_replica"):
        NewScaling.model_validate({"min_replica": 1})


def test_words_of_a_newer_api_break_nothing_and_are_kept() -> None:
    from hostler_api.documents import job_document
    from hostler_bus.job_log import JobEntry

    document = json.loads(job_document(JobEntry(running_job(), 7)).model_dump_json())
    document["status"]["phase"] = "Hibernating"
    document["mood"] = "good"
    job = Job.model_validate(document)
    assert (job.phase, job.revision, job.status.ready_replicas) == ("Hibernating", 7, 1)
    assert job.model_dump(mode="json")["mood"] == "good"


def test_the_environment_makes_a_connection_that_shows_no_key() -> None:
    connection = from_environment(
        {"HOSTLER_API_URL": "http://h:1/v1/", "HOSTLER_API_KEY": "hsk_x\n", "HOSTLER_ROUTER_URL": "https://r"}
    )
    assert connection == Connection("http://h:1", "hsk_x", "https://r")
    assert "hsk_x" not in repr(connection)


@pytest.mark.parametrize("variables", [{}, {"HOSTLER_API_URL": "h:1"}], ids=["nothing set", "no address"])
def test_an_environment_that_says_too_little_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(NotConfigured, match="HOSTLER_API_URL"):
        from_environment(variables)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h", "http://h"),
        ("http://h/", "http://h"),
        ("http://h:8/v1", "http://h:8"),
        ("https://h/x/v1/", "https://h/x"),
    ],
)
def test_an_address_may_end_as_people_write_it(url: str, base: str) -> None:
    assert base_url(url, "here") == base


def test_only_this_machine_is_loopback() -> None:
    assert [
        is_loopback(f"http://{host}:1")
        for host in ("127.0.0.1", "[::1]", "localhost", "localhost.evil", "10.0.0.1")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]
