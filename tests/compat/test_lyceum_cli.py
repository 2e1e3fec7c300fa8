"""Lyceum's own command line, as it is on PyPI, against the whole stack with a real model."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compat.environments import environment
from tests.e2e.conftest import MODEL, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Lyceum:
    """One user of the command line, with a home of their own."""

    programs: Path
    home: Path
    router_url: str

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it as a user does, at a terminal that is wide enough for its tables."""
        return subprocess.run(
            [self.programs / "lyceum", *arguments],
            capture_output=True,
            text=True,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "IRIS_PROXY_URL": self.router_url,
                "COLUMNS": "300",
                "NO_COLOR": "1",
                "TERM": "dumb",
            },
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def said(self, *arguments: str) -> str:
        """What it prints when it succeeds."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """What it prints when it fails."""
        done = self(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> object:
        """What it prints for programs."""
        return json.loads(self.said(*arguments, "--json"))

    def listed(self, *options: str) -> list[str]:
        """Ids of the deployments that it lists."""
        deployments = self.json("infer", "deployments", *options)
        assert isinstance(deployments, list)
        return [each["deployment_id"] for each in deployments]


@pytest.fixture(scope="module")
def programs() -> Path:
    return environment("lyceum")


@pytest.fixture(scope="module")
def stack(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up()
    yield stack
    stack.down()


@pytest.fixture(scope="module")
def lyceum(programs: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Lyceum:
    """Someone who has logged in with an API key."""
    user = Lyceum(programs, tmp_path_factory.mktemp("home"), f"http://127.0.0.1:{stack.router_port}")
    text = user.said("auth", "login", "--manual", "-k", f"lk_{stack.key}", "--url", api_url(stack))
    assert "Successfully authenticated!" in text
    return user


@pytest.fixture(scope="module")
def deployment_id(lyceum: Lyceum) -> str:
    """A deployment that was asked for with every flag there is, and waited for."""
    text = lyceum.said(
        *("infer", "deploy", MODEL, "--gpu-type", "cpu.small", "--gpu-count", "1", "--hf-token", "hf_canary"),
        *("--min-replicas", "1", "--max-replicas", "2", "--target-rps", "5", "--target-latency", "4000"),
        *("--stabilisation", "60", "--yes", "--wait"),
    )
    assert "Deployment is healthy! (1 replica(s))" in text
    (made,) = lyceum.listed()
    assert f"Deployment ID: {made}" in text
    return made


def api_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.api_port}"


def job_ids(stack: Stack) -> list[str]:
    listed = stack.http("GET", "/v1/jobs?include_deleted=true").json()["data"]
    return [each["job_id"] for each in listed]


def test_a_mistyped_key_does_not_log_in(stack: Stack, lyceum: Lyceum, tmp_path: Path) -> None:
    stranger = Lyceum(lyceum.programs, tmp_path, lyceum.router_url)
    text = stranger.refused("auth", "login", "--manual", "-k", f"lk_{stack.key}x", "--url", api_url(stack))
    assert "Authentication failed: HTTP 401" in text


def test_the_login_says_for_which_org_it_is(lyceum: Lyceum) -> None:
    text = lyceum.said("auth", "status")
    assert "Org: default (team org)" in text
    assert "API connection working" in text
    assert "default" in lyceum.said("org", "list")


def test_every_flag_of_deploy_reaches_the_job(stack: Stack, deployment_id: str) -> None:
    spec = stack.http("GET", f"/v1/jobs/{deployment_id}").json()["spec"]
    assert (spec["model"], spec["hardware_profile"]) == (MODEL, "cpu.small")
    assert spec["hf_token_secret"] == f"hf-token.{deployment_id}"
    scaling = spec["scaling"]
    bounds = ("min_replicas", "max_replicas", "stabilisation_window_seconds")
    assert [scaling[name] for name in bounds] == [1, 2, 60]
    assert {each["metric"]: each["threshold"] for each in scaling["targets"]} == {
        "throughput": 5,
        "latency_p95": 4000,
    }


def test_status_shows_the_deployment_and_its_healthy_replica(lyceum: Lyceum, deployment_id: str) -> None:
    told = lyceum.json("infer", "status", deployment_id)
    assert isinstance(told, dict)
    assert (told["status"], told["current_replicas"]) == ("created", 1)
    (replica,) = told["replicas"]
    assert (replica["status"], replica["healthy"], replica["fail_reason"]) == ("running", True, None)
    text = lyceum.said("infer", "status", deployment_id)
    assert replica["replica_id"] in text
    assert "Target p95:     4000.0 ms" in text


def test_lists_show_what_runs_and_what_can_be_deployed(lyceum: Lyceum, deployment_id: str) -> None:
    text = lyceum.said("infer", "deployments")
    assert deployment_id in text
    assert "1/2" in text
    assert "1x CPU.SMALL" in lyceum.said("infer", "models", "--dedicated")
    assert "No serverless models available." in lyceum.said("infer", "models")
    assert "gpu.a100" in lyceum.said("gpu", "machines")


def test_chat_gets_an_answer_and_its_usage(lyceum: Lyceum, deployment_id: str) -> None:
    text = lyceum.said(
        *("infer", "chat", "-d", deployment_id, "-p", "What is the capital of France?", "-s", "Be brief."),
        *("--tokens", "8", "--temperature", "0.1", "--timeout", "30"),
    )
    assert "out / " in text
    assert "tokens: " in text


def test_chat_with_a_deployment_that_is_not_there_says_so(lyceum: Lyceum) -> None:
    text = lyceum.refused("infer", "chat", "-d", "no-such-deployment", "-p", "Hello")
    assert "HTTP 404" in text
    assert "The model 'no-such-deployment' does not exist" in text
    assert "Org: default (team org)" in text


def test_the_logs_of_a_replica_are_what_its_server_wrote(lyceum: Lyceum, deployment_id: str) -> None:
    told = lyceum.json("infer", "status", deployment_id)
    assert isinstance(told, dict)
    (replica,) = told["replicas"]
    assert "serving" in lyceum.said("infer", "replica", "logs", replica["replica_id"])


def test_logs_of_a_replica_that_is_not_there_are_404(lyceum: Lyceum) -> None:
    text = lyceum.refused("infer", "replica", "logs", "no-such-replica")
    assert "Error: HTTP 404" in text
    assert "there is no replica 'no-such-replica'" in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(("--min-replicas", "0"), "greater than or equal to 1", id="no replicas"),
        pytest.param(
            ("--min-replicas", "3", "--max-replicas", "2"), "must be at least min_replicas (3)", id="bounds"
        ),
        pytest.param(("--target-rps", "-1"), "greater than 0", id="a negative target"),
        pytest.param(("-g", "b200"), "must be one of a100", id="hardware"),
        pytest.param(("--stabilisation", "4000"), "less than or equal to 3600", id="a long window"),
    ],
)
def test_a_bad_flag_is_refused_with_the_reason(
    stack: Stack, lyceum: Lyceum, flags: tuple[str, ...], expected: str
) -> None:
    before = job_ids(stack)
    text = lyceum.refused("infer", "deploy", MODEL, "--yes", *flags)
    assert "Error: HTTP 422" in text
    assert expected in text
    assert job_ids(stack) == before


def test_stop_ends_a_deployment_for_good(stack: Stack, lyceum: Lyceum, deployment_id: str) -> None:
    lyceum.said("infer", "deploy", MODEL, "--yes")
    (made,) = set(job_ids(stack)) - {deployment_id}
    text = lyceum.said("infer", "stop", made)
    assert "Deployment stopped!" in text
    assert lyceum.listed() == [deployment_id]
    assert made in lyceum.listed("--all")
    assert "Error: HTTP 404" in lyceum.refused("infer", "status", made)
    assert "stopped" in lyceum.said("infer", "status", made, "--all")
    until(lambda: stack.http("GET", f"/v1/jobs/{made}").json()["status"]["phase"] == "Deleted", "it is gone")


def test_what_hostler_does_not_offer_says_what_to_do_instead(lyceum: Lyceum) -> None:
    text = lyceum.refused("auth", "keys", "list")
    assert "Error: HTTP 501" in text
    assert "API keys are not managed through this dialect" in text
