"""What the next replica is asked for when one breaks off, and how its events become the rest of the first answer."""

import json

import pytest

from hostler_router.asked import Asked
from hostler_router.bodies import read_request
from hostler_router.continuation import Continuing, continued
from hostler_router.resume import Resume
from hostler_router.sse import DONE, data_of, event_of

CHAT, PROMPT = "/v1/chat/completions", "/v1/completions"
TALK = [{"role": "user", "content": "hi"}]


def asked(route: str = CHAT, **more: object) -> Asked:
    prompt = {"messages": TALK} if route == CHAT else {"prompt": 'Once "upon'}
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, **prompt, **more}
    return read_request(json.dumps(body).encode(), may_stream=True, route=route)


def event(*choices: dict[str, object], answer: str = "first", created: int = 1, **more: object) -> bytes:
    payload = {"id": answer, "created": created, "model": "m", "choices": list(choices), **more}
    return event_of(json.dumps(payload).encode())


def said(text: str | None, answer: str = "first", created: int = 1, **more: object) -> bytes:
    return event({"index": 0, "delta": {"content": text}, **more}, answer=answer, created=created)


def wrote(text: str) -> bytes:
    return event({"index": 0, "text": text, "finish_reason": None})


ROLE = event({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})


def after(*events: bytes, bytes_max: int = 1_000_000) -> Resume:
    resume = Resume(bytes_max)
    for each in events:
        resume.passed(each)
    return resume


def continuation(resume: Resume, request: Asked, runtime: str = "vllm") -> dict[str, object]:
    body = resume.continuation(request, runtime)
    assert body is not None
    decoded = json.loads(body)
    assert isinstance(decoded, dict)
    return decoded


def payload_of(rewritten: bytes | None) -> dict[str, object]:
    assert rewritten is not None
    payload = json.loads(data_of(rewritten) or b"")
    assert isinstance(payload, dict)
    return payload


@pytest.mark.parametrize("runtime", ["vllm", "llamacpp", "simulated"])
def test_a_chat_goes_on_within_the_assistants_message(runtime):
    request = asked(max_tokens=10, max_completion_tokens=9, min_tokens=1, temperature=0.5)
    resume = after(ROLE, said("Hel"), said('lo "w\u00f6'), said(None))
    assert continuation(resume, request, runtime) == {
        **json.loads(bytes(request.body)),  # type: ignore[arg-type]  # no form here
        "messages": [*TALK, {"role": "assistant", "content": 'Hello "w\u00f6'}],
        "continue_final_message": True,
        "add_generation_prompt": False,
        "max_tokens": 8,
        "max_completion_tokens": 7,
        "min_tokens": 0,
    }
    assert resume.resumed


@pytest.mark.parametrize(
    ("runtime", "more", "most"),
    [
        ("vllm", {}, {"max_tokens": 14}),
        ("vllm", {"max_tokens": None}, {"max_tokens": None}),
        ("vllm", {"max_tokens": 5}, {"max_tokens": 3}),
        ("llamacpp", {}, {}),
        ("llamacpp", {"n_predict": -1}, {"n_predict": -1}),
        ("llamacpp", {"n_predict": 5}, {"n_predict": 3}),
    ],
    ids=str,
)
def test_a_completion_goes_on_from_a_longer_prompt(runtime, more, most):
    request = asked(PROMPT, **more)
    body = after(wrote(" a"), wrote("\\time\n")).continuation(request, runtime)
    assert body is not None
    decoded = json.loads(body)
    assert decoded["prompt"] == 'Once "upon a\\time'
    assert {name: decoded[name] for name in decoded if name in ("max_tokens", "n_predict")} == most


def test_an_answer_of_which_nothing_has_come_is_asked_for_anew():
    request = asked()
    resume = after(b": keep-alive\n\n", ROLE)
    assert resume.continuation(request, "vllm") == request.body
    second = event({"index": 0, "delta": {"role": "assistant", "content": "Hello"}}, answer="second")
    assert payload_of(resume.rewrite(second))["choices"] == [{"index": 0, "delta": {"content": "Hello"}}]


