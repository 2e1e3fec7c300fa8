"""runapy, Run:ai's own client, as published: what it does with Run:ai it does with Hostler."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.environments import environment
from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def client() -> Path:
    """The Python that has runapy; made before the stack, which is not started in vain where it can't be."""
    return environment("runai") / "python"


@pytest.fixture(scope="module")
def stack(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up()
    yield stack
    stack.down()


@pytest.fixture(scope="module")
def run(client: Path, stack: Stack) -> Run:
    """Runs one scenario with the client's own Python."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOSTLER_URL": f"http://127.0.0.1:{stack.api_port}",
        "HOSTLER_ROUTER_URL": f"http://127.0.0.1:{stack.router_port}",
        "HOSTLER_KEY": stack.key,
    }

    def scenario(name: str) -> dict[str, Any]:
        done = subprocess.run(
            [client, Path(__file__).with_name("runai_client.py"), name],
            capture_output=True,
            text=True,
            env=variables,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    variables["HOSTLER_KEY_ID"] = scenario("who_am_i")["key_id"]
    return scenario


def test_its_whole_life_is_managed_by_the_published_client(run: Run) -> None:
    seen = run("lifecycle")

    workload_id = seen["created"]["workloadId"]
    assert (seen["created"]["status"], seen["created"]["actualPhase"]) == (202, "Creating")
    assert seen["created"]["spec"]["autoscaling"]["metricThresholdPercentage"] == 70
    assert seen["taken"] == {"kind": "ConflictException", "status": 409, "fields": []}
    assert seen["running"]["spec"]["args"].startswith("--model made-up/model --first_token_seconds 0.05")
    assert (seen["listed"], seen["counted"]) == ([workload_id], 1)
    assert seen["row"] == {"phase": "Running", "running_pods": 1, "priority": "very-high"}
    assert [pod["k8s_phase"] for pod in seen["pods"]] == ["Running"]
    assert seen["metrics"]["types"] == ["THROUGHPUT", "LATENCY"]
    for measured in (seen["metrics"], seen["pod_metrics"]):
        assert measured["status"] == 200
        assert measured["largest"] > 0, "real requests were measured"
    assert seen["patched"]["status"] == 202
    assert seen["patched"]["spec"]["autoscaling"] == seen["running"]["spec"]["autoscaling"] | {
        "maxReplicas": 3
    }
    assert seen["patched"]["spec"]["priorityClass"] == "high"
    assert seen["suspended"]["succeeded"] == seen["resumed"]["succeeded"] == [workload_id]
    assert seen["stopped"] == "Stopped"
    assert seen["new_args"]["spec"]["args"] == "--model made-up/model --completion_tokens 5"
    assert seen["revisions"] == [seen["new_args"]["spec"]["args"], seen["running"]["spec"]["args"]]
    assert (seen["first_revision"], seen["revision_events"] > 0) == (workload_id, True)
    assert seen["phases"][:4] == ["Creating", "Initializing", "Running", "Stopping"]
    assert {"JobCreated", "ReplicaReady", "JobStopRequested", "JobUpdated"} <= set(seen["event_reasons"])
    assert (seen["deleted"]["status"], seen["deleted"]["code"]) == (202, 202)
    assert seen["tombstones"] == [workload_id]


def test_refusals_reach_the_program_as_the_clients_own_exceptions(run: Run) -> None:
    seen = run("refusals")

    assert seen["unknown"] == {"kind": "NotFoundException", "status": 404, "fields": []}
    assert seen["half_a_gpu"] == {
        "kind": "BadRequestException",
        "status": 400,
        "fields": ["compute.gpuPortionRequest"],
    }
    assert (seen["git"]["status"], seen["git"]["fields"]) == (400, ["storage.git"])
    assert (seen["no_metric"]["status"], seen["no_metric"]["fields"]) == (400, ["autoscaling.metric"])
    assert (seen["stranger"]["kind"], seen["stranger"]["status"]) == ("UnauthorizedException", 401)
    assert seen["wrong_secret"] is True
