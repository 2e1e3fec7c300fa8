import json

import pytest

from hostler_router.bodies import Asked, Usage, read_audio_seconds, read_request, read_usage, with_model
from hostler_router.openai_errors import Refused


def test_a_body_that_is_not_streamed_stays_as_it_came() -> None:
    body = b'{ "model":"demo",  "n": 1.0, "unknown": [null] }'
    assert read_request(body, may_stream=True) == Asked("demo", stream=False, strip_usage=False, body=body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"n":1}', id="the body names none"),
        pytest.param(b'{"n":1,"model":"other"}', id="the body names another"),
        pytest.param(b'{"n":1,"model":null}', id="the body says null"),
        pytest.param(b'{"n":1,"model":7}', id="the body says nonsense"),
    ],
)
def test_the_model_of_the_head_goes_before_the_bodys_and_into_it(body: bytes) -> None:
    asked = read_request(body, may_stream=True, meant="demo")
    assert (asked.model, json.loads(asked.body)) == ("demo", {"n": 1, "model": "demo"})


def test_the_model_of_the_head_goes_into_a_stream_too() -> None:
    asked = read_request(b'{"stream":true}', may_stream=True, meant="demo")
    assert json.loads(asked.body) == {
        "stream": True,
        "model": "demo",
        "stream_options": {"include_usage": True},
    }


def test_a_body_that_names_the_model_of_the_head_stays_as_it_came() -> None:
    body = b'{ "model":"demo" }'
    assert read_request(body, may_stream=True, meant="demo").body == body


def test_a_stream_whose_client_wants_the_usage_stays_as_it_came() -> None:
    body = b'{"model":"demo","stream":true,"stream_options":{"include_usage":true}}'
    assert read_request(body, may_stream=True) == Asked("demo", stream=True, strip_usage=False, body=body)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="no options"),
        pytest.param({"stream_options": None}, id="null"),
        pytest.param({"stream_options": {"include_usage": False}}, id="refused"),
        pytest.param({"stream_options": {"include_obfuscation": False}}, id="another option"),
    ],
)
def test_a_stream_is_asked_for_its_usage_and_nothing_else_changes(options: dict[str, object]) -> None:
    sent = {
        "model": "demo",
        "messages": [{"role": "user", "content": 'ä\u2028 "x"'}],
        "stream": True,
        **options,
    }
    asked = read_request(json.dumps(sent).encode(), may_stream=True)
    assert asked.stream
    assert asked.strip_usage
    wanted = {**(options.get("stream_options") or {}), "include_usage": True}  # type: ignore[dict-item]  # a test's own value
    assert json.loads(asked.body) == {**sent, "stream_options": wanted}


def test_a_route_without_streams_does_not_read_the_field() -> None:
    body = b'{"model":"demo","stream":"yes"}'
    assert read_request(body, may_stream=False) == Asked("demo", stream=False, strip_usage=False, body=body)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        pytest.param(b"", "invalid_json", None, id="empty"),
        pytest.param(b'{"model":', "invalid_json", None, id="cut off"),
        pytest.param(b'{"model":"m","x":NaN}', "invalid_json", None, id="not a number"),
        pytest.param(b"[" * 5000, "invalid_json", None, id="too deep"),
        pytest.param(b'"model"', "invalid_type", None, id="a string"),
        pytest.param(b'["model"]', "invalid_type", None, id="a list"),
        pytest.param(b"{}", "missing_required_parameter", "model", id="no model"),
        pytest.param(b'{"model":null}', "missing_required_parameter", "model", id="null model"),
        pytest.param(b'{"model":5}', "invalid_type", "model", id="a number as model"),
        pytest.param(b'{"model":""}', "invalid_value", "model", id="empty model"),
        pytest.param(b'{"model":"' + b"m" * 600 + b'"}', "invalid_value", "model", id="endless model"),
        pytest.param(b'{"model":"m","stream":1}', "invalid_type", "stream", id="a number as stream"),
        pytest.param(
            b'{"model":"m","stream":true,"stream_options":[]}',
            "invalid_type",
            "stream_options",
            id="a list as options",
        ),
    ],
)
def test_a_bad_body_names_what_is_wrong(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        read_request(body, may_stream=True)
    reply = refused.value.reply
    assert (reply.status, reply.code, reply.param) == (400, code, param)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4), id="chat"),
        pytest.param({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0), id="embeddings"),
        pytest.param(None, None, id="null"),
        pytest.param({"prompt_tokens": "3"}, None, id="words"),
        pytest.param({"prompt_tokens": -1}, None, id="negative"),
        pytest.param({"prompt_tokens": True}, None, id="a boolean"),
        pytest.param([], None, id="a list"),
    ],
)
def test_usage_is_read_or_absent(usage: object, expected: Usage | None) -> None:
    assert read_usage({"usage": usage}) == expected


def test_a_body_can_ask_for_another_model_and_stays_otherwise() -> None:
    body = '{"model": "demo", "messages": [{"role": "user", "content": "Grüße"}], "x": 1}'.encode()
    assert json.loads(with_model(body, "their/name")) == {**json.loads(body), "model": "their/name"}


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ({"type": "duration", "seconds": 3.05}, 4),
        ({"type": "duration", "seconds": 9}, 9),
        ({"type": "duration", "seconds": "9"}, None),
        ({"type": "duration", "seconds": -1}, None),
        ({"type": "duration", "seconds": True}, None),
    ],
    ids=str,
)
def test_the_usage_of_a_transcript_is_in_begun_seconds(usage, seconds):
    assert read_usage({"usage": usage}) == (None if seconds is None else Usage(audio_seconds=seconds))


@pytest.mark.parametrize(
    ("header", "seconds"), [("3.05", 4), ("", None), ("nan", None), ("inf", None), ("1e99", None)]
)
def test_an_answer_without_room_for_its_usage_says_it_in_a_header(header, seconds):
    assert read_audio_seconds(header) == (None if seconds is None else Usage(audio_seconds=seconds))
