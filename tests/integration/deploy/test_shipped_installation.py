"""The manifests at work: the shipped variables, secrets, servers and roles carry a job from its creation to its deletion."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.kubernetes.journal import Asked
from tests.support.shipped import SERVICES, Shipped, shipped

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ACCOUNT = "system:serviceaccount:hostler:hostler-provisioner"
MODEL = "Qwen/Qwen3-32B"


def test_a_job_lives_and_goes_with_nothing_but_what_is_shipped(tmp_path: Path):
    with shipped(tmp_path) as installation, _as_admin(installation) as client:
        api, router = installation.url("api"), installation.url("router")
        made = client.post(f"{api}/v1/jobs", json={"name": "demo", "model": MODEL})
        assert made.status_code == 202, made.text
        job = f"{api}/v1/jobs/demo"
        _until(
            lambda: client.get(job).json(), lambda found: found["status"]["phase"] == "Running", installation
        )
        question = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
        answer = client.post(f"{router}/v1/chat/completions", json=question)
        assert answer.status_code == 200, answer.text
        assert client.get(f"{job}/metrics").json()["complete"] in {True, False}
        assert client.delete(job).status_code == 202
        _until(lambda: client.get(job), lambda found: found.status_code == 404, installation)

        asked = [
            each
            for each in installation.cluster.journal()
            if isinstance(each, Asked) and each.user == ACCOUNT
        ]
        kinds = {each.resource.partition(".")[0] for each in asked}
        assert kinds >= {"virtualmachineinstances", "secrets", "nodes", "networkpolicies"}
        assert [(each.verb, each.resource, each.name) for each in asked if each.status in {401, 403}] == []
        left = {kind.partition(".")[0] for kind, count in installation.cluster.objects().items() if count}
        assert not {"virtualmachineinstances", "datavolumes", "networkpolicies"} & left
        for service in SERVICES:
            assert "permissions violation" not in installation.log(service).lower(), service


def _as_admin(installation: Shipped) -> httpx2.Client:
    return httpx2.Client(headers={"Authorization": f"Bearer {installation.admin_key}"}, timeout=60)


def _until(ask: Callable[[], Any], holds: Callable[[Any], bool], installation: Shipped) -> Any:
    deadline = time.monotonic() + 60
    while not holds(found := ask()):
        if time.monotonic() > deadline:
            pytest.fail(f"{found}\n{installation.log('provisioner')[-3000:]}")
        time.sleep(0.1)
    return found
