"""`hostler chat` through the stock OpenAI client, against a real server on loopback that speaks as the router does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from typer.testing import CliRunner, Result

from hostler_cli.app import app
from hostler_cli.chat import SYSTEM_PROMPT, Conversation, openai_client
from hostler_client import Connection
from tests.unit.client.fake_api import served

PIECES = ("The capital", " is", " Paris.")
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
BASE = {"id": "c-1", "created": 1, "model": "demo"}


@dataclass
class FakeRouter:
    requests: list[httpx2.Request] = field(default_factory=list)
    refusal: httpx2.Response | None = None

    @property
    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(request.content) for request in self.requests]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.refusal is not None:
            return self.refusal
        if not json.loads(request.content).get("stream"):
            message = {"role": "assistant", "content": "".join(PIECES)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return httpx2.Response(
                200, json=BASE | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
            )
        chunks: list[dict[str, object]] = [
            {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
            for piece in PIECES
        ]
        chunks.append({"choices": [], "usage": USAGE})
        lines = [json.dumps(BASE | {"object": "chat.completion.chunk"} | chunk) for chunk in chunks]
        text = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter()


@pytest.fixture
def url(router: FakeRouter) -> Iterator[str]:
    with served(router.answer) as address:
        yield address


def chat(url: str, *arguments: str, stdin: str | None = None, key: str = "hsk_test") -> Result:
    environ = {"HOSTLER_ROUTER_URL": url, "HOSTLER_API_KEY": key, "OPENAI_API_KEY": "sk-not-ours"}
    return CliRunner().invoke(app, ["chat", "demo", *arguments], input=stdin, env=environ)


def test_an_answer_is_streamed_to_stdout_and_its_usage_told_on_stderr(router: FakeRouter, url: str) -> None:
    done = chat(url, "-p", "What is the capital of France?")
    assert (done.exit_code, done.stdout) == (0, "The capital is Paris.\n")
    assert "usage: 3 prompt + 5 completion = 8 tokens" in done.stderr
    assert router.bodies == [
        {
            "model": "demo",
            "messages": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "max_tokens": 256,
            "temperature": 0.2,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert router.requests[0].headers["authorization"] == "Bearer hsk_test"


def test_the_question_can_come_from_stdin(router: FakeRouter, url: str) -> None:
    assert chat(url, stdin="Hello?\n").exit_code == 0
    assert router.bodies[0]["messages"][1] == {"role": "user", "content": "Hello?"}  # type: ignore[index]  # a list


def test_every_option_reaches_the_router(router: FakeRouter, url: str) -> None:
    done = chat(url, "-p", "hi", "-s", "Be brief.", "--tokens", "9", "--temperature", "1.5", "--no-stream")
    assert done.stdout == "The capital is Paris.\n"
    assert router.bodies[0]["messages"][0]["content"] == "Be brief."  # type: ignore[index]  # a list
    assert (router.bodies[0]["max_tokens"], router.bodies[0]["temperature"]) == (9, 1.5)
    assert "stream" not in router.bodies[0]


def test_the_whole_completion_is_printed_as_data(url: str) -> None:
    done = chat(url, "-p", "hi", "-o", "json")
    assert json.loads(done.stdout)["usage"]["total_tokens"] == 8


def test_without_a_key_none_is_sent_not_even_one_of_another_service(router: FakeRouter, url: str) -> None:
    assert chat(url, "-p", "hi", key="").exit_code == 0
    assert "authorization" not in router.requests[0].headers


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 3), (400, 2), (422, 2)], ids=str)
def test_a_refusal_has_its_code_its_words_and_the_id_of_the_request(
    router: FakeRouter, url: str, status: int, code: int
) -> None:
    error = {"error": {"message": "That is not possible.", "type": "x", "code": "y", "param": None}}
    router.refusal = httpx2.Response(status, json=error, headers={"x-request-id": "r-7"})
    done = chat(url, "-p", "hi")
    assert done.exit_code == code
    assert "error: That is not possible.\n" in done.stderr
    assert "request id: r-7" in done.stderr


def test_an_address_where_nobody_listens_is_a_failure() -> None:
    done = chat("http://127.0.0.1:1", "-p", "hi", "--timeout", "5")
    assert done.exit_code == 1
    assert "no answer from http://127.0.0.1:1: " in done.stderr


def test_a_conversation_takes_its_history_along(router: FakeRouter, url: str) -> None:
    client = openai_client(Connection("", "hsk_test", url), timeout_seconds=5)
    conversation = Conversation(client, model="demo", system="", tokens=8, temperature=0.0)
    assert "".join(conversation.ask("one")) == "The capital is Paris."
    next(iter(conversation.ask("two")))
    conversation.ask_whole("three")
    sent = router.bodies[2]["messages"]
    assert [message["content"] for message in sent] == [  # type: ignore[attr-defined]  # a list
        "one",
        "The capital is Paris.",
        "two",
        "The capital",
        "three",
    ]
    client.close()
