import pytest

from hostler_router.openai_errors import Refused
from hostler_router.wishes import Wishes, canonical, read_wishes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/openai/v1/chat/completions", "/v1/chat/completions", id="the alias"),
        pytest.param("/openai/v1/models/demo", "/v1/models/demo", id="and what hangs under it"),
        pytest.param("/v1/models", "/v1/models", id="the path itself"),
        pytest.param("/openai/healthz", "/openai/healthz", id="nothing else goes by it"),
        pytest.param("/openai/openai/v1/models", "/openai/openai/v1/models", id="nor twice"),
    ],
)
def test_one_route_has_two_paths(path: str, expected: str) -> None:
    assert canonical(path) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, Wishes(), id="nothing"),
        pytest.param({b"x-deployment-id": b" demo "}, Wishes(model="demo"), id="a job"),
        pytest.param({b"x-deployment-id": b" "}, Wishes(), id="an empty job is none"),
        pytest.param({b"x-timeout-s": b"30"}, Wishes(timeout_seconds=30), id="a time"),
        pytest.param({b"x-timeout-s": b"12.5"}, Wishes(timeout_seconds=12.5), id="a part of a second"),
        pytest.param({b"x-timeout-s": b"1"}, Wishes(timeout_seconds=10), id="too short is 10"),
        pytest.param({b"x-timeout-s": b"600"}, Wishes(timeout_seconds=60), id="too long is 60"),
        pytest.param({b"x-async": b"False"}, Wishes(), id="at once, said aloud"),
    ],
)
def test_headers_are_wishes(headers: dict[bytes, bytes], expected: Wishes) -> None:
    assert read_wishes(headers) == expected


@pytest.mark.parametrize(
    ("headers", "status", "code", "param"),
    [
        pytest.param({b"x-async": b"true"}, 501, "async_not_offered", "X-Async", id="async"),
        pytest.param({b"x-timeout-s": b"soon"}, 400, "invalid_value", "X-Timeout-S", id="no number"),
        pytest.param({b"x-timeout-s": b"nan"}, 400, "invalid_value", "X-Timeout-S", id="not a number"),
        pytest.param({b"x-timeout-s": b"-5"}, 400, "invalid_value", "X-Timeout-S", id="negative"),
        pytest.param(
            {b"x-deployment-id": b"x" * 513}, 400, "invalid_value", "X-Deployment-ID", id="too long"
        ),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    headers: dict[bytes, bytes], status: int, code: str, param: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read_wishes(headers)
    reply = refusal.value.reply
    assert (reply.status, reply.code, reply.param, reply.should_retry) == (status, code, param, False)


@pytest.mark.parametrize(
    ("asked", "job", "expected"),
    [
        pytest.param(None, 600, 600, id="the job's"),
        pytest.param(30.0, 600, 30, id="shorter"),
        pytest.param(60.0, 20, 20, id="never longer than the job's"),
    ],
)
def test_a_request_has_the_shorter_of_two_times(asked: float | None, job: float, expected: float) -> None:
    assert Wishes(timeout_seconds=asked).timeout_within(job) == expected
