import json

import pytest

from hostler_router import json_reading
from hostler_router.answer_usage import Usage, read_audio_seconds, read_usage
from hostler_router.asked import Asked
from hostler_router.bodies import body_naming, prefix_of, read_request, with_model
from hostler_router.openai_errors import Refused


def gist(asked: Asked) -> tuple[str, bool, bool, object]:
    return asked.model, asked.stream, asked.strip_usage, asked.body


def test_a_body_that_is_not_streamed_stays_as_it_came() -> None:
    body = b'{ "model":"demo",  "n": 1.0, "unknown": [null] }'
    assert gist(read_request(body, may_stream=True)) == ("demo", False, False, body)


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
    assert gist(read_request(body, may_stream=True)) == ("demo", True, False, body)


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
    assert gist(read_request(body, may_stream=False)) == ("demo", False, False, body)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        pytest.param(b"", "invalid_json", None, id="empty"),
        pytest.param(b'{"model":', "invalid_json", None, id="cut off"),
        pytest.param(b'{"model":"m","x":NaN}', "invalid_json", None, id="not a number"),
        pytest.param(b"[" * 5000, "invalid_json", None, id="too deep and cut off"),
        pytest.param(
            b'{"model":"m","x":' + b"[" * 201 + b"]" * 201 + b"}", "invalid_json", None, id="too deep"
        ),
        pytest.param(
            b'{"model":"m","x":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
            "invalid_json",
            None,
            id="far too deep",
        ),
        pytest.param(b'{"model":"m","x":"\xff"}', "invalid_json", None, id="not UTF-8"),
        pytest.param(b'{"model":"m","\xff":1}', "invalid_json", None, id="a name that is not UTF-8"),
        pytest.param(b'{"model":"m","x":"\\ud800"}', "invalid_json", None, id="half a character"),
        pytest.param(b'{"model":"m","x":"\n"}', "invalid_json", None, id="a line end in a text"),
        pytest.param(b'{"model":"m","x":{"y":01}}', "invalid_json", None, id="a zero before a number"),
        pytest.param(b'{"model":"m","x":[1,]}', "invalid_json", None, id="a comma too many"),
        pytest.param(b'{"model":"m","x":{"y":"\\q"}}', "invalid_json", None, id="an unknown escape"),
        pytest.param(b'{"model":"m"} {}', "invalid_json", None, id="something after it"),
        pytest.param('{"model":"m"}'.encode("utf-16"), "invalid_json", None, id="UTF-16"),
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


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b'{"model":"a","model":"b"}', "model", id="the model"),
        pytest.param(b'{"model":"a","model":"a"}', "model", id="alike"),
        pytest.param(b'{"model":"a","mod\\u0065l":"b"}', "model", id="the second with an escape"),
        pytest.param(b'{"\\u006dodel":"a","model":"b"}', "model", id="the first with an escape"),
        pytest.param(b'{ "model":"a", "stream":false, "stream":true }', "stream", id="with space"),
        pytest.param(b'{"model":"a","x":12,"x":1}', "x", id="a number that begins like its twin"),
        pytest.param(b'{"model":"a","x":1,"x":12}', "x", id="a number that its twin begins with"),
        pytest.param(b'{"x":1,"model":"a","x":{"y":1,"model":"b"}}', "x", id="a twin that hides a model"),
        pytest.param(
            b'{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
            "include_usage",
            id="within the options",
        ),
    ],
)
def test_a_name_that_comes_twice_is_refused_because_two_readers_could_read_two_requests(body, param):
    with pytest.raises(Refused) as refused:
        read_request(body, may_stream=True)
    reply = refused.value.reply
    assert (reply.status, reply.code, reply.param) == (400, "duplicate_parameter", param)


def test_what_comes_twice_further_inside_is_the_runtimes_to_judge():
    body = b'{"model":"a","messages":[{"role":"user","role":"user","model":"b"}]}'
    assert gist(read_request(body, may_stream=True)) == ("a", False, False, body)


def test_a_name_with_an_escape_is_the_name_that_it_spells():
    body = b'{"mod\\u0065l":"demo"}'
    assert gist(read_request(body, may_stream=True)) == ("demo", False, False, body)
    assert json.loads(read_request(body, may_stream=True, meant="other").body) == {"model": "other"}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(
            b'{"model":"m","x":1e400,"y":1.0,"stream":true} \n',
            b'{"model":"m","x":1e400,"y":1.0,"stream":true,"stream_options":{"include_usage":true}} \n',
            id="none",
        ),
        pytest.param(
            b'{ "stream_options" : null , "stream":true,"model":"m"}',
            b'{ "stream_options" : {"include_usage":true} , "stream":true,"model":"m"}',
            id="null",
        ),
        pytest.param(
            b'{"stream":true,"stream_options":{ },"model":"m"}',
            b'{"stream":true,"stream_options":{ "include_usage":true},"model":"m"}',
            id="empty",
        ),
        pytest.param(
            b'{"stream":true,"stream_options":{"a":[{}], "include_usage" :0 },"model":"m"}',
            b'{"stream":true,"stream_options":{"a":[{}], "include_usage" :true },"model":"m"}',
            id="another value",
        ),
        pytest.param(
            b'{"stream":true,"stream_options":{"continuous_usage_stats":true},"model":"m"}',
            b'{"stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true},"model":"m"}',
            id="another option",
        ),
    ],
)
def test_the_wish_for_usage_is_put_in_place_and_no_other_byte_changes(body, sent):
    asked = read_request(body, may_stream=True)
    assert (asked.strip_usage, asked.body) == (True, sent)
    renamed = body_naming(asked, "their/n\u00e4me")
    assert (
        renamed == sent.replace(b'"m"', '"their/n\u00e4me"'.encode()) == with_model(sent, "their/n\u00e4me")
    )


