"""Keys on the whole stack, with two routers: from when on a revoked one opens nothing, and what is counted of one that was used."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
import pytest

from tests.e2e.conftest import Stack, until
from tests.e2e.test_simulated import QUESTION, QUICK, deploy, ready_ids
from tests.support.servers import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Read = TypeVar("Read")
EFFECTIVE_SECONDS = 5.0
KNOCKS = 20
"""With a connection each, so that both of two routers are met but for once in half a million times."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    listener = {"HOSTLER_API_ADMIN_HOST": "127.0.0.1", "HOSTLER_API_ADMIN_PORT": str(free_port())}
    stack = Stack(tmp_path_factory.mktemp("stack"), environment=listener)
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


def made(stack: Stack, **fields: object) -> dict[str, str]:
    answer = stack.http("POST", "/v1/api-keys", json={"name": "k", "scopes": ["inference"], **fields})
    assert answer.status_code == 201, answer.text
    key: dict[str, str] = answer.json()
    return key


def ask(stack: Stack, secret: str, model: str = "demo") -> int:
    """One question over a connection of its own."""
    return httpx2.post(
        f"http://127.0.0.1:{stack.router_port}/v1/chat/completions",
        json={"model": model, "messages": QUESTION},
        headers={"Authorization": f"Bearer {secret}", "Connection": "close"},
        timeout=30,
    ).status_code


def knocks(stack: Stack, secret: str) -> set[int]:
    return {ask(stack, secret) for _ in range(KNOCKS)}


def test_a_key_is_revoked_at_every_router_within_seconds_and_its_requests_are_counted(stack: Stack) -> None:
    deploy(stack, "demo", QUICK)
    until(lambda: len(ready_ids(stack, "demo")) == 1, "it is ready")
    key = made(stack, allowed_jobs=["demo"])
    until(lambda: knocks(stack, key["secret"]) == {200}, "both routers know the new key")

    rotated = stack.http("POST", f"/v1/api-keys/{key['key_id']}/rotate", json={"overlap_seconds": 0}).json()
    until(lambda: knocks(stack, rotated["secret"]) == {200}, "both routers know its new secret")
    assert knocks(stack, key["secret"]) == {401}

    started = time.monotonic()
    assert stack.http("POST", f"/v1/api-keys/{key['key_id']}/revoke").status_code == 200
    until(lambda: knocks(stack, rotated["secret"]) == {401}, "no router takes it any more")
    took = time.monotonic() - started
    assert took < EFFECTIVE_SECONDS
    print(f"revoked everywhere after {took:.2f} s, the knocks included")

    answered = [
        line
        for line in stack.log_lines("router")
        if line["event"] == "request" and line["status"] == 200 and line["job"]
    ]
    assert len(answered) >= 2 * KNOCKS

    def counted() -> list[dict[str, int]]:
        usage: list[dict[str, int]] = stack.http(
            "GET", f"/v1/api-keys/{key['key_id']}/usage?granularity=month"
        ).json()["data"]
        return usage

    until(lambda: sum(each["requests"] for each in counted()) == len(answered), "all is counted")
    (bucket,) = counted()
    assert bucket["completion_tokens"] == 4 * len(answered)
    assert bucket["failed_requests"] == 0
    until(
        lambda: stack.http("GET", f"/v1/api-keys/{key['key_id']}").json()["last_used_at"] is not None,
        "its last use is known",
    )


def test_a_router_that_is_killed_loses_what_it_had_not_stored_and_nothing_else(stack: Stack) -> None:
    key = made(stack, name="witness")
    until(lambda: knocks(stack, key["secret"]) == {200}, "both routers know the key")

    def counted() -> int:
        answer = stack.http("GET", f"/v1/api-keys/{key['key_id']}/usage?granularity=month")
        return sum(each["requests"] for each in answer.json()["data"])

    before = when_calm(counted)
    ended: list[float] = []
    begin = time.monotonic()
    while time.monotonic() - begin < 4:
        assert ask(stack, key["secret"]) == 200
        ended.append(time.monotonic())
    for pid in pids(stack, "router"):
        os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    # A second until the next flush, and as much again for a slow machine to finish one.
    surely_stored = sum(moment < killed - 2 for moment in ended)
    assert surely_stored > 5
    until(lambda: counted() - before >= surely_stored, "what was stored is counted")
    assert when_calm(counted) - before <= len(ended)
    print(f"answered {len(ended)}, counted {counted() - before}")
    until(lambda: knocks_pass(stack, key["secret"]), "both routers are there again")


def when_calm(read: Callable[[], Read]) -> Read:
    """What is read once it has stood still for longer than routers take to store."""
    latest, since = read(), time.monotonic()
    while time.monotonic() - since < 3:
        if (now := read()) != latest:
            latest, since = now, time.monotonic()
        time.sleep(0.1)
    return latest


def pids(stack: Stack, service: str) -> list[int]:
    processes = stack.status()["processes"]
    assert isinstance(processes, list)
    return [int(each["pid"]) for each in processes if each["name"].startswith(f"{service}-") and each["pid"]]


def knocks_pass(stack: Stack, secret: str) -> bool:
    try:
        return len(pids(stack, "router")) == 2 and knocks(stack, secret) == {200}
    except httpx2.HTTPError:
        return False


def test_what_was_counted_is_there_after_all_services_were_started_again(stack: Stack) -> None:
    def counted() -> object:
        answer = stack.http("GET", "/v1/api-keys/usage?granularity=month")
        return answer.json()["data"] if answer.status_code == 200 else None

    before = when_calm(counted)
    assert before
    stack.down()
    stack.up("--scale", "router=2")
    until(lambda: counted() == before, "the same is counted from what is stored")


def test_projects_are_changed_at_the_admins_listener_alone(stack: Stack) -> None:
    public = ("projects", "create", "new", "--api-url", f"http://127.0.0.1:{stack.api_port}")
    admins = (*public[:-1], f"http://127.0.0.1:{stack.environment['HOSTLER_API_ADMIN_PORT']}")
    key_file = ("--api-key-file", str(stack.data_dir / "admin.key"))
    assert stack.hostler(*public, *key_file).returncode == 3
    done = stack.hostler(*admins, *key_file, "-o", "name")
    assert (done.returncode, done.stdout) == (0, "new\n")
    assert stack.http("GET", "/v1/projects/new").status_code == 200
