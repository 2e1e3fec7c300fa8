"""Scaling, failing starts and hung replicas on the whole stack, with simulated replicas: quick ones that fail when told to."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import openai
import pytest

from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

MODEL = "made-up/model"
QUICK = {"first_token_seconds": "0.05", "tokens_per_second": "200", "completion_tokens": "4"}
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Room for the job of `busy` beside those of the tests.
    quick = {"HOSTLER_PROVISIONER_UNHEALTHY_TIMEOUT_SECONDS": "2", "HOSTLER_PROVISIONER_NODE_CPU_CORES": "8"}
    stack = Stack(tmp_path_factory.mktemp("stack"), environment=quick)
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


def deploy(stack: Stack, name: str, args: dict[str, str], **fields: object) -> None:
    body = {
        "model": MODEL,
        "name": name,
        "runtime": "simulated",
        "hardware_profile": "cpu.small",
        "serving": {"args": args},
        **fields,
    }
    answer = stack.http("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text


def status(stack: Stack, name: str) -> dict[str, object]:
    found: dict[str, object] = stack.http("GET", f"/v1/jobs/{name}").json()["status"]
    return found


def replicas_in(stack: Stack, name: str, state: str) -> list[str]:
    replicas = status(stack, name)["replicas"]
    assert isinstance(replicas, list)
    return [replica["replica_id"] for replica in replicas if replica["state"] == state]


def ready_ids(stack: Stack, name: str) -> list[str]:
    return replicas_in(stack, name, "Ready")


def changes(stack: Stack, name: str, event: str) -> list[dict[str, object]]:
    events = stack.http("GET", f"/v1/jobs/{name}/events").json()["data"]
    return [each["data"]["change"] for each in events if each["type"] == f"dev.hostler.{event}.v1"]


def delete(stack: Stack, name: str) -> None:
    assert stack.hostler("jobs", "delete", name, "--yes", "--wait").returncode == 0


class Callers:
    """Clients that ask again and again until told to stop, and keep every failure."""

    def __init__(self, stack: Stack, model: str, count: int, *, pause_seconds: float) -> None:
        self.answered: list[int] = []
        self.failures: list[Exception] = []
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(stack.openai(), model)) for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, client: openai.OpenAI, model: str) -> None:
        while not self._stop.wait(self._pause_seconds):
            try:
                answer = client.chat.completions.create(model=model, messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
                self.answered.append(answer.usage.completion_tokens if answer.usage else 0)
            except openai.OpenAIError as error:
                self.failures.append(error)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Busy:
    """A job that load has given a second replica, and its callers: the crowd, which has gone, and one who stays."""

    crowd: Callers
    one: Callers


@pytest.fixture(scope="module", autouse=True)
def busy(stack: Stack) -> Iterator[Busy]:
    """It takes a while until the crowd is forgotten, so the other tests run meanwhile."""
    scaling = {"min_replicas": 1, "max_replicas": 2, "stabilisation_window_seconds": 5}
    deploy(stack, "busy", QUICK, scaling=scaling, target_rps=2)
    until(lambda: len(ready_ids(stack, "busy")) == 1, "the first replica is ready")
    crowd = Callers(stack, "busy", 4, pause_seconds=0.05)
    try:
        until(lambda: len(ready_ids(stack, "busy")) == 2, "load has added a replica")
    finally:
        crowd.stop()
    # Slowly enough for one replica; the other one is drained under these requests.
    one = Callers(stack, "busy", 1, pause_seconds=1)
    try:
        yield Busy(crowd, one)
    finally:
        one.stop()


def test_starts_that_fail_every_time_end_the_job_with_the_reason(stack: Stack) -> None:
    deploy(stack, "broken", {"fail_start": "7"})
    until(lambda: status(stack, "broken")["phase"] == "Failed", "the job is given up", timeout_seconds=120)

    found = status(stack, "broken")
    assert found["phase_reason"] == "RepeatedCrash"
    assert "5 starts in a row failed" in str(found["phase_detail"])
    assert "simulated failure of the start with exit code 7" in str(found["phase_detail"])
    failed = changes(stack, "broken", "replica.failed")
    assert [change["reason"] for change in failed] == ["StartFailed"] * 5
    delete(stack, "broken")


def test_an_argument_that_the_runtime_does_not_know_fails_the_job_at_once(stack: Stack) -> None:
    deploy(stack, "odd", {"n_ctx": "2048"})
    until(lambda: status(stack, "odd")["phase"] == "Failed", "the job is given up")

    found = status(stack, "odd")
    assert (found["phase_reason"], len(changes(stack, "odd", "replica.failed"))) == ("CannotStart", 1)
    assert "n_ctx" in str(found["phase_detail"])
    delete(stack, "odd")


def test_a_replica_that_hangs_is_unhealthy_and_then_replaced(stack: Stack) -> None:
    others = set(stack.replica_pids())
    deploy(stack, "stuck", {**QUICK, "hang_after_requests": "1"})
    until(lambda: len(ready_ids(stack, "stuck")) == 1, "it is ready")
    (hung,) = ready_ids(stack, "stuck")
    (pid,) = set(stack.replica_pids()) - others
    client = stack.openai().with_options(timeout=1)
    client.chat.completions.create(model="stuck", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="stuck", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts

    until(lambda: ready_ids(stack, "stuck") not in ([], [hung]), "another one is ready")

    assert [change["replica_id"] for change in changes(stack, "stuck", "replica.unhealthy")] == [hung]
    (failed,) = changes(stack, "stuck", "replica.failed")
    assert (failed["replica_id"], failed["reason"]) == (hung, "Unresponsive")
    assert pid not in stack.replica_pids()
    answer = client.chat.completions.create(model="stuck", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts
    assert answer.system_fingerprint == "simulated"
    delete(stack, "stuck")


def test_what_a_job_did_can_be_read_back_as_series_of_the_job_and_of_its_replicas(stack: Stack) -> None:
    deploy(stack, "measured", QUICK)
    until(lambda: len(ready_ids(stack, "measured")) == 1, "the replica is ready")
    (replica,) = ready_ids(stack, "measured")
    for _ in range(7):
        stack.openai().chat.completions.create(model="measured", messages=QUESTION)

    def last_minutes(name: str, **params: str) -> float | None:
        query = {"names": name, "samples": "1", **params}
        answer = stack.http("GET", "/v1/jobs/measured/metrics", params=query)
        assert answer.status_code == 200, answer.text
        found: float | None = answer.json()["series"][0]["samples"][0]["value"]
        return found

    until(lambda: last_minutes("requests") == 7, "every request is in the history of the job")
    until(lambda: last_minutes("requests", replica=replica) == 7, "and of its replica")
    assert last_minutes("completion_tokens") == 7 * 4
    latency = last_minutes("latency_p95_ms")
    assert latency is not None
    assert latency > 0
    assert last_minutes("errors") == 0
    assert last_minutes("queued") == 0
    until(lambda: (last_minutes("replicas_ready") or 0) > 0, "the number of replicas is in it too")
    assert stack.http("GET", "/v1/jobs/measured/metrics", params={"replica": "nobody"}).status_code == 404
    shown = stack.hostler("metrics", "measured", "--since", "10m", "--name", "requests")
    assert "requests" in shown.stdout, shown.stderr
    delete(stack, "measured")


def test_load_scales_from_one_to_two_and_back_without_a_failed_request(stack: Stack, busy: Busy) -> None:
    until(lambda: len(ready_ids(stack, "busy")) == 1, "the calm has taken it away", timeout_seconds=120)
    until(lambda: len(replicas_in(stack, "busy", "Terminated")) == 1, "it is gone")
    busy.one.stop()

    assert busy.crowd.failures + busy.one.failures == []
    assert len(busy.crowd.answered) > 10
    assert set(busy.crowd.answered + busy.one.answered) == {4}
    scaled = changes(stack, "busy", "job.scaled")
    assert [change["desired_replicas"] for change in scaled] == [2, 1]
    delete(stack, "busy")
