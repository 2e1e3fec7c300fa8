"""Stop, resume, restart, update and explain as they are typed, against a real server that decides as the api does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler_cli.job_replicas import WaitFor
from hostler_client import Until
from hostler_domain.changes import (
    Change,
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobStopped,
    JobStopRequested,
    ReplicaDraining,
    ReplicaTerminated,
)
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from tests.support.builders import at, created, draining, ready, scheduled
from tests.unit.cli.test_commands import ROUTING, ROUTING_OPTIONS, Shell
from tests.unit.client.fake_api import KEY, FakeApi

STOPPED = (JobStopRequested(at(20), "key-1"), JobStopped(at(21)))


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def shell(api: FakeApi, tmp_path: Path) -> Iterator[Shell]:
    with api.served() as url:
        yield Shell(
            {
                "HOSTLER_API_URL": url,
                "HOSTLER_API_KEY": KEY,
                "HOSTLER_ROUTER_URL": None,
                "HOSTLER_DATA_DIR": str(tmp_path),
            }
        )


def test_a_stop_that_waits_returns_when_nothing_runs(shell: Shell, api: FakeApi) -> None:
    api.add(
        created(),
        scheduled(),
        ready(),
        ReplicaDraining(at(101), "r1", ReplicaReason.JOB_STOPPED),
        ReplicaTerminated(at(102), "r1"),
        JobStopped(at(103)),
        told=3,
    )
    done = shell("jobs", "stop", "demo", "--wait", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["status"]["phase"]) == (0, "Stopped")


def test_a_resume_that_waits_returns_when_a_replica_serves(shell: Shell, api: FakeApi) -> None:
    api.add(created(), *STOPPED, scheduled(seconds=110), ready(seconds=111), told=3)
    done = shell("jobs", "resume", "demo", "--wait", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["status"]["phase"]) == (0, "Running")


def test_a_restart_names_the_generation_it_means_and_waits_for_the_last_replacement(
    shell: Shell, api: FakeApi
) -> None:
    api.add(
        created(),
        scheduled(),
        ready(),
        scheduled("r2", 110),
        ready("r2", 111),
        draining("r1", 112, ReplicaReason.REPLACED),
        told=3,
    )
    done = shell("jobs", "restart", "demo", "--wait", "-o", "json")
    job = json.loads(done.stdout)
    assert (done.exit_code, job["generation"], job["status"]["phase"]) == (0, 2, "Running")
    (sent,) = (request for request in api.requests if request.method == "POST")
    assert str(sent.url).endswith("/restart?of_generation=1")
    assert {each["replica_id"]: each["state"] for each in job["status"]["replicas"]}["r1"] == "Draining"


def test_a_restart_of_a_stopped_job_is_a_conflict(shell: Shell, api: FakeApi) -> None:
    api.add(created(), *STOPPED)
    done = shell("jobs", "restart", "demo")
    assert done.exit_code == 5
    assert "resume it" in done.stderr


def test_an_update_sends_only_what_was_said(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    options = "--max-replicas 5 --target-rps 4 --arg n_ctx=1024 --label team=a --label old= --priority 100"
    done = shell("jobs", "update", "demo", *options.split(), "--revision", "3", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["generation"]) == (0, 2)
    assert api.bodies("PATCH") == [
        {
            "scaling": {"max_replicas": 5},
            "target_rps": 4.0,
            "serving": {"args": {"n_ctx": "1024"}},
            "labels": {"team": "a", "old": None},
            "priority": 100,
        }
    ]
    (sent,) = (request for request in api.requests if request.method == "PATCH")
    assert sent.headers["if-match"] == '"3"'
    assert sent.headers["content-type"] == "application/merge-patch+json"


def test_an_update_can_say_how_a_job_sleeps_and_who_may_ask_it(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    options = "--min-replicas 0 --activation-replicas 2 --scale-to-zero-after 60 --endpoint-auth public"
    assert shell("jobs", "update", "demo", *options.split()).exit_code == 0
    assert api.bodies("PATCH") == [
        {
            "scaling": {"min_replicas": 0, "activation_replicas": 2, "scale_to_zero_after_seconds": 60},
            "endpoint_auth": "public",
        }
    ]


def test_an_update_replaces_the_windows_of_a_schedule_or_takes_them_away(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    assert shell("jobs", "update", "demo", "--schedule", "0 8 * * 1-5; 30m; 2..").exit_code == 0
    assert shell("jobs", "update", "demo", "--schedule", "").exit_code == 0
    assert api.bodies("PATCH") == [
        {
            "scaling": {
                "schedule": [
                    {
                        "start": "0 8 * * 1-5",
                        "duration_seconds": 1800,
                        "time_zone": "UTC",
                        "min_replicas": 2,
                        "max_replicas": None,
                    }
                ]
            }
        },
        {"scaling": {"schedule": []}},
    ]


def test_an_update_of_the_routing_is_shown_and_replaces_no_replica(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    done = shell("jobs", "update", "demo", *ROUTING_OPTIONS.split(), "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["generation"]) == (0, 1)
    assert api.bodies("PATCH") == [{"routing": ROUTING}]
    told = "session by x-chat, 64 at once on a replica, 500 may wait, for 30 s at most, no stream is resumed, also rerank and score"
    assert f"routing   {told}\n" in shell("jobs", "get", "demo").stdout

    assert (
        shell("jobs", "update", "demo", "--balancing", "prefix", "--resume", "--allow", "none").exit_code == 0
    )
    assert api.bodies("PATCH")[-1] == {
        "routing": {"balancing": "prefix", "resume_streams": True, "extra_routes": []}
    }
    told = "prefix of 256 characters, 64 at once on a replica, 500 may wait, for 30 s at most"
    assert f"routing   {told}\n" in shell("jobs", "get", "demo").stdout


def test_bounds_of_the_routing_are_given_back_to_the_router(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    shell("jobs", "update", "demo", *ROUTING_OPTIONS.split())
    back = "--concurrency default --queue 0 --queue-timeout default"
    assert shell("jobs", "update", "demo", *back.split()).exit_code == 0
    given = {"concurrency_per_replica": None, "queue_max": 0, "queue_timeout_seconds": None}
    assert api.bodies("PATCH")[-1] == {"routing": given}
    assert "64 at once" not in shell("jobs", "get", "demo").stdout


@pytest.mark.parametrize(
    "wrong", ["--concurrency 0", "--concurrency none", "--queue -1", "--queue-timeout 1.5"]
)
def test_a_bound_that_is_none_is_wrong_usage(shell: Shell, api: FakeApi, wrong: str) -> None:
    api.add(created(), scheduled(), ready())
    assert shell("jobs", "update", "demo", *wrong.split()).exit_code == 2
    assert api.bodies("PATCH") == []


@pytest.mark.parametrize(
    ("wish", "changes", "phase"),
    [
        ((), (scheduled(), scheduled("r2", 2), ready()), "Initializing"),
        (("--for", "ready"), (scheduled(), scheduled("r2", 2), ready()), "Initializing"),
        (("--for", "running"), (scheduled(), ready(), scheduled("r2", 6), ready("r2", 7)), "Running"),
        (("--for", "settled"), (scheduled(), ready(), scheduled("r2", 6), ready("r2", 7)), "Running"),
        (("--for", "stopped"), STOPPED, "Stopped"),
        (("--for", "deleted"), (JobDeleteRequested(at(20), "key-1"), JobDeleted(at(21))), "Deleted"),
    ],
    ids=["by default", "ready", "running", "settled", "stopped", "deleted"],
)
def test_a_wait_returns_when_the_job_is_as_wished(
    shell: Shell, api: FakeApi, wish: tuple[str, ...], changes: tuple[Change, ...], phase: str
) -> None:
    api.add(created(minimum=2), *changes, told=1)
    done = shell("jobs", "wait", "demo", *wish, "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["status"]["phase"]) == (0, phase)


def test_a_wait_tells_a_timeout_from_a_failure_and_from_what_is_not_there(shell: Shell, api: FakeApi) -> None:
    api.add(created(name="slow"))
    api.add(
        created(job_id="another", name="broken"), JobFailed(at(1), PhaseReason.REPEATED_CRASH, "it crashed")
    )
    codes = [
        shell("jobs", "wait", name, "--timeout", "0.2").exit_code for name in ("slow", "broken", "nothing")
    ]
    assert codes == [6, 1, 3]
    assert shell("jobs", "wait", "slow", "--for", "lunch").exit_code == 2


def test_an_update_of_nothing_is_wrong_usage(shell: Shell, api: FakeApi) -> None:
    api.add(created())
    assert shell("jobs", "update", "demo").exit_code == 2
    assert api.bodies("PATCH") == []


@pytest.mark.parametrize("command", [("explain",), ("jobs", "explain")], ids=["short", "under jobs"])
def test_explain_tells_why_and_what_is_next(shell: Shell, api: FakeApi, command: tuple[str, ...]) -> None:
    api.add(
        created(),
        scheduled(),
        JobPending(at(2), PhaseReason.NO_CAPACITY, "local/a: full; local/b: no such model"),
    )
    done = shell(*command, "demo")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("demo is Pending (NoCapacity) for ")
    assert lines[1:3] == ["  local/a: full", "  local/b: no such model"]
    assert lines[3].startswith("replica r1 on local/node-a: Scheduled for ")
    assert lines[4] == "next: a replica is placed as soon as a node has room"
    told = json.loads(shell(*command, "demo", "-o", "json").stdout)
    assert told["why"] == ["local/a: full", "local/b: no such model"]


def test_all_that_the_client_can_wait_for_can_be_typed() -> None:
    assert [each.value for each in WaitFor] == [each.value for each in Until]