def test_the_role_is_told_by_the_second_replica_where_the_first_had_not():
    resume = after(b": keep-alive\n\n")
    assert resume.continuation(asked(), "vllm") is not None
    assert b"assistant" in (resume.rewrite(ROLE) or b"")


TOOL = event({"index": 0, "delta": {"tool_calls": [{"index": 0}]}})


@pytest.mark.parametrize(
    ("events", "more", "runtime"),
    [
        pytest.param([said("a")], {"tools": [{}]}, "vllm", id="a class that can't be resumed"),
        pytest.param([said("a")], {}, "external", id="a runtime that nothing is known of"),
        pytest.param([said("a", finish_reason="stop")], {}, "vllm", id="it had ended"),
        pytest.param([said("a"), said("b")], {"max_tokens": 2}, "vllm", id="nothing left to say"),
        pytest.param([TOOL], {}, "vllm", id="a tool was called"),
        pytest.param(
            [event({"index": 0, "delta": {"reasoning_content": "hm"}})], {}, "vllm", id="it was thinking"
        ),
        pytest.param([event({"index": 1, "delta": {"content": "a"}})], {}, "vllm", id="a second answer"),
        pytest.param([said("a\ufffd")], {}, "vllm", id="half a character"),
        pytest.param([b'data: {"error":{"message":"no"}}\n\n'], {}, "vllm", id="an error"),
        pytest.param([b"data: {\n\n"], {}, "vllm", id="no json"),
        pytest.param(
            [said("a")],
            {"messages": [*TALK, {"role": "assistant", "content": "Well"}]},
            "vllm",
            id="the client began the turn",
        ),
        pytest.param([said("a")], {"messages": []}, "vllm", id="no messages"),
    ],
)
def test_some_answers_can_not_go_on(events, more, runtime):
    resume = after(*events)
    assert resume.continuation(asked(**more), runtime) is None
    assert not resume.resumed


def test_a_completion_can_not_go_on_where_it_has_reached_the_default():
    assert after(*[wrote("a")] * 16).continuation(asked(PROMPT), "vllm") is None


def test_a_runtime_may_go_on_with_chats_alone():
    chats_alone = Continuing(chat=True, completion=False)
    completion, chat = asked(PROMPT).body, asked().body
    assert isinstance(completion, bytes)
    assert isinstance(chat, bytes)
    assert continued(completion, "a", 1, chats_alone) is None
    assert continued(chat, "a", 1, chats_alone) is not None


def test_an_answer_longer_than_what_is_kept_can_not_go_on():
    few, many = [said("word ")] * 100, [said("word ")] * 300
    assert after(*few, bytes_max=1000).continuation(asked(), "vllm") is not None
    resume = after(*many, bytes_max=1000)
    assert resume.continuation(asked(), "vllm") is None
    resume.passed(said("word "))
    assert resume.continuation(asked(), "vllm") is None


def test_events_that_are_all_different_count_in_full():
    events = [said("word", created=second) for second in range(20)]
    assert after(*events, bytes_max=len(b"".join(events)) // 2).continuation(asked(), "vllm") is None


def test_the_second_replicas_events_look_like_the_firsts():
    resume = after(ROLE, said("Hel"))
    assert resume.continuation(asked(), "vllm") is not None
    assert resume.rewrite(said("lo", answer="second", created=9)) == event_of(
        b'{"id":"first","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}'
    )


def test_what_the_client_has_had_is_dropped():
    resume = after(ROLE, said("Hel"))
    assert resume.continuation(asked(), "vllm") is not None
    assert resume.rewrite(ROLE) is None
    assert resume.rewrite(event({"index": 0, "delta": {"role": "assistant", "content": None}})) is None


@pytest.mark.parametrize(
    "event",
    [
        b": keep-alive\n\n",
        event_of(DONE),
        event_of(b'{"error":{"message":"no"}}'),
        event_of(b"not json"),
    ],
)
def test_what_is_no_part_of_the_answer_passes_as_it_is(event):
    resume = after(said("a"))
    assert resume.continuation(asked(), "vllm") is not None
    assert resume.rewrite(event) == event


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["\n\n- b"], ["- b"]),
        (["\n", "\n", "- b"], ["- b"]),
        (["\n- b"], ["- b"]),
        (["- b", "\n"], ["- b", "\n"]),
        (["\n", "- b", "\n\n"], ["- b", "\n\n"]),
    ],
    ids=str,
)
def test_space_at_the_seam_comes_once(texts, left):
    resume = after(said("a"), said("\n\n"))
    body = continuation(resume, asked(max_tokens=10))
    assert body["messages"][-1]["content"] == "a"  # type: ignore[index]  # a list of messages
    assert body["max_tokens"] == 9
    rewritten = [resume.rewrite(said(text)) for text in texts]
    got = [payload_of(each)["choices"][0]["delta"]["content"] for each in rewritten if each]  # type: ignore[index]  # choices
    assert got == left


