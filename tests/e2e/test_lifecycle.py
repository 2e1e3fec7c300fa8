"""Stop, resume, restart and update on the real stack, with real model servers and streams that must not break."""

import json
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.e2e.conftest import MODEL, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUESTION = [{"role": "user", "content": "Count from one to twenty."}]


@pytest.fixture(scope="module")
def demo(stack: Stack) -> Iterator[str]:
    options = ("--name", "demo", "--min-replicas", "2", "--max-replicas", "2", "--wait", "-o", "json")
    done = stack.hostler("deploy", MODEL, *options)
    assert done.returncode == 0, done.stderr
    until(lambda: len(ready_ids(stack)) == 2, "two replicas are ready")
    yield json.loads(done.stdout)["job_id"]
    stack.hostler("jobs", "delete", "demo", "--yes", "--wait")


def status(stack: Stack) -> dict[str, object]:
    found: dict[str, object] = stack.http("GET", "/v1/jobs/demo").json()["status"]
    return found


def ready_ids(stack: Stack) -> set[str]:
    replicas = stack.http("GET", "/v1/jobs/demo").json()["status"]["replicas"]
    return {replica["replica_id"] for replica in replicas if replica["state"] == "Ready"}


def stream(stack: Stack, tokens: int = 24) -> str:
    """One streamed answer, to its end."""
    answer = stack.openai().chat.completions.create(
        model="demo",
        messages=QUESTION,  # type: ignore[arg-type]  # plain dicts
        max_tokens=tokens,
        stream=True,
    )
    chunks = [chunk for chunk in answer if chunk.choices]
    assert chunks[-1].choices[0].finish_reason is not None
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_new_bounds_restart_nothing(stack: Stack, demo: str) -> None:
    before, pids = ready_ids(stack), stack.replica_pids()
    done = stack.hostler("jobs", "update", demo, "--max-replicas", "3", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert (job["generation"], job["spec"]["scaling"]["max_replicas"]) == (1, 3)
    assert (ready_ids(stack), sorted(stack.replica_pids())) == (before, sorted(pids))


def test_a_restart_under_streaming_load_replaces_every_replica_without_a_failed_request(
    stack: Stack, demo: str
) -> None:
    before = ready_ids(stack)
    over = threading.Event()
    answered: list[str] = []
    broken: list[Exception] = []

    def ask() -> None:
        while not over.is_set():
            try:
                answered.append(stream(stack))
            except (openai.OpenAIError, httpx2.HTTPError, AssertionError, IndexError) as error:
                broken.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        done = stack.hostler("jobs", "restart", "demo", "--wait", "--timeout", "110", "-o", "json")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert done.returncode == 0, done.stderr
    assert broken == []
    assert len(answered) >= 3
    after = ready_ids(stack)
    assert len(after) == 2
    assert after & before == set()
    assert json.loads(done.stdout)["generation"] == 2


def test_a_stopped_job_has_no_process_and_answers_503_until_it_is_resumed(stack: Stack, demo: str) -> None:
    assert stack.hostler("jobs", "stop", "demo", "--wait").returncode == 0
    assert stack.replica_pids() == []
    with pytest.raises(openai.InternalServerError) as refusal:
        stream(stack)
    assert refusal.value.status_code == 503
    assert status(stack)["phase"] == "Stopped"
    explained = stack.hostler("explain", "demo")
    assert "demo is Stopped" in explained.stdout
    assert "next: nothing; resume starts it over" in explained.stdout
    resumed = stack.hostler("jobs", "resume", "demo", "--wait")
    assert resumed.returncode == 0, resumed.stderr
    assert stream(stack)


def test_new_arguments_that_no_runtime_knows_leave_the_old_replicas_serving_and_say_why(
    stack: Stack, demo: str
) -> None:
    until(lambda: len(ready_ids(stack)) == 2, "both are back")
    before = ready_ids(stack)
    assert stack.hostler("jobs", "update", "demo", "--arg", "no_such_argument=1").returncode == 0
    until(lambda: status(stack)["phase_reason"] == "BackingOff", "a start has failed and the next one waits")
    assert ready_ids(stack) == before
    assert stream(stack, tokens=4)
    explained = json.loads(stack.hostler("explain", "demo", "-o", "json").stdout)
    assert explained["phase"] == "Updating"
    assert explained["next"][0].startswith("next try at ")
    done = stack.hostler("jobs", "update", "demo", "--arg", "no_such_argument=", "--wait", "--timeout", "110")
    assert done.returncode == 0, done.stderr
    assert ready_ids(stack) & before == set()
