"""An answer that breaks off anywhere, any number of times, and goes on elsewhere is the answer that one replica would have given.

The replicas here are a model that always means to say the same: asked to go on, it says the rest of it, in pieces of its own.
"""

import json

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.answer_usage import read_usage
from hostler_router.bodies import read_request
from hostler_router.resume import Resume
from hostler_router.sse import DONE, data_of, event_of

# Texts do not begin with space: a model asked anew may begin with other space than the one whose text broke off within it.
TEXTS = st.text(st.sampled_from('ab\u00e4\U0001f600 \n"\\'), max_size=30).map(str.strip)
CUTS = st.lists(st.integers(1, 8), max_size=6)
PROMPT_TOKENS = 7


def pieces(text: str, cuts: list[int]) -> list[str]:
    """A text in tokens of those lengths, over and over."""
    found: list[str] = []
    while text:
        length = cuts[len(found) % len(cuts)] if cuts else 3
        found.append(text[:length])
        text = text[length:]
    return found


def answer(body: bytes, meant: str, cuts: list[int], *, name: str, seconds: int) -> list[bytes]:
    """The events with which a replica answers `body`."""
    request = json.loads(body)
    chat = "messages" in request
    if chat:
        last = request["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        assert bool(said) is request.get("continue_final_message", False)
    else:
        said = request["prompt"].removeprefix("Q")
    assert meant.startswith(said)
    tokens = pieces(meant[len(said) :], cuts)
    choices: list[dict[str, object]] = [
        {"index": 0, **({"delta": {"content": token}} if chat else {"text": token}), "finish_reason": None}
        for token in tokens
    ]
    if chat:
        choices.insert(0, {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
    choices.append({"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": "stop"})
    usage = {"prompt_tokens": PROMPT_TOKENS + len(said), "completion_tokens": len(tokens)}
    heads = [{"id": name, "created": seconds + at // 3, "model": "m"} for at in range(len(choices) + 1)]
    events = [{**head, "choices": [choice]} for head, choice in zip(heads, choices, strict=False)]
    payloads = [*events, {**heads[-1], "choices": [], "usage": usage}]
    return [*(event_of(json.dumps(payload).encode()) for payload in payloads), event_of(DONE)]


@given(st.booleans(), TEXTS, st.lists(st.tuples(CUTS, st.integers(0, 12)), max_size=3), CUTS, st.booleans())
def test_text_so_far_and_its_continuation_are_one_answer(
    chat: bool, meant: str, failing: list[tuple[list[int], int]], cuts: list[int], joined: bool
) -> None:
    route = "/v1/chat/completions" if chat else "/v1/completions"
    prompt = {"messages": [{"role": "user", "content": "Q"}]} if chat else {"prompt": "Q"}
    asked = read_request(
        json.dumps({"model": "m", "stream": True, **prompt}).encode(), may_stream=True, route=route
    )
    assert isinstance(asked.body, bytes)
    resume, body, got = Resume(), asked.body, list[bytes]()
    for at, (tokens, events_until_it_fails) in enumerate([*failing, (cuts, 1000)]):
        whole = answer(body, meant, tokens, name=f"replica-{at}", seconds=at)
        ended = events_until_it_fails >= len(whole)
        came = whole if ended else whole[: min(events_until_it_fails, len(pieces(meant, tokens)))]
        passed = [each for each in map(resume.rewrite, came) if each] if at else came
        got += passed
        for each in [b"".join(passed)] if joined else passed:
            resume.passed(each)
        if ended:
            break
        following = resume.continuation(asked, "llamacpp")
        if following is None:
            return  # it had said that it was over
        body = following
    payloads = [json.loads(data) for data in map(data_of, got) if data and data != DONE]
    choices = [payload["choices"][0] for payload in payloads if payload["choices"]]
    assert (
        "".join((choice.get("delta") or {}).get("content") or choice.get("text", "") for choice in choices)
        == meant
    )
    assert sum("role" in choice.get("delta", {}) for choice in choices) == int(chat)
    assert len({payload["id"] for payload in payloads}) == 1
    usage = read_usage(payloads[-1])
    assert usage is not None
    assert data_of(got[-1]) == DONE


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\r", b"")), max_size=12), st.data())
def test_what_passed_is_kept_as_it_was(parts: list[bytes], data: st.DataObject) -> None:
    marks = st.sampled_from([b'data: {"content":"', b'"}\n\n', b"\n", b'x","content":"', b""])
    events = [data.draw(marks) + part + data.draw(marks) for part in parts]
    resume = Resume()
    for event in events:
        resume.passed(event)
    kept = b"".join(event for alike in resume._kept for event in alike.events())
    assert kept == b"".join(events)