def test_the_end_passes_also_without_text():
    resume = after(wrote("a"))
    assert resume.continuation(asked(PROMPT), "vllm") is not None
    end = event({"index": 0, "text": "", "finish_reason": "length"})
    assert payload_of(resume.rewrite(end))["choices"][0]["finish_reason"] == "length"  # type: ignore[index]  # choices


def test_the_usage_is_that_of_one_answer_and_its_sum_is_as_measured():
    resume = after(ROLE, said("a"), said(" b"), said(" c"))
    assert resume.continuation(asked(), "vllm") is not None
    usage = {
        "prompt_tokens": 13,
        "completion_tokens": 5,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 12},
    }
    assert payload_of(resume.rewrite(event(usage=usage)))["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 8,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 10},
    }
    assert payload_of(resume.rewrite(event(usage=None)))["usage"] is None


def test_an_answer_goes_on_more_than_once():
    request = asked(max_tokens=10)
    resume = after(ROLE, said("a"))
    continuation(resume, request)
    rewritten = resume.rewrite(said(" b", answer="second"))
    assert rewritten is not None
    resume.passed(rewritten)
    body = continuation(resume, request)
    assert (body["messages"][-1]["content"], body["max_tokens"]) == ("a b", 8)  # type: ignore[index]  # a list
    assert payload_of(resume.rewrite(said(" c", answer="third")))["id"] == "first"


def test_asking_again_gives_the_same():
    request, resume = asked(), after(ROLE, said("a "))
    assert resume.continuation(request, "vllm") == resume.continuation(request, "vllm")


def test_limits_may_stand_before_the_prompt():
    body = {"max_tokens": 5, "model": "m", "stream": True, "messages": TALK, "min_tokens": 2}
    request = read_request(json.dumps(body).encode(), may_stream=True, route=CHAT)
    continued = continuation(after(said("a")), request)
    assert (continued["max_tokens"], continued["min_tokens"]) == (4, 1)
    assert continued["messages"] == [*TALK, {"role": "assistant", "content": "a"}]


def test_events_may_pass_several_at_once():
    resume = after(said("a"), said("b") + said("c"), said("d") + said("e"))
    assert continuation(resume, asked())["messages"] == [*TALK, {"role": "assistant", "content": "abcde"}]


@pytest.mark.parametrize(
    "text", [b'b","c', b'b"', b"b\\", b'b\\","c', b"\xff"], ids=["two", "quote", "escape", "both", "no-utf-8"]
)
def test_an_event_that_is_no_json_is_not_taken_for_one_like_those_before_it(text):
    odd = said("b").replace(b"b", text)
    assert after(said("a"), odd, said("d")).continuation(asked(), "vllm") is None


def test_an_event_cut_short_is_not_taken_for_one_like_those_before_it():
    short = said("b").replace(b'"b"', b'"')
    assert after(said("a"), short).continuation(asked(), "vllm") is None


def test_an_event_with_more_in_it_than_those_before_it_is_read_as_it_is():
    more = event({"index": 0, "delta": {"content": "b", "refusal": None, "more": "content"}})
    like = event({"index": 0, "delta": {"content": "a", "refusal": None, "more": "content"}})
    other = like.replace(b'"a", "refusal": null', b'"b\\"\\u00e4", "tool_calls": [], "refusal": null')
    resume = after(like, more, other)
    assert continuation(resume, asked())["messages"][-1]["content"] == 'abb"\u00e4'  # type: ignore[index]  # a list