@pytest.mark.parametrize(
    ("more", "tokens_max", "n"),
    [
        ({}, None, 1),
        ({"max_tokens": 5}, 5, 1),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7, 1),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5, 1),
        ({"max_tokens": 5.0, "n": 3}, 15, 3),
        ({"max_tokens": 5, "best_of": 4, "n": 2}, 20, 2),
        ({"max_tokens": "5", "n": "2"}, None, 1),
        ({"max_tokens": True, "n": None}, None, 1),
        ({"max_tokens": 10**30}, None, 1),
        ({"max_tokens": 1.5}, None, 1),
    ],
    ids=str,
)
def test_the_longest_answer_is_that_of_all_answers_together(more, tokens_max, n):
    asked = read_request(json.dumps({"model": "m", **more}).encode(), may_stream=True)
    assert (asked.tokens_max, asked.n) == (tokens_max, n)


@pytest.mark.parametrize(
    ("more", "priority", "flex"),
    [
        ({}, 0, False),
        ({"priority": -3, "service_tier": "flex"}, -3, True),
        ({"priority": "high", "service_tier": "auto"}, 0, False),
        ({"priority": None, "service_tier": None}, 0, False),
    ],
    ids=str,
)
def test_what_is_asked_about_urgency_is_read(more, priority, flex):
    asked = read_request(json.dumps({"model": "m", **more}).encode(), may_stream=True)
    assert (asked.priority, asked.flex) == (priority, flex)


@pytest.mark.parametrize(
    ("more", "prefix"),
    [
        ({}, b""),
        ({"messages": [{"role": "user"}]}, b'[{"role'),
        ({"prompt": "hi"}, b'"hi"'),
        ({"input": ["a"]}, b'["a"]'),
        ({"messages": [], "prompt": "hi"}, b"[]"),
    ],
    ids=str,
)
def test_a_prefix_is_the_beginning_of_the_prompt_as_it_is_written(more, prefix):
    asked = read_request(json.dumps({"model": "m", **more}, separators=(",", ":")).encode(), may_stream=True)
    assert prefix_of(asked, 7) == prefix


def test_the_prefix_of_another_model_or_longer_talk_is_the_same():
    talk = [{"role": "user", "content": "x" * 50}]
    one, two = (
        read_request(json.dumps({"model": model, "messages": messages}).encode(), may_stream=True)
        for model, messages in (("a", talk), ("b", [*talk, {"role": "assistant", "content": "y"}]))
    )
    assert prefix_of(one, 40) == prefix_of(two, 40) != b""


CHAT = "/v1/chat/completions"
TALK = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("route", "more", "resumable"),
    [
        (CHAT, TALK, True),
        (CHAT, {**TALK, "n": 1, "tools": None, "logprobs": False, "response_format": {"type": "text"}}, True),
        (CHAT, {**TALK, "temperature": 0, "stop": ["x"], "max_tokens": 5}, True),
        ("/v1/completions", {"prompt": "hi"}, True),
        ("/v1/completions", {"prompt": ["hi"]}, False),
        ("/v1/completions", {"prompt": "hi", "echo": True}, False),
        ("/v1/completions", {"prompt": "hi", "suffix": "x"}, False),
        ("/v1/responses", {"input": "hi"}, False),
        ("", TALK, False),
        (CHAT, {}, False),
        (CHAT, {**TALK, "stream": False}, False),
        (CHAT, {**TALK, "n": 2}, False),
        (CHAT, {**TALK, "tools": [{"type": "function"}]}, False),
        (CHAT, {**TALK, "response_format": {"type": "json_object"}}, False),
        (CHAT, {**TALK, "guided_regex": "a+"}, False),
        (CHAT, {**TALK, "structured_outputs": {"choice": ["a"]}}, False),
        (CHAT, {**TALK, "grammar": "root ::= x"}, False),
        (CHAT, {**TALK, "logprobs": True}, False),
        (CHAT, {**TALK, "modalities": ["text", "audio"]}, False),
        (CHAT, {**TALK, "continue_final_message": True}, False),
    ],
    ids=str,
)
def test_only_plain_text_can_be_resumed(route, more, resumable):
    body = json.dumps({"model": "m", "stream": True, **more}).encode()
    assert read_request(body, may_stream=True, route=route).resumable is resumable


def test_the_deepest_that_is_let_through_is_read():
    body = b'{"model":"m","x":' + b"[" * 199 + b"]" * 199 + b"}"
    assert read_request(body, may_stream=True).body == body


def test_many_objects_side_by_side_are_not_deep():
    body = json.dumps({"model": "m", "messages": [{"content": "[{"}] * 5000}).encode()
    assert read_request(body, may_stream=True).body == body


def test_what_callers_name_their_members_fills_no_memory() -> None:
    for number in range(2000):
        read_request(b'{"model":"demo","n%d":1}' % number, may_stream=True)
    read_request(b'{"model":"demo","%b":1}' % (b"x" * 10_000), may_stream=True)
    kept = json_reading._forms
    assert len(kept) <= 512
    assert max(sum(map(len, names)) for names in kept) <= 512
