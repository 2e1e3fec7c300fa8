"""From what was seen of a process to its step."""

import pytest

from hostler_provisioner.backend import Step
from hostler_provisioner.local.steps import (
    MISSES_MAX,
    Answer,
    Health,
    last_words,
    loaded_fraction,
    next_health,
    readable_lines,
)

STARTING = (Step.IMPORTING, Step.BOOTING, Step.LOADING)
SERVING = (Step.READY, Step.UNHEALTHY)


@pytest.mark.parametrize("answer", Answer)
@pytest.mark.parametrize("step", Step)
def test_a_process_that_ended_is_gone_whatever_it_was(step, answer):
    assert next_health(Health(step), alive=False, answer=answer) == Health(Step.GONE)


@pytest.mark.parametrize("answer", Answer)
def test_an_end_is_never_taken_back(answer):
    assert next_health(Health(Step.GONE), alive=True, answer=answer) == Health(Step.GONE)


@pytest.mark.parametrize("step", [*STARTING, *SERVING])
def test_a_good_answer_makes_it_ready_and_forgets_misses(step):
    assert next_health(Health(step, MISSES_MAX), alive=True, answer=Answer.OK) == Health(Step.READY)


@pytest.mark.parametrize(
    ("step", "answer", "expected"),
    [
        (Step.IMPORTING, Answer.NONE, Step.BOOTING),
        (Step.IMPORTING, Answer.NOT_READY, Step.LOADING),
        (Step.BOOTING, Answer.NONE, Step.BOOTING),
        (Step.BOOTING, Answer.NOT_READY, Step.LOADING),
        (Step.LOADING, Answer.NONE, Step.LOADING),
        (Step.LOADING, Answer.NOT_READY, Step.LOADING),
    ],
)
def test_before_it_was_ready(step, answer, expected):
    assert next_health(Health(step), alive=True, answer=answer) == Health(expected)


@pytest.mark.parametrize("answer", [Answer.NONE, Answer.NOT_READY])
def test_only_the_third_miss_in_a_row_is_unhealthy(answer):
    health = Health(Step.READY)
    seen = []
    for _ in range(4):
        health = next_health(health, alive=True, answer=answer)
        seen.append(health)

    assert seen == [
        Health(Step.READY, 1),
        Health(Step.READY, 2),
        Health(Step.UNHEALTHY, 3),
        Health(Step.UNHEALTHY, 4),
    ]


STATE = "cmd_child_to_router:state:"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], None, id="nothing-said"),
        pytest.param(["0.00.1 W srv load: hello"], None, id="other-lines"),
        pytest.param(
            [
                STATE
                + '{"state":"loading","payload":{"stages":["text_model"],"current":"text_model","value":0.25}}'
            ],
            0.25,
            id="one-stage",
        ),
        pytest.param(
            [
                STATE + '{"state":"loading","payload":{"stages":["a","b"],"current":"a","value":1.0}}',
                STATE + '{"state":"loading","payload":{"stages":["a","b"],"current":"b","value":0.5}}',
            ],
            0.75,
            id="the-latest-of-two-stages",
        ),
        pytest.param(
            [
                STATE + '{"state":"loading","payload":{"stages":["a"],"current":"a","value":0.5}}',
                STATE + '{"state":"ready","payload":{"id":"x"}}',
                STATE + '{"state":"loading","payload":{"stages":[],"current":"a","value":1}}',
                STATE + '{"state":"loading","payl',
                STATE + "[]",
                STATE + '{"payload":[]}',
            ],
            0.5,
            id="what-it-does-not-understand-is-passed-over",
        ),
        pytest.param(
            [STATE + '{"state":"loading","payload":{"stages":["a"],"current":"a","value":7}}'],
            1.0,
            id="never-over-1",
        ),
    ],
)
def test_how_far_the_weights_are(lines, expected):
    assert loaded_fraction(lines) == expected


def test_reports_to_the_program_are_not_lines_for_people():
    assert readable_lines(f"one\n\n{STATE}{{}}\n  \ntwo") == ["one", "two"]


@pytest.mark.parametrize(
    ("log", "exit_code", "expected"),
    [
        ("hostler: port 1 is taken\n", 3, "port 1 is taken"),
        (f"bad weights\n{STATE}{{}}\n", 1, "bad weights"),
        ("serving", -9, "the process was ended by signal 9"),
        ("", 1, "the process ended without a word"),
        ("", None, "the process is not there any more"),
    ],
)
def test_why_a_process_ended(log, exit_code, expected):
    assert last_words(log, exit_code=exit_code) == expected
