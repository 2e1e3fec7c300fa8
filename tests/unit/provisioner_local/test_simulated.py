"""What a job may ask of the simulated runtime, and what its server makes of a request."""

import dataclasses
import json

import pytest

from hostler_domain.errors import PermanentError
from hostler_provisioner.local import llamacpp_server, simulated_server
from hostler_provisioner.local.runtimes import KEY_VARIABLE, RUNTIMES
from hostler_provisioner.local.simulated_parameters import SimulatedParameters, parse_simulated_args
from hostler_provisioner.local.simulated_server import (
    Asked,
    BadRequest,
    LaunchFile,
    answer_words,
    count_tokens,
    read_request,
)


def test_arguments_replace_the_defaults():
    args = (("tokens_per_second", "12.5"), ("fail_rate", "1"), ("n_parallel", "2"), ("seed", "7"))

    assert parse_simulated_args(args) == SimulatedParameters(
        tokens_per_second=12.5, fail_rate=1.0, n_parallel=2, seed=7
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("n_ctx", "2048", id="of-another-runtime"),
        pytest.param("fail_rate", "1.1", id="more-than-all"),
        pytest.param("tokens_per_second", "0", id="never"),
        pytest.param("first_token_seconds", "nan", id="not-a-number"),
        pytest.param("first_token_seconds", "1e3", id="not-plain"),
        pytest.param("start_delay_seconds", "-1", id="negative"),
        pytest.param("fail_start", "126", id="not-an-exit-code"),
        pytest.param("n_parallel", "0", id="no-slot"),
        pytest.param("seed", "1.5", id="not-whole"),
    ],
)
def test_a_bad_argument_is_refused_by_name(name, value):
    with pytest.raises(PermanentError, match=rf"\b{name}\b"):
        parse_simulated_args(((name, value),))


def test_the_launch_file_has_a_place_for_every_parameter():
    parameters = {field.name: field.type for field in dataclasses.fields(SimulatedParameters)}

    assert {"served_name": str, "host": str, "port": int} | parameters == LaunchFile.__annotations__


def test_every_server_is_a_file_that_finds_its_key_where_the_backend_puts_it():
    assert all(runtime.script.is_file() for runtime in RUNTIMES.values())
    assert {KEY_VARIABLE} == {llamacpp_server.KEY_VARIABLE, simulated_server.KEY_VARIABLE}


def test_a_token_is_a_word():
    assert count_tokens("  one two\nthree ") == 3
    assert [count_tokens("".join(answer_words(tokens))) for tokens in (1, 7, 20)] == [1, 7, 20]


@pytest.mark.parametrize("said", range(21))
def test_an_answer_in_two_parts_is_the_answer_in_one(said):
    words = answer_words(20)
    assert [*words[:said], *answer_words(20 - said, said)] == words


@pytest.mark.parametrize("said", [0, 1, 7, 8, 20, 700])
def test_a_completion_goes_on_where_its_prompt_ends(said):
    begun = "".join(answer_words(said))
    found = read_request(json.dumps({"prompt": f"Hello there{begun}"}).encode(), chat=False)
    assert (found.said, found.prompt_tokens) == (said, 2 + said)


CHAT = {
    "messages": [{"role": "user", "content": "one two"}, {"role": "user", "content": [{"text": "three"}]}]
}


@pytest.mark.parametrize(
    ("request_body", "chat", "expected"),
    [
        pytest.param(CHAT, True, Asked(True, False, False, 3, None), id="chat"),
        pytest.param(
            {"prompt": "one", "max_tokens": 4}, False, Asked(False, False, False, 1, 4), id="prompt"
        ),
        pytest.param(
            {**CHAT, "stream": True, "stream_options": {"include_usage": True}, "max_completion_tokens": 2},
            True,
            Asked(True, True, True, 3, 2),
            id="stream-with-usage",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": "one"},
                    {"role": "assistant", "content": "This text"},
                ],
                "continue_final_message": True,
                "add_generation_prompt": False,
            },
            True,
            Asked(True, False, False, 3, None, said=2),
            id="the-rest-of-an-answer",
        ),
    ],
)
def test_a_request_is_read(request_body, chat, expected):
    assert read_request(json.dumps(request_body).encode(), chat=chat) == expected


@pytest.mark.parametrize(
    ("body", "chat"),
    [
        pytest.param(b"{", True, id="no-json"),
        pytest.param(b"[]", True, id="no-object"),
        pytest.param(b'{"messages": []}', True, id="no-messages"),
        pytest.param(b'{"prompt": ["a"]}', False, id="several-prompts"),
        pytest.param(b'{"prompt": "a", "max_tokens": 0}', False, id="no-token"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(body, chat):
    with pytest.raises(BadRequest):
        read_request(body, chat=chat)
