import pytest

from hostler_router.answer_stream import AnswerStream, Passed
from hostler_router.answer_usage import Usage
from hostler_router.openai_errors import BROKEN_OFF

TEXT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
CONTINUOUS = b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


def stream(*, strip_usage: bool = True) -> AnswerStream:
    return AnswerStream(strip_usage=strip_usage, event_bytes_max=1000)


@pytest.mark.parametrize(
    ("strip_usage", "expected"),
    [pytest.param(True, TEXT + DONE, id="stripped"), pytest.param(False, TEXT + USAGE + DONE, id="kept")],
)
def test_the_usage_is_learnt_whether_the_client_gets_it_or_not(strip_usage: bool, expected: bytes) -> None:
    passing = stream(strip_usage=strip_usage)
    assert passing.feed(TEXT + USAGE + DONE) == Passed(
        expected, speaks=True, events=2 - strip_usage, done=True
    )
    assert passing.usage == Usage(3, 4)


def test_usage_beside_text_is_passed_on_and_the_last_counts() -> None:
    passing = stream()
    assert passing.feed(CONTINUOUS + USAGE).out == CONTINUOUS
    assert passing.usage == Usage(3, 4)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b'data: {"choices":[],"prompt_filter_results":[]}\n\n', id="no choices, no usage"),
        pytest.param(b'data: {"choices":[],"usage":null}\n\n', id="null usage"),
        pytest.param(
            b'data: {"choices":[{"delta":{"content":"\\"usage\\" \\"error\\""}}]}\n\n', id="words in a text"
        ),
        pytest.param(
            b'data: {"choices":[{"logprobs":{"token":"\\"error\\""}}],"error":null}\n\n', id="null error"
        ),
        pytest.param(b'data: "usage"\n\n', id="no object"),
        pytest.param(b'data: {"usage": \n\n', id="no json"),
    ],
)
def test_everything_else_travels_untouched(event: bytes) -> None:
    assert stream().feed(event) == Passed(event, speaks=True, events=1)


def test_a_comment_is_no_speech() -> None:
    assert stream().feed(b": ping\n\n") == Passed(b": ping\n\n", speaks=False)


def test_what_follows_the_end_mark_is_dropped() -> None:
    assert stream().feed(DONE + TEXT) == Passed(DONE, speaks=True, done=True)


def test_a_stream_that_closes_without_its_end_mark_is_broken() -> None:
    passing = stream()
    passing.feed(TEXT + b"data: {")
    assert passing.close() == Passed(b"", error=BROKEN_OFF)


def test_an_end_mark_that_only_the_close_completes_is_good() -> None:
    passing = stream()
    passing.feed(TEXT + b"data: [DONE]")
    assert passing.close() == Passed(DONE, speaks=True, done=True)


def test_an_endless_event_breaks_the_stream() -> None:
    assert stream().feed(b"data: " + b"x" * 2000).error is BROKEN_OFF


@pytest.mark.parametrize(
    ("event", "message", "code"),
    [
        pytest.param(
            b'data: {"error":{"message":"out of memory","type":"x","code":500}}\n\n',
            "out of memory",
            "runtime_error",
            id="vllm",
        ),
        pytest.param(b'data: {"error":"boom"}\n\n', "boom", "runtime_error", id="a string"),
        pytest.param(
            b'data: {"error":{"message":"m","code":"kv_cache_full"}}\n\n', "m", "kv_cache_full", id="own code"
        ),
    ],
)
def test_an_error_of_the_runtime_ends_the_stream_in_one_shape(event: bytes, message: str, code: str) -> None:
    passed = stream().feed(TEXT + event + DONE)
    assert passed.out == TEXT
    assert not passed.done
    assert passed.error is not None
    assert (passed.error.message, passed.error.code, passed.error.status) == (message, code, 502)
