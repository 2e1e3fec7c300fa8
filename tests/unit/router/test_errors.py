import json

import pytest

from hostler_router import openai_errors
from hostler_router.openai_errors import ErrorReply
from hostler_router.upstream_errors import normalised

EVERY_CONSTANT = {name: value for name, value in vars(openai_errors).items() if isinstance(value, ErrorReply)}


@pytest.mark.parametrize("reply", EVERY_CONSTANT.values(), ids=EVERY_CONSTANT.keys())
def test_every_error_has_all_four_keys_and_says_whether_to_retry(reply: ErrorReply) -> None:
    error = json.loads(reply.body())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["code"], str)
    headers = dict(reply.all_headers())
    assert headers[b"x-should-retry"] in (b"true", b"false")
    assert b"\n" not in reply.body()


def test_an_error_does_not_repeat_a_long_name_in_full() -> None:
    assert len(openai_errors.unknown_model("m" * 10_000).body()) < 500


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        pytest.param(
            400,
            {"error": {"message": "bad", "type": "BadRequestError", "param": "n", "code": 400}},
            (400, "bad", "invalid_request_error", None, "n", False),
            id="vllm's integer code",
        ),
        pytest.param(
            400,
            {"object": "error", "message": "bad", "type": "BadRequestError", "param": None, "code": 400},
            (400, "bad", "invalid_request_error", None, None, False),
            id="vllm's older shape",
        ),
        pytest.param(
            400,
            {"error": {"message": "This model's maximum context length is 8", "code": 400}},
            (
                400,
                "This model's maximum context length is 8",
                "invalid_request_error",
                "context_length_exceeded",
                None,
                False,
            ),
            id="vllm, prompt too long",
        ),
        pytest.param(
            400,
            {"error": {"message": "too long", "type": "exceed_context_size_error", "code": 400}},
            (400, "too long", "invalid_request_error", "context_length_exceeded", None, False),
            id="llama.cpp, prompt too long",
        ),
        pytest.param(
            404,
            {"detail": "Not Found"},
            (404, "Not Found", "invalid_request_error", None, None, False),
            id="fastapi",
        ),
        pytest.param(
            501,
            {"error": {"message": "no embeddings", "type": "not_supported_error", "code": 501}},
            (501, "no embeddings", "server_error", None, None, False),
            id="llama.cpp, not supported",
        ),
        pytest.param(500, "oops", (500, "oops", "server_error", None, None, True), id="plain text"),
        pytest.param(
            422,
            {"detail": [{"loc": ["body"]}]},
            (422, "The runtime answered with status 422.", "invalid_request_error", None, None, False),
            id="nothing readable",
        ),
        pytest.param(
            401,
            {"error": "Unauthorized"},
            (
                502,
                openai_errors.REPLICA_MISCONFIGURED.message,
                "server_error",
                "replica_misconfigured",
                None,
                False,
            ),
            id="the router's own key was refused",
        ),
        pytest.param(
            302,
            "",
            (
                502,
                openai_errors.REPLICA_MISCONFIGURED.message,
                "server_error",
                "replica_misconfigured",
                None,
                False,
            ),
            id="a redirect",
        ),
        pytest.param(
            503,
            {"error": {"message": "Loading model"}},
            (
                503,
                "No replica of this model can take the request now; try again shortly.",
                "server_error",
                "no_ready_replica",
                None,
                True,
            ),
            id="not ready after all",
        ),
        pytest.param(
            504,
            "",
            (504, "The runtime answered with status 504.", "server_error", None, None, False),
            id="its own timeout",
        ),
    ],
)
def test_errors_of_runtimes_get_one_shape(status: int, content: object, expected: tuple[object, ...]) -> None:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    reply = normalised(status, body)
    assert (reply.status, reply.message, reply.type, reply.code, reply.param, reply.should_retry) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("7", 7, id="seconds"),
        pytest.param("9999", 120, id="too long for clients to follow"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_busy_runtime_says_when_to_come_back(given: str | None, expected: int | None) -> None:
    reply = normalised(429, b"{}", given)
    assert (reply.status, reply.retry_after_seconds, reply.should_retry) == (429, expected, True)


def test_a_long_message_of_a_runtime_is_cut() -> None:
    assert len(normalised(400, b"x" * 60_000).message) < 2100
