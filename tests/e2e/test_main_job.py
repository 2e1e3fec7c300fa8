"""The main job end to end: deploy a real model, call it with the stock OpenAI client, watch it scale, take it down."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import openai
import pytest

from tests.e2e.conftest import MODEL, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

QUESTION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


@pytest.fixture(scope="module")
def demo(stack: Stack) -> Iterator[str]:
    """A job with two replicas that both serve; its id."""
    done = stack.hostler(
        "deploy",
        MODEL,
        "--name",
        "demo",
        "--min-replicas",
        "2",
        "--max-replicas",
        "2",
        "--wait",
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    job_id: str = json.loads(done.stdout)["job_id"]
    until(lambda: ready(stack, "demo") == 2, "two replicas are ready")
    yield job_id
    stack.hostler("jobs", "delete", "demo", "--yes", "--wait")


def ready(stack: Stack, job: str) -> int:
    count: int = stack.http("GET", f"/v1/jobs/{job}").json()["status"]["ready_replicas"]
    return count


def ready_ids(stack: Stack, job: str) -> list[str]:
    replicas = stack.http("GET", f"/v1/jobs/{job}").json()["status"]["replicas"]
    return [replica["replica_id"] for replica in replicas if replica["state"] == "Ready"]


def test_every_process_is_ready(stack: Stack) -> None:
    status = stack.status()
    processes = status["processes"]
    assert isinstance(processes, list)
    assert {each["state"] for each in processes} == {"ready"}
    assert [each["name"] for each in processes].count("router-1") == 1
    assert len(processes) == 8


def test_a_plain_answer_has_a_message_and_its_usage(stack: Stack, demo: str) -> None:
    answer = stack.openai().chat.completions.create(model=demo, messages=QUESTION, max_tokens=16)  # type: ignore[arg-type]  # plain dicts
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("wanted", [True, False], ids=["with usage", "without usage"])
def test_a_stream_brings_text_and_usage_only_when_it_was_asked_for(
    stack: Stack, demo: str, wanted: bool
) -> None:
    options = {"stream_options": {"include_usage": True}} if wanted else {}
    stream = stack.openai().chat.completions.create(  # type: ignore[call-overload]  # plain dicts
        model="demo", messages=QUESTION, max_tokens=16, stream=True, **options
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert [chunk.usage is not None for chunk in chunks].count(True) == int(wanted)
    assert all(chunk.choices for chunk in chunks) is not wanted


def test_a_job_is_called_by_id_name_project_and_model(stack: Stack, demo: str) -> None:
    for model in (demo, "demo", "default/demo", MODEL):
        answer = stack.openai().chat.completions.create(model=model, messages=QUESTION, max_tokens=1)  # type: ignore[arg-type]  # plain dicts
        assert answer.object == "chat.completion"
    assert demo in [model.id for model in stack.openai().models.list()]


def test_two_replicas_share_the_load(stack: Stack, demo: str) -> None:
    client = stack.openai()

    def ask() -> None:
        client.chat.completions.create(model=demo, messages=QUESTION, max_tokens=24)  # type: ignore[arg-type]  # plain dicts

    began = datetime.now(UTC).isoformat()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def asked() -> list[str]:
        lines = [line for line in stack.log_lines("router") if str(line["timestamp"]) >= began]
        return [str(line["replica"]) for line in lines if line.get("job") == demo and line.get("replica")]

    # The line of a request is written after its answer was sent.
    until(lambda: len(asked()) >= 8, "every request has its line in the log", timeout_seconds=10)
    replicas = asked()
    assert len(replicas) == 8
    assert min(replicas.count(replica) for replica in ready_ids(stack, demo)) >= 2


def test_a_wrong_key_is_401(stack: Stack) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        stack.openai("hsk_wrong").chat.completions.create(model="demo", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
    assert refusal.value.code == "invalid_api_key"


def test_an_unknown_model_is_404(stack: Stack) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        stack.openai().chat.completions.create(model="no-such-job", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
    assert refusal.value.code == "model_not_found"


def test_a_bad_job_is_400_and_names_the_field(stack: Stack) -> None:
    body = {"model": MODEL, "scaling": {"min_replicas": 3, "max_replicas": 1}}
    answer = stack.http("POST", "/v1/jobs", json=body)
    assert answer.status_code == 400
    assert "scaling.max_replicas" in [error["field"] for error in answer.json()["errors"]]
    done = stack.hostler("deploy", MODEL, "--min-replicas", "3", "--max-replicas", "1")
    assert done.returncode != 0
    assert "max_replicas" in done.stderr


def test_a_job_that_no_node_can_take_says_why_it_waits(stack: Stack) -> None:
    body = {"model": "Qwen/Qwen3-32B", "runtime": "vllm", "name": "big"}
    assert stack.http("POST", "/v1/jobs", json=body).status_code == 202
    until(lambda: stack.http("GET", "/v1/jobs/big").json()["status"]["phase"] == "Pending", "it waits")
    status = stack.http("GET", "/v1/jobs/big").json()["status"]
    assert status["phase_reason"] == "NoMatchingHardware"
    assert "local/" in status["phase_detail"]
    with pytest.raises(openai.InternalServerError) as refusal:
        stack.openai().chat.completions.create(model="big", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
    assert refusal.value.status_code == 503
    stack.hostler("jobs", "delete", "big", "--yes", "--wait")


def test_load_adds_a_replica_and_its_end_takes_it_away_without_a_failed_request(
    stack: Stack, demo: str
) -> None:
    """Windows go from the routers to the autoscaler, its decision to the scheduler, the placement to the provisioner."""
    body = {
        "model": MODEL,
        "name": "busy",
        "scaling": {"min_replicas": 1, "max_replicas": 2, "stabilisation_window_seconds": 5},
        "target_rps": 0.5,
    }
    assert stack.http("POST", "/v1/jobs", json=body).status_code == 202
    until(lambda: ready(stack, "busy") == 1, "the first replica is ready")
    client = stack.openai()
    answered = 0

    def call() -> bool:
        nonlocal answered
        client.chat.completions.create(model="busy", messages=QUESTION, max_tokens=2)  # type: ignore[arg-type]  # plain dicts
        answered += 1
        return ready(stack, "busy") == 2

    until(call, "load has added a replica")
    until(lambda: ready(stack, "busy") == 1, "idleness has taken it away", timeout_seconds=120)
    events = stack.http("GET", "/v1/jobs/busy/events").json()["data"]
    scaled = [event["data"]["change"] for event in events if event["type"] == "dev.hostler.job.scaled.v1"]
    assert [change["desired_replicas"] for change in scaled] == [2, 1]
    up, down = (change["reasons"] for change in scaled)
    assert up[0].startswith("up from 1 to 2: ")
    assert any(each.startswith("rate: ") and "/ 0.5 rps per replica" in each for each in up)
    assert down[0].startswith("down from 2 to 1: ")
    assert "dev.hostler.replica.draining.v1" in [event["type"] for event in events]
    assert answered > 1
    stack.hostler("jobs", "delete", "busy", "--yes", "--wait")


def test_deleting_leaves_no_process_and_a_readable_history(stack: Stack, demo: str) -> None:
    before = set(stack.replica_pids())
    done = stack.hostler("deploy", MODEL, "--name", "brief", "--wait", "-o", "json")
    job_id = json.loads(done.stdout)["job_id"]
    assert len(set(stack.replica_pids()) - before) == 1
    assert stack.hostler("jobs", "delete", "brief", "--yes", "--wait").returncode == 0
    assert set(stack.replica_pids()) == before
    events = stack.http("GET", f"/v1/jobs/{job_id}/events").json()["data"]
    names = [event["type"].removeprefix("dev.hostler.").removesuffix(".v1") for event in events]
    assert names[0] == "job.created"
    assert names[-5:] == [
        "job.delete_requested",
        "replica.draining",
        "replica.terminating",
        "replica.terminated",
        "job.deleted",
    ]


def test_chat_on_the_command_line_answers(stack: Stack, demo: str) -> None:
    done = stack.hostler("chat", "demo", "-p", "Say hello.", "--tokens", "8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_no_secret_shows_in_logs_or_state(stack: Stack, demo: str) -> None:
    secret = (stack.data_dir / "secret.key").read_text().strip()
    for path in [*(stack.data_dir / "logs").iterdir(), stack.data_dir / "supervisor.json"]:
        text = path.read_text(errors="replace")
        assert stack.key not in text, path
        assert secret not in text, path
        assert "hsr_" not in text, path


def test_nats_refused_nobody_anything(stack: Stack, demo: str) -> None:
    log = (stack.data_dir / "logs" / "nats.log").read_text()
    assert [line for line in log.splitlines() if "Violation" in line] == []
