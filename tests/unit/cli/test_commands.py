"""The commands as they are typed, against a real server on loopback that answers as the api does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hostler_cli.app import app
from hostler_cli.exit_codes import ExitCode
from hostler_domain.changes import JobDeleted, JobDeleteRequested, JobFailed
from hostler_domain.phases import PhaseReason
from tests.support.builders import JOB_ID, MODEL, at, created, ready, scheduled
from tests.unit.client.fake_api import KEY, FakeApi, problem


@dataclass
class Shell:
    """Types commands."""

    environ: dict[str, str | None]

    def __call__(self, *arguments: str, stdin: str | None = None, **environ: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=stdin, env=self.environ | environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result


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
                "HF_TOKEN": None,
            }
        )


def test_a_deploy_sends_what_was_said_and_the_documented_defaults(shell: Shell, api: FakeApi) -> None:
    done = shell("deploy", MODEL, "--name", "demo", "--arg", "n_ctx=2048", "--env", "A=b=c", "-o", "name")
    assert (done.exit_code, done.stdout) == (0, "demo\n")
    assert api.bodies("POST") == [
        {
            "model": MODEL,
            "name": "demo",
            "serving": {"args": {"n_ctx": "2048"}, "env": {"A": "b=c"}},
            "scaling": {"min_replicas": 1, "stabilisation_window_seconds": 300},
            "target_rps": 10.0,
            "target_latency_p95_ms": 5000.0,
        }
    ]


def test_every_option_of_deploy_reaches_the_api(shell: Shell, api: FakeApi) -> None:
    options = "-g gpu.h100 --gpu-count 2 --min-replicas 2 --max-replicas 4 --target-rps 3 --target-latency 900 --stabilisation 60 --runtime vllm --project p"
    options += " --initial-replicas 3 --activation-replicas 2 --scale-to-zero-after 90 --root-disk-gb 80 --location muc --label a=b --label c=d=e"
    options += " --priority 100 --preemptible --endpoint-auth public --initialization-timeout 600 --request-timeout 30 --runtime-image disk:1"
    windows = ("--schedule", "0 8 * * 1-5; 10h; 3..4; Europe/Berlin", "--schedule", "0 22 * * *;8h;..2")
    assert shell("deploy", MODEL, *options.split(), *windows).exit_code == 0
    assert api.bodies("POST") == [
        {
            "model": MODEL,
            "project": "p",
            "runtime": "vllm",
            "runtime_image": "disk:1",
            "hardware_profile": "gpu.h100",
            "gpu_count": 2,
            "root_disk_gb": 80,
            "scaling": {
                "min_replicas": 2,
                "max_replicas": 4,
                "initial_replicas": 3,
                "activation_replicas": 2,
                "stabilisation_window_seconds": 60,
                "scale_to_zero_after_seconds": 90,
                "schedule": [
                    {
                        "start": "0 8 * * 1-5",
                        "duration_seconds": 36000,
                        "time_zone": "Europe/Berlin",
                        "min_replicas": 3,
                        "max_replicas": 4,
                    },
                    {"start": "0 22 * * *", "duration_seconds": 28800, "time_zone": "UTC", "max_replicas": 2},
                ],
            },
            "target_rps": 3.0,
            "target_latency_p95_ms": 900.0,
            "location": "muc",
            "labels": {"a": "b", "c": "d=e"},
            "priority": 100,
            "preemptible": True,
            "endpoint_auth": "public",
            "timeouts": {"initialization_seconds": 600, "request_seconds": 30},
        }
    ]


@pytest.mark.parametrize(
    "window", ["0 8 * * *", "0 8 * * *; 10h; 4", "0 8 * * *; soon; 4..", "0 8 * * *; 1h; ..", "a;b;c;d;e"]
)
def test_a_window_that_cannot_be_read_is_refused_before_anything_is_sent(
    shell: Shell, api: FakeApi, window: str
) -> None:
    assert shell("deploy", MODEL, "--schedule", window).exit_code == ExitCode.USAGE
    assert api.requests == []


def test_several_locations_and_the_name_of_a_priority_reach_the_api(shell: Shell, api: FakeApi) -> None:
    assert (
        shell("deploy", MODEL, *["--location", "dallas", "--location", "muc", "--priority", "high"]).exit_code
        == 0
    )
    (body,) = api.bodies("POST")
    assert (body["locations"], body["priority"], "location" in body) == (["dallas", "muc"], "high", False)
    assert shell("deploy", MODEL, "--priority", "urgent").exit_code == 2


def test_a_workspace_needs_a_name_and_public_keys(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    keys = tmp_path / "id.pub"
    keys.write_text("# mine\nssh-ed25519 AAAA ada\n\nssh-rsa BBBB\n")
    options = f"--ssh-key {keys} --gpu-count 2 --location muc --root-disk-gb 80"
    assert shell("workspace", "lab", *options.split()).exit_code == 0
    assert api.bodies("POST") == [
        {
            "kind": "workspace",
            "name": "lab",
            "ssh_keys": ["ssh-ed25519 AAAA ada", "ssh-rsa BBBB"],
            "gpu_count": 2,
            "root_disk_gb": 80,
            "location": "muc",
        }
    ]


def test_a_private_key_is_not_sent(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
    assert shell("workspace", "lab", "--ssh-key", str(key)).exit_code == 2
    assert api.bodies("POST") == []


ROUTING_OPTIONS = (
    "--balancing session --prefix-chars 256 --session-header X-Chat --concurrency 64 --queue 500"
    " --queue-timeout 30 --no-resume --allow rerank --allow score"
)
ROUTING = {
    "balancing": "session",
    "prefix_chars": 256,
    "session_header": "x-chat",
    "concurrency_per_replica": 64,
    "queue_max": 500,
    "queue_timeout_seconds": 30,
    "resume_streams": False,
    "extra_routes": ["rerank", "score"],
}


def test_every_option_about_routing_reaches_the_api(shell: Shell, api: FakeApi) -> None:
    assert shell("deploy", MODEL, *ROUTING_OPTIONS.split()).exit_code == 0
    (body,) = api.bodies("POST")
    assert body["routing"] == ROUTING


@pytest.mark.parametrize(
    "wrong", ["--balancing random", "--allow files", "--allow none --allow rerank", "--concurrency 0"]
)
def test_a_choice_that_there_is_not_is_wrong_usage(shell: Shell, api: FakeApi, wrong: str) -> None:
    assert shell("deploy", MODEL, *wrong.split()).exit_code == 2
    assert api.bodies("POST") == []


def test_servers_that_run_already_are_named_with_their_key_from_the_environment(
    shell: Shell, api: FakeApi
) -> None:
    shell.environ["HOSTLER_UPSTREAM_KEY"] = "their-key"
    options = "--runtime external --endpoint http://a:1/v1 --endpoint http://b:1 --served-model mine"
    done = shell("deploy", MODEL, *options.split())
    assert done.exit_code == 0
    assert "their-key" not in done.output
    (body,) = api.bodies("POST")
    assert body["external"] == {
        "endpoints": ["http://a:1/v1", "http://b:1"],
        "served_model": "mine",
        "api_key": "their-key",
    }
    assert "min_replicas" not in body["scaling"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "environ"),
    [
        pytest.param(["--hf-token", "-"], "hf_secret\n", {}, id="stdin"),
        pytest.param([], None, {"HF_TOKEN": "hf_secret"}, id="environment"),
        pytest.param(["-t", "hf_secret"], None, {}, id="argument"),
    ],
)
def test_a_token_is_sent_and_never_printed(
    shell: Shell, api: FakeApi, arguments: list[str], stdin: str | None, environ: dict[str, str]
) -> None:
    done = shell("deploy", MODEL, *arguments, stdin=stdin, **environ)
    assert api.bodies("POST")[0]["hf_token"] == "hf_secret"
    assert "hf_secret" not in done.output


def test_a_deploy_that_waits_tells_each_step_on_stderr_and_the_job_on_stdout(
    shell: Shell, api: FakeApi
) -> None:
    api.after_creation = [scheduled(), ready()]
    done = shell("deploy", MODEL, "--name", "demo", "--wait", "-o", "json")
    assert done.exit_code == 0
    job = json.loads(done.stdout)
    assert (job["job_id"], job["status"]["ready_replicas"]) == (JOB_ID, 1)
    steps = ["demo Creating", "replica r1 Scheduled", "replica r1 Ready", "hostler chat demo"]
    places = [done.stderr.index(step) for step in steps]
    assert places == sorted(places)


def test_a_deploy_whose_job_fails_ends_with_1_and_says_why(shell: Shell, api: FakeApi) -> None:
    api.after_creation = [JobFailed(at(1), PhaseReason.REPEATED_CRASH, "it crashed 5 times")]
    done = shell("deploy", MODEL, "--name", "demo", "--wait")
    assert done.exit_code == 1
    assert "RepeatedCrash: it crashed 5 times" in done.stderr


def test_a_deploy_that_waits_too_long_ends_with_6(shell: Shell) -> None:
    done = shell("deploy", MODEL, "--name", "slow", "--wait", "--timeout", "0.2")
    assert done.exit_code == 6
    assert "was not ready within 0.2 s; it is Creating" in done.stderr
    assert "hostler jobs events slow" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["deploy"], 2, "MODEL", id="no model"),
        pytest.param(["deploy", MODEL, "--arg", "x"], 2, "NAME=VALUE", id="an argument without value"),
        pytest.param(["deploy", MODEL, "--hf-token", "-"], 2, "nothing came", id="an empty token"),
        pytest.param(["jobs", "get", "nothing"], 3, "no job 'nothing'", id="unknown job"),
        pytest.param(["jobs", "delete", "nothing"], 3, "request id: req-1", id="unknown job to delete"),
        pytest.param(["jobs", "list", "--api-key-file", "/nowhere"], 2, "/nowhere", id="no such key file"),
        pytest.param(["jobs", "frobnicate"], 2, "frobnicate", id="unknown command"),
        pytest.param(
            ["chat", "demo", "-p", " ", "--router-url", "http://127.0.0.1:1"], 2, "empty", id="empty prompt"
        ),
        pytest.param(
            ["chat", "demo", "-p", "hi", "--router-url", "ftp://x"], 1, "--router-url", id="no http address"
        ),
    ],
)
def test_what_goes_wrong_has_its_code_and_its_words(
    shell: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = shell(*arguments)
    assert done.exit_code == code
    assert said in done.stderr
    assert done.stdout == ""


def test_a_wrong_key_ends_with_4(shell: Shell) -> None:
    done = shell("jobs", "list", HOSTLER_API_KEY="hsk_other")
    assert done.exit_code == 4
    assert "HOSTLER_API_KEY" in done.stderr


def test_a_taken_name_ends_with_5(shell: Shell, api: FakeApi) -> None:
    api.add(created())
    assert shell("deploy", MODEL, "--name", "demo").exit_code == 5


def test_a_refused_field_is_named(shell: Shell, api: FakeApi) -> None:
    errors = [{"field": "scaling.max_replicas", "message": "must be at least 3"}]
    api.refusals = [problem(400, "The request is not valid", errors=errors)]
    done = shell("deploy", MODEL)
    assert done.exit_code == 2
    assert "  scaling.max_replicas: must be at least 3" in done.stderr


def test_nothing_to_talk_to_says_what_to_do(shell: Shell) -> None:
    done = shell("jobs", "list", HOSTLER_API_URL="")
    assert done.exit_code == 1
    assert "hostler up" in done.stderr


def test_a_named_folder_without_a_stack_is_not_replaced_by_the_environment(
    shell: Shell, tmp_path: Path
) -> None:
    done = shell("jobs", "list", "--data-dir", str(tmp_path / "other"))
    assert done.exit_code == 1
    assert str(tmp_path / "other") in done.stderr


def test_a_key_can_come_from_a_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    done = shell("jobs", "list", "--api-key-file", str(tmp_path / "key"), HOSTLER_API_KEY="")
    assert done.exit_code == 0


def test_a_key_can_come_from_a_file_that_the_environment_names(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    named = str(tmp_path / "key")
    assert shell("jobs", "list", HOSTLER_API_KEY="", HOSTLER_API_KEY_FILE=named).exit_code == 0
    assert shell("jobs", "list", HOSTLER_API_KEY="wrong", HOSTLER_API_KEY_FILE=named).exit_code == 4
    missing = shell("jobs", "list", HOSTLER_API_KEY="", HOSTLER_API_KEY_FILE=str(tmp_path / "none"))
    assert (missing.exit_code, "HOSTLER_API_KEY_FILE" in missing.stderr) == (2, True)


def test_a_list_shows_every_page_in_each_form(shell: Shell, api: FakeApi) -> None:
    for number in range(3):
        api.add(created(name=f"job-{number}"), scheduled(), ready())
    table = shell("jobs", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "PHASE", "READY", "MODEL", "PROFILE", "AGE", "ID"]
    assert [line.split()[:3] for line in table[1:]] == [
        [f"job-{number}", "Running", "1/1"] for number in range(3)
    ]
    assert [job["name"] for job in json.loads(shell("jobs", "list", "-o", "json").stdout)] == [
        "job-0",
        "job-1",
        "job-2",
    ]
    assert shell("jobs", "list", "-o", "name", "--limit", "2").stdout == "job-0\njob-1\n"
    assert shell("jobs", "list", "-o", "id", "--limit", "1").stdout == f"{JOB_ID}\n"


def test_an_empty_list_is_said_to_people_and_is_data_for_programs(shell: Shell) -> None:
    people, program = shell("jobs", "list"), shell("jobs", "list", "-o", "json")
    assert (people.stdout, program.stdout) == ("", "[]\n")
    assert "hostler deploy" in people.stderr


def test_a_job_is_shown_with_its_replicas(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    text = shell("jobs", "get", "demo").stdout
    assert f"id        {JOB_ID}" in text
    assert "routing   least-outstanding\n" in text
    assert text.splitlines()[-1].split()[:2] == ["r1", "Ready"]


def test_a_delete_off_a_terminal_asks_nobody_and_can_wait(shell: Shell, api: FakeApi) -> None:
    api.add(created(), JobDeleted(at(200)), told=1)
    done = shell("jobs", "delete", "demo", "--wait")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split()[:2] == ["demo", "Deleted"]
    assert "demo Deleted" in done.stderr


def test_a_history_is_shown_as_a_table_and_as_data(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    table = shell("jobs", "events", "demo").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["SEQUENCE", "1", "2", "3"]
    events = json.loads(shell("jobs", "events", "demo", "--after", "1", "-o", "json").stdout)
    assert [event["type"] for event in events] == [
        "dev.hostler.replica.scheduled.v1",
        "dev.hostler.replica.ready.v1",
    ]


def test_a_followed_history_ends_with_the_job(shell: Shell, api: FakeApi) -> None:
    api.add(created(), JobDeleteRequested(at(1), "key-1"), JobDeleted(at(2)), told=1)
    lines = shell("jobs", "events", "-f", "demo", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["jobs", "--help"],
        ["deploy", "-h"],
        ["chat", "--help"],
        ["jobs", "events", "--help"],
        ["jobs", "wait", "--help"],
        ["masters", "put", "--help"],
        ["context", "set", "--help"],
    ],
    ids=" ".join,
)
def test_help_needs_no_installation(shell: Shell, arguments: list[str]) -> None:
    done = shell(*arguments, HOSTLER_API_URL="", HOSTLER_API_KEY="")
    assert done.exit_code == 0
    assert "hostler" in done.stdout


def test_exit_codes_are_documented_in_the_help(shell: Shell) -> None:
    assert "6 timeout" in " ".join(shell("--help").stdout.split())


def test_the_command_line_loads_nothing_slow_before_a_command_needs_it() -> None:
    """A third of a second at each start, if it did."""
    script = "import sys, hostler_cli.app; print(*sorted({'httpx2', 'openai', 'pydantic', 'rich'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == []
