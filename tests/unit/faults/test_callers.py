"""How an answer ended, judged from bytes made by hand: no end but three passes as one."""

import pytest

from tests.faults.callers import End, judge

CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'
ERROR = b'data: {"error": {"message": "m", "type": "t", "param": null, "code": "replica_failed"}}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}\n\n'
DONE = b"data: [DONE]\n\n"
REFUSAL = b'{"error": {"message": "m", "type": "t", "param": null, "code": "c"}}'


@pytest.mark.parametrize(
    ("body", "whole", "end"),
    [
        pytest.param(CHUNK + DONE, True, End.DONE, id="done"),
        pytest.param(b": wait\n\n" + CHUNK + USAGE + DONE, True, End.DONE, id="comments and usage"),
        pytest.param(CHUNK + ERROR, True, End.ERROR, id="an error"),
        pytest.param(CHUNK, False, End.ABORTED, id="the connection broke"),
        pytest.param(CHUNK + DONE, False, End.ABORTED, id="it broke after the mark"),
        pytest.param(CHUNK, True, End.TRUNCATED, id="no end"),
        pytest.param(b"", True, End.TRUNCATED, id="nothing"),
        pytest.param(CHUNK + b'data: {"ch', True, End.TRUNCATED, id="half an event"),
        pytest.param(CHUNK + b"data: [DONE]", True, End.TRUNCATED, id="half an end mark"),
        pytest.param(CHUNK + DONE + DONE, True, End.TRUNCATED, id="two ends"),
        pytest.param(CHUNK + ERROR + DONE, True, End.TRUNCATED, id="an error that is called an end"),
        pytest.param(CHUNK + ERROR + ERROR, True, End.TRUNCATED, id="two errors"),
        pytest.param(CHUNK + ERROR + CHUNK, True, End.TRUNCATED, id="text after an error"),
        pytest.param(CHUNK + b"<html>\n\n" + DONE, True, End.TRUNCATED, id="no event"),
    ],
)
def test_the_end_of_a_stream(body: bytes, whole: bool, end: End) -> None:
    assert judge(200, body, whole=whole, stream=True).end is end


def test_words_usage_and_the_mark_of_a_resumed_stream_are_read() -> None:
    verdict = judge(200, CHUNK * 3 + USAGE + b": resumed\n\n" + DONE, whole=True, stream=True)
    assert (verdict.words, verdict.text, verdict.resumed) == (3, "word word word ", True)
    assert verdict.usage == {"prompt_tokens": 2, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("status", "body", "whole", "end"),
    [
        pytest.param(None, b"", False, End.ABORTED, id="no answer"),
        pytest.param(503, REFUSAL, True, End.REFUSED, id="refused"),
        pytest.param(503, b"oops", True, End.TRUNCATED, id="refused without an error"),
        pytest.param(200, b'{"choices": [{"message": {"content": "w"}}]}', True, End.DONE, id="done"),
        pytest.param(200, b'{"choices": [{"mess', True, End.TRUNCATED, id="half a document"),
        pytest.param(200, b'{"choices": [{"mess', False, End.ABORTED, id="the connection broke"),
    ],
)
def test_the_end_of_an_answer(status: int | None, body: bytes, whole: bool, end: End) -> None:
    assert judge(status, body, whole=whole, stream=False).end is end
